//! What is learned of one request on the way through admission: its decision record, and the
//! grounds from which the decision can be explained later.

use std::sync::Arc;

use http::request::Parts;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::domain::grant::Tombstone;
use crate::domain::time::Timestamp;
use crate::identity::Identity;
use crate::resources::Provided;
use crate::store::LiveView;
use crate::telemetry::decision::DecisionRecord;
use crate::telemetry::trace::TraceContext;

use super::route::Tool;

/// Longer paths are cut in records, and marked.
pub const SHOWN_BYTES: usize = 4 * 1024;

/// Filled in by admission, step by step.
#[derive(Debug)]
pub struct Trail {
    pub record: DecisionRecord,
    pub grounds: Grounds,
    /// When its last step ended, and the next began; at first, when it began itself.
    pub since: Instant,
}

/// What admission looked at. Everything is shared or moved, and nothing is worked out yet.
#[derive(Clone, Debug, Default)]
pub struct Grounds {
    pub tool: Option<Arc<Tool>>,
    pub identity: Option<Arc<Identity>>,
    pub live: Option<LiveView>,
    /// What a source said of the resource.
    pub provided: Option<Provided>,
    /// The time that grants and policy were asked for.
    pub now: Timestamp,
    pub policy: Asked,
    /// Ended grants for the tool, when it was asked how the last one ended.
    pub ended: Vec<Tombstone>,
}

/// Whether the policy was asked, and which set of policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    #[default]
    Not,
    /// The policies that decided have no numbers.
    Unnumbered,
    Set(u64),
}

/// A record that refuses until admission says otherwise. Its time is that of the decision, and not
/// known yet.
#[must_use]
pub fn begin(
    id: Arc<str>,
    (method, head, none): (Arc<str>, &Parts, Arc<str>),
    trace: TraceContext,
) -> DecisionRecord {
    DecisionRecord {
        id,
        at: Timestamp::default(),
        allowed: false,
        reason: "",
        detail: Arc::clone(&none),
        tool: None,
        method,
        host: none,
        target: bounded(head.uri.path()),
        upstream_path: None,
        subject: None,
        issuer: None,
        key: None,
        route: None,
        grants: SmallVec::new(),
        action: None,
        resource: None,
        object_id: None,
        scope: None,
        attributes: None,
        roles: SmallVec::new(),
        evaluated_policies: SmallVec::new(),
        rule: None,
        policy_scope: None,
        derived_roles: Vec::new(),
        default_effect: "deny",
        trace: Some(trace),
    }
}

/// The path, never the query, at most 4 KiB of it.
#[must_use]
pub fn bounded(path: &str) -> Arc<str> {
    if path.len() <= SHOWN_BYTES {
        return path.into();
    }
    let mut end = SHOWN_BYTES;
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} [cut]", path.get(..end).unwrap_or_default()).into()
}
