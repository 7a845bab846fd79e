//! Where each role came from, and why some did not count.

use super::super::record::Asked;
use super::Entry;
use crate::explain::RoleShown;
use crate::identity::roles::RoleRules;

const DROPPED: &str =
    "a template grants it, or a role above or below it, for this tool: only a live grant gives it";

/// First the roles that the policy saw, in its order, then those that it did not see.
pub fn considered(entry: &Entry, rules: &RoleRules) -> Vec<RoleShown> {
    if entry.grounds.policy == Asked::Not {
        return Vec::new();
    }
    let seen = &entry.record.roles;
    let all = entry.grounds.identity.as_ref().map(|it| rules.of(it)).unwrap_or_default();
    let dropped = all.iter().filter(|role| !seen.contains(role));
    let counting = seen.iter().map(|role| (role, None));
    let both = counting.chain(dropped.map(|role| (role, Some(DROPPED.to_owned()))));
    let shown = both.map(|(role, detail)| RoleShown {
        role: role.to_string(),
        from: sources(entry, rules, role),
        counts: detail.is_none(),
        detail,
    });
    shown.collect()
}

fn sources(entry: &Entry, rules: &RoleRules, role: &str) -> Vec<String> {
    let grounds = &entry.grounds;
    let mut from = grounds.identity.as_ref().map(|it| rules.sources(it, role)).unwrap_or_default();
    if let Some(live) = &grounds.live {
        let counted = live.grants().filter(|grant| entry.record.grants.contains(&grant.id));
        from.extend(counted.filter_map(|grant| {
            let (id, upper) = (grant.id, grant.role);
            let implies = || rules.hierarchy.implied(upper).any(|it| **it == *role);
            if upper == role {
                Some(format!("grant {id}"))
            } else {
                implies().then(|| format!("implied by role {upper} of grant {id}"))
            }
        }));
    }
    from
}
