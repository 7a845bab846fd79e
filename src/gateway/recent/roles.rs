//! Where each role came from, and why some did not count.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::record::Asked;
use super::Entry;
use crate::explain::RoleShown;

type Mapping = BTreeMap<Arc<str>, Vec<Arc<str>>>;

const EVERYONE: &str = "everyone signed in";
const DROPPED: &str = "a template grants this role for this tool, so only a live grant gives it";

/// First the roles that the policy saw, in its order, then those that it did not see.
pub fn considered(entry: &Entry, mapping: &Mapping) -> Vec<RoleShown> {
    if entry.grounds.policy == Asked::Not {
        return Vec::new();
    }
    let seen = &entry.record.roles;
    let mut shown: Vec<RoleShown> = seen
        .iter()
        .enumerate()
        .map(|(at, role)| {
            // The first is the one that everybody has.
            let everyone = (at == 0).then(|| EVERYONE.to_owned());
            let from = everyone.into_iter().chain(sources(entry, mapping, role)).collect();
            told(role, from, None)
        })
        .collect();
    for role in claimed(entry, mapping) {
        let known = shown.iter().any(|it| *it.role == **role);
        if !known {
            let from = sources(entry, mapping, role);
            shown.push(told(role, from, Some(DROPPED.to_owned())));
        }
    }
    shown
}

fn told(role: &str, mut from: Vec<String>, against: Option<String>) -> RoleShown {
    if from.is_empty() {
        from.push("configuration".to_owned());
    }
    RoleShown { role: role.to_owned(), from, counts: against.is_none(), detail: against }
}

/// Roles of the claim and of the groups.
fn claimed<'a>(entry: &'a Entry, mapping: &'a Mapping) -> impl Iterator<Item = &'a Arc<str>> {
    let identity = entry.grounds.identity.as_ref();
    let roles = identity.into_iter().flat_map(|it| &it.roles);
    let groups = identity.into_iter().flat_map(|it| &it.person.groups);
    roles.chain(groups.filter_map(|group| mapping.get(group)).flatten())
}

fn sources(entry: &Entry, mapping: &Mapping, role: &str) -> Vec<String> {
    let mut from = Vec::new();
    if let Some(identity) = &entry.grounds.identity {
        if identity.roles.iter().any(|it| **it == *role) {
            from.push("roles claim".to_owned());
        }
        let gives = |group: &&Arc<str>| {
            mapping.get(*group).is_some_and(|roles| roles.iter().any(|it| **it == *role))
        };
        let groups = identity.person.groups.iter().filter(gives);
        from.extend(groups.map(|group| format!("group {group}")));
    }
    if let Some(live) = &entry.grounds.live {
        let counted = live.grants().filter(|grant| entry.record.grants.contains(&grant.id));
        let giving = counted.filter(|grant| grant.role == role);
        from.extend(giving.map(|grant| format!("grant {}", grant.id)));
    }
    from
}
