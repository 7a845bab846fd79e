//! The decision record of one request, filled in on the way through admission.

use std::sync::Arc;

use http::request::Parts;

use crate::domain::time::Timestamp;
use crate::telemetry::decision::DecisionRecord;
use crate::telemetry::trace::TraceContext;

/// Longer paths are cut in records, and marked.
const SHOWN_BYTES: usize = 4 * 1024;

/// A record that refuses until admission says otherwise.
#[must_use]
pub fn begin(id: Arc<str>, at: Timestamp, head: &Parts, trace: TraceContext) -> DecisionRecord {
    DecisionRecord {
        id,
        at,
        allowed: false,
        reason: "",
        detail: Arc::default(),
        tool: None,
        method: head.method.as_str().into(),
        host: Arc::default(),
        target: bounded(head.uri.path()),
        upstream_path: None,
        subject: None,
        issuer: None,
        route: None,
        grants: Vec::new(),
        action: None,
        resource: None,
        object_id: None,
        scope: None,
        attributes: None,
        roles: Vec::new(),
        evaluated_policies: Vec::new(),
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
