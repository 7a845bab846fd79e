//! What expressions are evaluated against.

use super::budget::Budget;
use super::error::EvalError;
use super::map::Map;
use super::timestamp::Timestamp;
use super::value::Value;
use std::sync::{Arc, LazyLock};

/// Who asks. Each field is a value of the type that the request declares.
#[derive(Clone, Debug)]
pub struct Principal {
    pub id: Value,
    /// A list of strings.
    pub roles: Value,
    /// A map from strings, as `Value::from_json` makes it.
    pub attr: Value,
    pub policy_version: Value,
    pub scope: Value,
}

/// What is asked about.
#[derive(Clone, Debug)]
pub struct Resource {
    pub kind: Value,
    pub id: Value,
    pub attr: Value,
    pub policy_version: Value,
    pub scope: Value,
}

/// A field of the principal or of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The roles of the principal, the kind of the resource.
    What,
    Id,
    Attr,
    Version,
    Scope,
}

/// Who asks and what is asked about. Most expressions read a few fields of many: each may be made
/// when it is first read.
pub trait Request {
    fn principal(&self, part: Part) -> &Value;
    fn resource(&self, part: Part) -> &Value;
    /// One attribute of the principal.
    fn principal_attribute(&self, name: &Arc<str>) -> Option<&Value>;
    /// One attribute of the resource.
    fn resource_attribute(&self, name: &Arc<str>) -> Option<&Value>;
}

impl Request for (Principal, Resource) {
    fn principal(&self, part: Part) -> &Value {
        let who = &self.0;
        match part {
            Part::What => &who.roles,
            Part::Id => &who.id,
            Part::Attr => &who.attr,
            Part::Version => &who.policy_version,
            Part::Scope => &who.scope,
        }
    }

    fn resource(&self, part: Part) -> &Value {
        let what = &self.1;
        match part {
            Part::What => &what.kind,
            Part::Id => &what.id,
            Part::Attr => &what.attr,
            Part::Version => &what.policy_version,
            Part::Scope => &what.scope,
        }
    }

    fn principal_attribute(&self, name: &Arc<str>) -> Option<&Value> {
        self.0.attr.field(name)
    }

    fn resource_attribute(&self, name: &Arc<str>) -> Option<&Value> {
        self.1.attr.field(name)
    }
}

/// The variables of a policy, computed when first asked for.
pub trait Variables {
    /// The value of the variable declared with this number. An error reads as if the variable were
    /// not there, unless it is fatal.
    ///
    /// # Errors
    /// Its expression failed.
    fn variable(&self, slot: usize, budget: &mut Budget) -> Result<&Value, EvalError>;
}

/// No variables.
#[derive(Clone, Copy, Debug)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn variable(&self, _: usize, _: &mut Budget) -> Result<&Value, EvalError> {
        Err(EvalError::no_such_key("variable"))
    }
}

/// Everything that one evaluation reads.
#[derive(Clone, Copy)]
pub struct Inputs<'i> {
    pub request: &'i dyn Request,
    /// The claims (`request.auxData.jwt`), a map; `None` without aux data.
    pub claims: Option<&'i Value>,
    /// `request.auxData.jwts`, a map; `None` without.
    pub jwts: Option<&'i Value>,
    /// `runtime.effectiveDerivedRoles`, a list of strings; `None` when they could not be computed:
    /// whatever reads them fails.
    pub derived_roles: Option<&'i Value>,
    /// A map from strings.
    pub globals: &'i Value,
    pub variables: &'i dyn Variables,
    pub now: Timestamp,
}

impl std::fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inputs").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Principal {
    /// For expressions that are about a resource alone.
    #[must_use]
    pub fn nobody() -> Self {
        NOTHING.0.0.clone()
    }
}

impl Resource {
    /// For expressions that are about a principal alone.
    #[must_use]
    pub fn nothing() -> Self {
        NOTHING.0.1.clone()
    }
}

static NOTHING: LazyLock<((Principal, Resource), Value, Value)> = LazyLock::new(|| {
    let text = || Value::from("");
    let list = || Value::list(Vec::new());
    let map = || Value::map(Map::default());
    let principal =
        Principal { id: text(), roles: list(), attr: map(), policy_version: text(), scope: text() };
    let resource =
        Resource { kind: text(), id: text(), attr: map(), policy_version: text(), scope: text() };
    ((principal, resource), list(), map())
});

/// An empty map.
pub(super) fn empty_map() -> &'static Value {
    &NOTHING.2
}

impl Inputs<'_> {
    /// An empty request at the given time: for constants.
    #[must_use]
    pub fn empty(now: Timestamp) -> Inputs<'static> {
        let (request, list, map) = &*NOTHING;
        Inputs {
            request,
            claims: None,
            jwts: None,
            derived_roles: Some(list),
            globals: map,
            variables: &NoVariables,
            now,
        }
    }
}
