//! The section `policy`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::PolicyConfig;
use crate::config::map::Map;
use crate::config::reader::At;
use crate::domain::hierarchy::RoleHierarchy;

use super::{distinct, hierarchy, name, providers};

pub fn policy(map: &Map<'_>, strict: bool) -> Option<PolicyConfig> {
    map.need("policy", "`{ directory: ./policies }`", |at| {
        let map = at.map("`{ directory: ./policies }`")?;
        map.later(&["cerbos", "shadow"]);
        let directory = map.need("directory", "the directory of the policies", At::directory);
        let engine = map.or("engine", (), engine);
        let role_mapping = map.or("role_mapping", BTreeMap::new(), role_mapping);
        let role_hierarchy =
            map.or("role_hierarchy", RoleHierarchy::default(), hierarchy::role_hierarchy);
        let providers = map.or("providers", Vec::new(), |at| providers::providers(at, strict));
        map.finish();
        engine?;
        Some(PolicyConfig {
            directory: directory?,
            role_mapping: role_mapping?,
            role_hierarchy: role_hierarchy?,
            providers: providers?,
        })
    })
}

fn engine(at: &At<'_>) -> Option<()> {
    let expected = "embedded";
    match at.text(expected)?.as_str() {
        "embedded" => Some(()),
        "cerbos" => at.refuse_as("cerbos, which is not supported by this version yet", expected),
        _ => at.refuse(expected),
    }
}

/// Group -> the roles that its members have.
fn role_mapping(at: &At<'_>) -> Option<BTreeMap<Arc<str>, Vec<Arc<str>>>> {
    let map = at.map("a mapping like { GROUP: [ROLE] }")?;
    let entries = map.entries(|group, at| {
        let roles = at.filled("a list of at least one role", name)?;
        distinct(at, "role", &roles).then(|| (Arc::from(group), roles))
    })?;
    Some(entries.into_iter().collect())
}
