//! From the tree to checked values, one file per section. Every section reads all of its keys before
//! it gives up, so that all problems come at once.

mod cerbos;
mod checks;
pub(super) mod directory;
mod files;
mod hierarchy;
mod issuers;
mod listener_tls;
mod listeners;
mod policy;
mod providers;
mod redis;
mod redis_url;
mod rules;
mod sections;
mod sinks;
mod store;
mod templates;
mod tools;
mod upstreams;

use std::sync::Arc;

use super::map::Map;
use super::reader::At;
use super::{Config, DirectoryConfig, Environment, IdentityKeys, Places};

/// The whole file.
pub(super) fn config(root: &At<'_>, places: &mut Places) -> Option<Config> {
    let map = root.map("a mapping of sections")?;
    // An environment that cannot be read counts as production: the stricter checks apply.
    let environment = environment(&map);
    let strict = environment != Some(Environment::Development);
    let deployment = map.or("deployment", "tidegate".into(), name);
    let listeners = listeners::listeners(&map, strict);
    let store = map.need("store", store::SHAPE, |at| store::store(at, strict));
    let same = map.or("identity_keys", IdentityKeys::default(), issuers::identity_keys);
    let issuers = map.need("issuers", "at least one issuer", |at| {
        issuers::issuers(at, strict, same.as_ref().unwrap_or(&IdentityKeys::default()))
    });
    let api = sections::api(&map, issuers.as_deref(), listeners.as_ref());
    let tools = map.need("tools", "at least one tool", |at| tools::tools(at, strict));
    let limits = sections::limits(&map);
    let policy = policy::policy(&map, strict);
    let catalog = map.maybe("catalog", sections::catalog);
    let directory =
        map.or("directory", DirectoryConfig::default(), |at| directory::directory(at, strict));
    let audit = sections::audit(&map, strict);
    map.finish();
    places.policies = policy.as_ref().and_then(|policy| policy.directory.clone());
    places.catalog = catalog.clone().flatten();
    places.tools = tools.as_ref().map(|all| all.iter().map(|tool| tool.name.clone()).collect());
    checks::listeners(&map, listeners.as_ref());
    checks::routes(&map, tools.as_deref());
    checks::audiences(&map, strict, api.as_ref(), issuers.as_deref(), tools.as_deref());
    Some(Config {
        environment: environment?,
        deployment: deployment?,
        listeners: listeners?,
        store: store?,
        issuers: same.and(issuers)?,
        api: api?,
        tools: tools?.into_iter().map(Arc::new).collect(),
        limits: limits?,
        policy: policy?,
        catalog: catalog?,
        directory: directory?,
        audit: audit?,
    })
}

fn environment(map: &Map<'_>) -> Option<Environment> {
    map.or("environment", Environment::Production, |at| {
        at.one_of(&[
            ("production", Environment::Production),
            ("development", Environment::Development),
        ])
    })
}

/// The name of a tool, role, template or key.
pub(crate) fn name(at: &At<'_>) -> Option<Arc<str>> {
    let expected = "a name of 1 to 64 characters of a-z A-Z 0-9 . _ -";
    let text = at.text(expected)?;
    if crate::domain::access::is_name(&text) { Some(text.into()) } else { at.refuse(expected) }
}

/// One line of visible text.
pub(crate) fn word(at: &At<'_>) -> Option<Arc<str>> {
    let expected = "a text of 1 to 256 characters without control characters";
    let text = at.text(expected)?;
    let fits = text.chars().count() <= 256 && !text.chars().any(char::is_control);
    if fits && text.trim() == text { Some(text.into()) } else { at.refuse(expected) }
}

/// A list of at least one word, none twice.
pub(crate) fn words(at: &At<'_>) -> Option<Vec<Arc<str>>> {
    let found = at.filled("a list of at least one text", word)?;
    distinct(at, "entry", &found).then_some(found)
}

/// Whether no two entries of the list have the same `what`; notes the problem otherwise. Entries are
/// shown as the file writes them, as a variable may hold them.
pub(crate) fn distinct<T: PartialEq>(at: &At<'_>, what: &str, found: &[T]) -> bool {
    let earlier = |(index, item)| Some((found.iter().take(index).position(|o| o == item)?, index));
    let Some((first, second)) = found.iter().enumerate().find_map(earlier) else { return true };
    let told = match at.entry_as_written(second) {
        Some(text) => format!("{text} twice"),
        None => format!("the same {what} in entries {first} and {second}"),
    };
    at.refuse_as::<()>(told, format!("each {what} once"));
    false
}
