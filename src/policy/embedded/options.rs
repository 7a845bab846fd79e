//! How an engine answers.

use std::fmt;
use std::sync::Arc;

use super::cel::{Map, Timestamp, Value};
use super::input::Attributes;
use super::names::DEFAULT_VERSION;

/// What becomes of attributes that do not fit their schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Every action is denied.
    #[default]
    Reject,
    /// They are told, and conditions decide.
    Warn,
    None,
}

pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The defaults are those of the PDP with strict evaluation and enforced schemas.
#[derive(Clone)]
pub struct Options {
    pub globals: Value,
    /// Asked at most once for each resource, when a condition asks for the time.
    pub clock: Clock,
    pub default_policy_version: String,
    pub default_scope: String,
    /// Whether a scope without policies falls back to its parents.
    pub lenient_scope_search: bool,
    pub schema_enforcement: Enforcement,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            globals: Value::from_members(&Attributes::new()),
            clock: Arc::new(system_time),
            default_policy_version: DEFAULT_VERSION.to_owned(),
            default_scope: String::new(),
            lenient_scope_search: false,
            schema_enforcement: Enforcement::Reject,
        }
    }
}

impl Options {
    /// What conditions read as `globals`.
    #[must_use]
    pub fn with_globals(mut self, globals: &Attributes) -> Self {
        self.globals = Value::from_members(globals);
        self
    }

    /// As [`Options::with_globals`], as the configuration of a PDP has them: a whole number is an
    /// integer there, and a double in a test suite.
    #[must_use]
    pub fn with_configured_globals(mut self, globals: &Attributes) -> Self {
        let members = globals.iter().map(|(name, value)| (name.as_str(), configured(value)));
        self.globals = Value::map(Map::of_strings(members));
        self
    }

    /// Conditions see this time.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.clock = Arc::new(move || now);
        self
    }
}

fn configured(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Number(number) => number.as_i64().map_or_else(|| Value::from_json(value), Value::Int),
        Json::Array(items) => Value::list(items.iter().map(configured).collect::<Vec<_>>()),
        Json::Object(members) => Value::map(Map::of_strings(
            members.iter().map(|(name, value)| (name.as_str(), configured(value))),
        )),
        Json::Null | Json::Bool(_) | Json::String(_) => Value::from_json(value),
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("default_policy_version", &self.default_policy_version)
            .field("default_scope", &self.default_scope)
            .field("lenient_scope_search", &self.lenient_scope_search)
            .field("schema_enforcement", &self.schema_enforcement)
            .finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock of an engine that stands alone")]
fn system_time() -> Timestamp {
    let now = jiff::Timestamp::now();
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Timestamp::from_unix(now.as_second(), nanos).unwrap_or_default()
}
