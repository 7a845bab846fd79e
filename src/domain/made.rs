//! Templates that were made over the API: records of one subject that nobody can be, so that they
//! change like everything else, in one commit with their event.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::access::Access;
use super::subject::Subject;
use super::template::Template;

/// The most names that were ever used: a deleted one keeps its number.
pub const MOST_TEMPLATES: usize = 256;

/// Whose records they are. No configuration can have an issuer without a name.
#[must_use]
pub fn subject() -> Subject {
    Subject::new("", "*templates*")
}

/// All of them, as they were at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeTemplates {
    pub version: MadeVersion,
    pub templates: BTreeMap<Arc<str>, Made>,
}

/// Two reads of one version say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MadeVersion {
    /// Of the partition: a store that lost commits and went on uses a number twice, in two epochs.
    pub epoch: u64,
    /// Grows with every change of any of them; 0: none was ever made.
    pub number: u64,
}

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Grows by one with every change, also over a deletion.
    pub version: u64,
    /// What it grants, known also when it cannot be read.
    pub accesses: Vec<Access>,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    There(Arc<Template>),
    Deleted,
    /// Its record cannot be trusted: why.
    Unreadable(&'static str),
}

impl Made {
    #[must_use]
    pub fn template(&self) -> Option<&Arc<Template>> {
        match &self.content {
            Content::There(template) => Some(template),
            Content::Deleted | Content::Unreadable(_) => None,
        }
    }

    /// Whether it is `template`, whatever their numbers are.
    #[must_use]
    pub fn says(&self, template: &Template) -> bool {
        let other = |old: &Arc<Template>| Template { made: old.made, ..template.clone() } == **old;
        self.template().is_some_and(other)
    }

    #[must_use]
    pub fn is_deleted(&self) -> bool {
        match self.content {
            Content::Deleted => true,
            Content::There(_) | Content::Unreadable(_) => false,
        }
    }

    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        match self.content {
            Content::Unreadable(_) => true,
            Content::There(_) | Content::Deleted => false,
        }
    }
}

/// What a command makes of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateChange {
    pub name: Arc<str>,
    pub version: u64,
    /// `None`: it is deleted.
    pub template: Option<Arc<Template>>,
}
