//! Who is in which group, as far as a directory says: for choosing whom to tell, never for deciding
//! who may do something.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Groups and their members, in the order of the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    pub groups: BTreeMap<Arc<str>, Vec<Member>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The subject's name, as the API writes it.
    pub name: Arc<str>,
    pub email: Option<Arc<str>>,
}

impl People {
    /// `None`: the directory does not know the group.
    #[must_use]
    pub fn members(&self, group: &str) -> Option<&[Member]> {
        self.groups.get(group).map(Vec::as_slice)
    }
}
