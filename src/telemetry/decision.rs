//! The decision record: one for every proxied request, allowed or refused, made before
//! anything is forwarded.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::domain::ids::GrantId;
use crate::domain::subject::SubjectKey;
use crate::domain::time::Timestamp;

use super::trace::TraceContext;

/// Field names in the log: `authz.action`, `authz.resource`, `authz.objectID`, `authz.scope`,
/// `authz.roles`, `authz.evaluated_policies`, `authz.default_effect`, `authz.effect`,
/// `authz.reason`, `authz.rule`, `authz.policy_scope`, `authz.derived_roles`, beside method, host,
/// target, subject, grants, decision id and trace id.
#[derive(Clone, Debug)]
pub struct DecisionRecord {
    pub id: Arc<str>,
    /// When it was decided; an allowed request is forwarded after this.
    pub at: Timestamp,
    pub allowed: bool,
    /// `allowed`, `bypassed`, or the code of the refusal.
    pub reason: &'static str,
    /// For people; no token, no cookie, no query string.
    pub detail: Arc<str>,
    pub tool: Option<Arc<str>>,
    pub method: Arc<str>,
    pub host: Arc<str>,
    /// As the client sent it (path without the query, bounded to 4 KiB, marked when cut).
    pub target: Arc<str>,
    /// The path that was matched and forwarded, when a prefix was stripped.
    pub upstream_path: Option<Arc<str>>,
    pub subject: Option<Arc<str>>,
    pub issuer: Option<Arc<str>>,
    /// Of that subject and issuer.
    pub key: Option<SubjectKey>,
    /// The pattern of the rule that matched.
    pub route: Option<Arc<str>>,
    /// The live grants that permitted it, sorted.
    pub grants: SmallVec<[GrantId; 2]>,
    pub action: Option<Arc<str>>,
    pub resource: Option<Arc<str>>,
    pub object_id: Option<Arc<str>>,
    pub scope: Option<Arc<str>>,
    /// Where the resource's own attributes came from: `source 0 (http)`, `default`.
    pub attributes: Option<Arc<str>>,
    pub roles: SmallVec<[Arc<str>; 4]>,
    pub evaluated_policies: SmallVec<[Arc<str>; 1]>,
    /// The rule of the policy that decided, when one did.
    pub rule: Option<Arc<str>>,
    /// The scope of that policy; `None`: the root.
    pub policy_scope: Option<Arc<str>>,
    pub derived_roles: Vec<Arc<str>>,
    pub default_effect: &'static str,
    /// The span of this request.
    pub trace: Option<TraceContext>,
}

/// The buffer of the decision log is full and the configuration says to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decision log is full")]
pub struct DecisionLogFull;

/// An open exchange was cut, because what had permitted it does so no more.
#[derive(Clone, Debug)]
pub struct LeaseCut {
    /// Of the decision that had let it through.
    pub record: Arc<DecisionRecord>,
    /// The grants that permitted it last.
    pub grants: Vec<GrantId>,
    /// One of a closed set: `expired`, `revoked`, `released`, `killed`, `suspended`, `denied`,
    /// `unreachable`.
    pub cause: &'static str,
    pub at: Timestamp,
    /// For how long it was open.
    pub open: Duration,
}

/// Where records go. Shared by all cores; never blocks.
pub trait DecisionLog: Send + Sync + 'static {
    /// `core`: whose request it is, counted from 0; each core's records stay in order.
    ///
    /// # Errors
    /// The buffer is full and the configuration says to refuse.
    fn record(&self, core: usize, record: &Arc<DecisionRecord>) -> Result<(), DecisionLogFull>;

    /// Tells of a cut, on the same way; dropped and counted when there is no room.
    fn cut(&self, cut: Arc<LeaseCut>);
}

pub type SharedDecisionLog = Arc<dyn DecisionLog>;

pub use super::ids::DecisionIds;
