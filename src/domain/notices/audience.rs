//! Whom one notice is for: each person and each group once, in the order of their names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::course::Recipient;
use super::super::subject::Person;

/// The most recipients of one notice.
pub(super) const MOST: usize = 200;

#[derive(Clone, Debug, Default)]
pub(super) struct Audience {
    people: BTreeMap<Arc<str>, Option<Arc<str>>>,
    groups: BTreeSet<Arc<str>>,
}

impl Audience {
    /// An address that is known stays.
    pub fn add(&mut self, name: Arc<str>, email: Option<Arc<str>>) {
        let known = self.people.entry(name).or_default();
        if known.is_none() {
            *known = email;
        }
    }

    pub fn add_group(&mut self, name: Arc<str>) {
        self.groups.insert(name);
    }

    pub fn append(&mut self, other: Self) {
        other.people.into_iter().for_each(|(name, email)| self.add(name, email));
        self.groups.extend(other.groups);
    }

    pub fn remove(&mut self, person: &Person) {
        self.people.retain(|name, email| !person.is_named(name, email.as_deref()));
    }

    /// With more people than `most`, the groups that they are of stand for them.
    pub fn at_most(mut self, most: usize, groups: &[Arc<str>]) -> Self {
        if self.people.len().saturating_add(self.groups.len()) > most {
            self.people.clear();
            self.groups.extend(groups.iter().cloned());
            self.groups = self.groups.into_iter().take(most).collect();
        }
        self
    }

    pub fn recipients(self, most: usize) -> Vec<Recipient> {
        let people = self.people.into_iter();
        let people = people.map(|(name, email)| Recipient::Person { name, email });
        let groups = self.groups.into_iter().map(|name| Recipient::Group { name });
        people.chain(groups).take(most).collect()
    }
}
