//! Policy: questions, decisions, and the engines that answer.
//!
//! A decision never raises. Every fault is a refusal with the reason `unreachable`.

mod adapter;
pub mod approval;
#[cfg(feature = "cerbos")]
mod cerbos;
pub mod embedded;
mod engines;
mod explain;
mod loaded;
mod shadow;
mod watch;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

pub use embedded::{Attribute, Listing, PolicyProblem, PolicyProblems};
pub use engines::{BYPASS_VARIABLE, BypassRefused, Policy, PolicyRefused};
pub use explain::{Explained, NotExplained, Row, Said};
pub use loaded::{Loaded, Numbered};
pub use watch::{Answer, Comparison, FaultKind, PolicyWatch, Unwatched};

pub type Attributes = serde_json::Map<String, serde_json::Value>;

/// Attributes that are made only when a condition asks for them: most policies of the data plane
/// look at roles alone, and then a request pays nothing for its attributes.
pub trait AttributeSource: Sync {
    fn attributes(&self) -> Attributes;
    /// One of them, without making the others.
    fn attribute(&self, _name: &str) -> Attribute {
        Attribute::AmongAll
    }
}

impl AttributeSource for Attributes {
    fn attributes(&self) -> Attributes {
        self.clone()
    }

    fn attribute(&self, name: &str) -> Attribute {
        Attribute::of(self, name)
    }
}

/// One question: may this principal do each of `actions` on this resource?
#[derive(Clone, Copy)]
pub struct Query<'a> {
    pub principal: Principal<'a>,
    pub resource: Resource<'a>,
    /// Verified claims: `request.auxData.jwt`.
    pub claims: Option<&'a Attributes>,
    pub actions: &'a [&'a str],
    /// The decision that this is asked for: the request id of a real PDP.
    pub decision: &'a str,
    /// The token of the call, where [`Policy::wants_token`].
    pub token: Option<RawToken<'a>>,
}

/// A token as it was sent. It has no `Debug` and no `Display`: it is a secret.
#[derive(Clone, Copy)]
pub struct RawToken<'a>(pub &'a str);

#[derive(Clone, Copy)]
pub struct Principal<'a> {
    pub id: &'a str,
    pub roles: &'a [&'a str],
    /// `email`, `groups`, `claims`, `grants`.
    pub attr: &'a dyn AttributeSource,
}

#[derive(Clone, Copy)]
pub struct Resource<'a> {
    pub kind: &'a str,
    pub id: &'a str,
    /// Empty: the root scope.
    pub scope: &'a str,
    pub attr: &'a dyn AttributeSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    Allowed,
    Denied,
    Unreachable,
    Bypassed,
}

/// The answer for one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub reason: Reason,
    /// The policy that decided, as the PDP names it (`resource.tool.vdefault`), or `NO_MATCH`.
    pub policy: Arc<str>,
    /// The scope of the policy that decided; empty: the root, or none decided.
    pub scope: Arc<str>,
    /// The rule that decided, when one did and the engine tells.
    pub rule: Option<Arc<str>>,
    /// The effective derived roles of the whole query.
    pub derived_roles: Vec<Arc<str>>,
    /// What the rules of this action said besides.
    pub outputs: Vec<Output>,
    /// For people: "no rule matches action 'write' for roles [user, viewer]".
    pub detail: Arc<str>,
    /// No policy of the loaded set knows the resource kind (for `default_effect`); `false` on a
    /// fault.
    pub unknown_kind: bool,
}

/// What a rule said besides its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `resource.tool.vdefault#rule-001`
    pub source: Arc<str>,
    /// Its value, or why there is none.
    pub value: Result<serde_json::Value, Arc<str>>,
}

impl Decision {
    /// A decision with nothing but its answer; `detail` is for people.
    #[must_use]
    pub fn plain(allowed: bool, reason: Reason, policy: &str, detail: &str) -> Self {
        Self {
            allowed,
            reason,
            policy: policy.into(),
            scope: Arc::default(),
            rule: None,
            derived_roles: Vec::new(),
            outputs: Vec::new(),
            detail: detail.into(),
            unknown_kind: false,
        }
    }

    #[must_use]
    pub fn unreachable(why: &str) -> Self {
        Self::plain(false, Reason::Unreachable, "NONE", why)
    }
}

/// An engine answers every action of a query, in order: the answer has exactly as many decisions
/// as the query has actions.
pub trait PolicyEngine: Send + Sync + 'static {
    fn check<'a>(&'a self, query: &'a Query<'a>)
    -> impl Future<Output = Vec<Decision>> + Send + 'a;
}
