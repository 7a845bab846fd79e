//! The section `policy`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::{PolicyConfig, PolicyEngineKind, ShadowConfig};
use crate::domain::hierarchy::RoleHierarchy;

use super::{cerbos, distinct, hierarchy, name, providers};

const ENGINES: [(&str, PolicyEngineKind); 2] =
    [("embedded", PolicyEngineKind::Embedded), ("cerbos", PolicyEngineKind::Cerbos)];
const DIRECTORY: &str = "the directory of the policies";
const CERBOS: &str = "`{ address: \"http://127.0.0.1:3593\" }`";

pub fn policy(map: &Map<'_>, strict: bool) -> Option<PolicyConfig> {
    map.need("policy", "`{ directory: ./policies }`", |at| {
        let map = at.map("`{ directory: ./policies }`")?;
        let engine = map.or("engine", PolicyEngineKind::Embedded, engine);
        let shadow = map.maybe("shadow", |at| shadow(at, engine));
        // An engine that cannot be read counts as the usual one.
        let decides = engine.unwrap_or(PolicyEngineKind::Embedded);
        let compared = shadow.flatten().map(|shadow| shadow.engine);
        let asked = |kind| decides == kind || compared == Some(kind);
        let directory = if asked(PolicyEngineKind::Embedded) {
            map.need("directory", DIRECTORY, At::directory).map(Some)
        } else {
            map.maybe("directory", At::directory)
        };
        let cerbos = if asked(PolicyEngineKind::Cerbos) {
            map.need("cerbos", CERBOS, |at| cerbos::cerbos(at, strict)).map(Some)
        } else {
            map.maybe("cerbos", |at| cerbos::cerbos(at, strict))
        };
        let role_mapping = map.or("role_mapping", BTreeMap::new(), role_mapping);
        let role_hierarchy =
            map.or("role_hierarchy", RoleHierarchy::default(), hierarchy::role_hierarchy);
        let providers = map.or("providers", Vec::new(), |at| providers::providers(at, strict));
        map.finish();
        Some(PolicyConfig {
            directory: directory?,
            role_mapping: role_mapping?,
            role_hierarchy: role_hierarchy?,
            providers: providers?,
            engine: engine?,
            cerbos: cerbos?,
            shadow: shadow?,
        })
    })
}

/// The real PDP is asked only by a build that can.
fn engine(at: &At<'_>) -> Option<PolicyEngineKind> {
    match at.one_of(&ENGINES)? {
        PolicyEngineKind::Cerbos if !cfg!(feature = "cerbos") => {
            at.refuse_as("cerbos in a build without it", "a build with the cargo feature `cerbos`")
        }
        known => Some(known),
    }
}

fn shadow(at: &At<'_>, decides: Option<PolicyEngineKind>) -> Option<ShadowConfig> {
    let map = at.map("`{ engine: cerbos, sample: 0.01 }`")?;
    let engine = map.need("engine", "the engine to compare with", |at| {
        let found = engine(at)?;
        if decides == Some(found) {
            at.refuse("another engine than the one that decides")
        } else {
            Some(found)
        }
    });
    let sample = map.or("sample", 0.01, sample);
    map.finish();
    Some(ShadowConfig { engine: engine?, sample: sample? })
}

fn sample(at: &At<'_>) -> Option<f64> {
    at.parse("a share above 0 and up to 1, like 0.01", |text| {
        text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0)
    })
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
