//! What the API needs from the rest of the program, as small object-safe traits. `app` adapts the
//! concrete types to them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;

use crate::config::AccessMode;
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;
use crate::identity::Identity;
use crate::policy::{Decision, Query};
use crate::problem::ProblemCode;

pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Nobody may act: why, and what to answer. Never carries a part of the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unauthenticated {
    /// `no-credential`, `invalid-token`, `step-up-required` or `keys-unavailable`.
    pub code: ProblemCode,
    pub detail: String,
    /// The value of `WWW-Authenticate` (RFC 6750, section 3); sent with every 401.
    pub challenge: String,
}

/// A rule of a tool, for whoever wants to know what a role would be good for.
#[derive(Clone, Debug)]
pub struct ToolRule {
    /// Empty: all.
    pub methods: Vec<Arc<str>>,
    /// A pattern.
    pub path: Arc<str>,
    pub access: AccessMode,
    /// What the policy is asked; empty where it is not.
    pub action: Arc<str>,
    pub kind: Arc<str>,
    /// `*` where a request would say which one.
    pub id: Arc<str>,
    /// Empty where a request would say it.
    pub scope: Arc<str>,
    pub default_effect_allow: bool,
}

/// From the headers of a call to a verified identity.
pub trait Authenticate: Send + Sync + 'static {
    fn authenticate<'a>(
        &'a self,
        headers: &'a HeaderMap,
        now: Timestamp,
    ) -> Boxed<'a, Result<Arc<Identity>, Unauthenticated>>;
}

/// The policy engine: exactly one decision for each action of the query, in order.
pub trait Decide: Send + Sync + 'static {
    fn decide<'a>(&'a self, query: &'a Query<'a>) -> Boxed<'a, Vec<Decision>>;
}

/// From a subject's name, as the API writes it, to the subject with its issuer.
pub trait ResolveSubject: Send + Sync + 'static {
    /// `None` when no configured issuer can have a subject of that name.
    fn resolve(&self, name: &str) -> Option<Subject>;
}
