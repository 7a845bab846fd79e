//! Who is in which group, as far as a directory says: for choosing whom to tell, never for deciding
//! who may do something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Groups and their members, in the order of the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    groups: Groups,
    /// By name, of those who have one.
    emails: BTreeMap<Arc<str>, Arc<str>>,
}

/// What one source of a directory says.
pub type Groups = BTreeMap<Arc<str>, Vec<Member>>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The subject's name, as the API writes it.
    pub name: Arc<str>,
    pub email: Option<Arc<str>>,
}

impl People {
    /// No source knows a group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// A group that several sources know has the members of all of them, in the order of the
    /// sources, each once. The first address that a name has anywhere is its address.
    #[must_use]
    pub fn merged<'a>(sources: impl IntoIterator<Item = &'a Groups>) -> Self {
        let mut people = Self::default();
        let mut known: BTreeSet<(Arc<str>, Arc<str>)> = BTreeSet::new();
        for (group, members) in sources.into_iter().flatten() {
            let listed = people.groups.entry(group.clone()).or_default();
            for member in members {
                if known.insert((group.clone(), member.name.clone())) {
                    listed.push(member.clone());
                }
                if let Some(email) = &member.email {
                    people.emails.entry(member.name.clone()).or_insert_with(|| email.clone());
                }
            }
        }
        people
    }

    /// `None`: the directory does not know the group.
    #[must_use]
    pub fn members(&self, group: &str) -> Option<&[Member]> {
        self.groups.get(group).map(Vec::as_slice)
    }

    /// The address of a subject, by the name that the API writes.
    #[must_use]
    pub fn email(&self, name: &str) -> Option<&Arc<str>> {
        self.emails.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, email: Option<&str>) -> Member {
        Member { name: name.into(), email: email.map(Into::into) }
    }

    #[test]
    fn a_group_of_several_sources_has_the_members_of_all_each_once() {
        let one: Groups = [("sre".into(), vec![member("bob", None), member("ann", None)])].into();
        let two: Groups = [
            ("sre".into(), vec![member("ben", None), member("bob", Some("bob@b.test"))]),
            ("dba".into(), vec![member("bob", Some("bob@c.test"))]),
        ]
        .into();
        let people = People::merged([&one, &two]);
        let names = |group| {
            people.members(group).map(|all| all.iter().map(|it| &*it.name).collect::<Vec<_>>())
        };
        assert_eq!(names("sre"), Some(vec!["bob", "ann", "ben"]));
        assert_eq!(names("dba"), Some(vec!["bob"]));
        assert_eq!(names("web"), None);
        let email = people.email("bob").map(AsRef::as_ref);
        assert!(matches!(email, Some("bob@b.test" | "bob@c.test")), "{email:?}");
        assert_eq!(people.email("ann"), None);
    }
}
