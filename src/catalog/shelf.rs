//! The catalog in use: what stands in files and what was made over the API, as one value that every
//! change of either replaces whole.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::domain::hierarchy::RoleHierarchy;
use crate::domain::made::{Made, MadeTemplates, MadeVersion};
use crate::domain::template::Catalog;

#[derive(Debug)]
pub struct Shelf {
    /// The names of the configured tools.
    pub tools: Vec<Arc<str>>,
    in_use: Arc<ArcSwap<Catalog>>,
    parts: Mutex<Parts>,
}

#[derive(Debug)]
struct Parts {
    files: Catalog,
    /// `None`: not read yet.
    made: Option<MadeTemplates>,
    hierarchy: RoleHierarchy,
}

/// Templates that were made over the API and that files stand before.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// From now on.
    pub hidden: Vec<Arc<str>>,
    /// No longer: they are in use again.
    pub back: Vec<Arc<str>>,
}

impl Shelf {
    #[must_use]
    pub fn new(files: Catalog, tools: Vec<Arc<str>>, hierarchy: RoleHierarchy) -> Self {
        let parts = Parts { files, made: None, hierarchy };
        let in_use = Arc::new(ArcSwap::from_pointee(parts.merged()));
        Self { tools, in_use, parts: Mutex::new(parts) }
    }

    /// Where the gateway and the API look.
    #[must_use]
    pub fn in_use(&self) -> Arc<ArcSwap<Catalog>> {
        self.in_use.clone()
    }

    /// The files were read anew, and all of them are good.
    pub fn put_files(&self, files: Catalog) -> Turned {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut parts.files, files);
        let turned = parts.turned(&old);
        self.in_use.store(Arc::new(parts.merged()));
        turned
    }

    /// What was made over the API, as it was just read: no two reads at the same time, so that none
    /// takes back what a later one found.
    pub fn put_made(&self, made: MadeTemplates) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.made.as_ref() != Some(&made) {
            parts.made = Some(made);
            self.in_use.store(Arc::new(parts.merged()));
        }
    }

    /// Whether a file defines a template of this name.
    #[must_use]
    pub fn is_in_files(&self, name: &str) -> bool {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.files.templates.contains_key(name)
    }

    /// The version up to which what was made is known, unless something of it should be looked at
    /// again: it could not be read.
    #[must_use]
    pub fn known(&self) -> Option<MadeVersion> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let made = parts.made.as_ref()?;
        let unreadable = made.templates.values().any(Made::is_unreadable);
        (!unreadable).then_some(made.version)
    }
}

impl Parts {
    fn turned(&self, old: &Catalog) -> Turned {
        let made = self.made.iter().flat_map(|made| &made.templates);
        let mut turned = Turned::default();
        for (name, _) in made.filter(|(_, made)| made.template().is_some()) {
            let in_files = |files: &Catalog| files.templates.contains_key(name);
            match (in_files(old), in_files(&self.files)) {
                (false, true) => turned.hidden.push(name.clone()),
                (true, false) => turned.back.push(name.clone()),
                (true, true) | (false, false) => (),
            }
        }
        turned
    }

    /// A file wins over what was made under the same name: who changes files runs the gateway.
    fn merged(&self) -> Catalog {
        let mut catalog = Catalog { is_partial: self.made.is_none(), ..Catalog::default() };
        for (name, made) in self.made.iter().flat_map(|made| &made.templates) {
            match made.template() {
                Some(template) if !self.files.templates.contains_key(name) => {
                    catalog.templates.insert(name.clone(), template.clone());
                }
                // Not there, and what it grants is still given by grants alone.
                Some(_) | None => catalog.also_granted.extend(made.accesses.iter().cloned()),
            }
        }
        let files = self.files.templates.iter();
        catalog.templates.extend(files.map(|(name, it)| (name.clone(), it.clone())));
        catalog.pair_duties(&self.hierarchy);
        catalog
    }
}
