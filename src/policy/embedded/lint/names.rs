//! What the names of a policy stand for: its variables and constants, local and imported.

use std::collections::BTreeMap;

use super::super::expressions::uses_names;
use super::super::file::{Constants, Document, Variables};
use super::Policies;

/// The definitions that expressions read, also through one another; constants as JSON.
pub(super) type Meanings<'d> = BTreeMap<(char, &'d str), String>;

/// The names of one policy.
#[derive(Default)]
pub(super) struct Names<'d> {
    variables: BTreeMap<&'d str, &'d str>,
    constants: BTreeMap<&'d str, String>,
}

impl<'d> Names<'d> {
    pub fn of(
        policies: &Policies<'d>,
        document: &'d Document,
        variables: &'d Variables,
        constants: &'d Constants,
    ) -> Self {
        let mut names = Self::default();
        for (_, it) in &policies.documents {
            if let Some(it) = &it.export_variables
                && variables.import.iter().any(|name| name.value == it.name.value)
            {
                let all = it.definitions.iter();
                names.variables.extend(all.map(|(name, text)| (&**name, &*text.value)));
            }
            if let Some(it) = &it.export_constants
                && constants.import.iter().any(|name| name.value == it.name.value)
            {
                let all = it.definitions.iter();
                names.constants.extend(all.map(|(name, it)| (&**name, it.value.to_string())));
            }
        }
        let local = variables.local.iter().chain(&document.variables);
        names.variables.extend(local.map(|(name, text)| (&**name, &*text.value)));
        let local = constants.local.iter();
        names.constants.extend(local.map(|(name, it)| (&**name, it.value.to_string())));
        names
    }

    /// `None` where the names are read in a way that the text does not show.
    pub fn read_by(&self, expressions: &[&'d str]) -> Option<Meanings<'d>> {
        let mut meanings = Meanings::new();
        let mut texts: Vec<&str> = expressions.to_vec();
        while let Some(text) = texts.pop() {
            if !uses_names(text) {
                continue;
            }
            let words = || text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let mut is_found = false;
            for (name, definition) in words().filter_map(|it| self.variables.get_key_value(it)) {
                is_found = true;
                if meanings.insert(('V', name), (*definition).to_owned()).is_none() {
                    texts.push(definition);
                }
            }
            for (name, value) in words().filter_map(|it| self.constants.get_key_value(it)) {
                is_found = true;
                meanings.insert(('C', name), value.clone());
            }
            if !is_found {
                return None;
            }
        }
        Some(meanings)
    }
}
