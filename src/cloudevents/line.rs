//! The lines of the decision log: byte for byte what `serde_json` makes of
//! [`CloudEvent::of_decision`](super::CloudEvent::of_decision) and
//! [`CloudEvent::of_cut`](super::CloudEvent::of_cut), and a line end. Records come by the ten
//! thousand a second: they are written straight into the batch, and nothing is allocated for one
//! unless a text in it has to be cut.

use std::sync::Arc;

use crate::domain::ids::GrantId;
use crate::domain::iso8601;
use crate::domain::subject::SubjectKey;
use crate::domain::time::Timestamp;
use crate::telemetry::bounded::{self, NAME, TARGET, TEXT};
use crate::telemetry::decision::{DecisionRecord, LeaseCut};
use crate::telemetry::trace::TraceContext;

use super::CUT_TYPE;
use super::decision::{ITEMS, event_type};

mod json;

type Text = Arc<str>;

/// Writes what happened in one deployment.
#[derive(Clone, Debug)]
pub struct LineWriter {
    /// From the end of `id` to the beginning of `type`.
    source: Vec<u8>,
    /// The second of the last event, in seconds since the epoch, and its text with the point.
    second: Option<(u64, String)>,
}

/// The members before `data` that differ.
struct Envelope<'a> {
    id_mark: &'static str,
    event_type: &'static str,
    grants: &'a [GrantId],
    at: Timestamp,
    authid: Option<&'a str>,
}

impl LineWriter {
    /// `source`: see [`super::source`].
    #[must_use]
    pub fn new(source: &str) -> Self {
        let mut bytes = b"\",\"source\":\"".to_vec();
        json::text(&mut bytes, source);
        bytes.extend_from_slice(b"\",\"type\":\"");
        Self { source: bytes, second: None }
    }

    /// Appends the decision's line.
    pub fn decision(&mut self, to: &mut Vec<u8>, record: &DecisionRecord) {
        let envelope = Envelope {
            id_mark: "",
            event_type: event_type(record.allowed),
            grants: &record.grants,
            at: record.at,
            authid: record.subject.as_deref(),
        };
        self.envelope(to, record, &envelope);
        request(to, record, true);
        named(to, b",\"subject\":", record.subject.as_ref());
        named(to, b",\"issuer\":", record.issuer.as_ref());
        grants(to, &record.grants);
        authorization(to, record);
        to.extend_from_slice(b",\"detail\":");
        quoted(to, &record.detail, TEXT);
        if let Some(trace) = &record.trace {
            to.extend_from_slice(b",\"trace\":\"");
            json::hex(to, &trace.trace_id);
            to.push(b'"');
        }
        to.extend_from_slice(b"}}\n");
    }

    /// Appends the cut's line.
    pub fn cut(&mut self, to: &mut Vec<u8>, cut: &LeaseCut) {
        let (grants_then, at) = (&cut.grants, cut.at);
        let authid = Some("system");
        let envelope =
            Envelope { id_mark: "-cut", event_type: CUT_TYPE, grants: grants_then, at, authid };
        let record = &*cut.record;
        self.envelope(to, record, &envelope);
        to.extend_from_slice(b",\"cause\":\"");
        json::text(to, cut.cause);
        to.extend_from_slice(b"\",\"open_for\":");
        json::number(to, u64::try_from(cut.open.as_millis()).unwrap_or(u64::MAX), 1);
        request(to, record, false);
        named(to, b",\"subject\":", record.subject.as_ref());
        named(to, b",\"issuer\":", record.issuer.as_ref());
        grants(to, grants_then);
        to.extend_from_slice(b"}}\n");
    }

    /// Up to the decision's id in `data`.
    fn envelope(&mut self, to: &mut Vec<u8>, record: &DecisionRecord, it: &Envelope<'_>) {
        to.extend_from_slice(b"{\"specversion\":\"1.0\",\"id\":\"");
        json::text(to, &record.id);
        to.extend_from_slice(it.id_mark.as_bytes());
        to.extend_from_slice(&self.source);
        to.extend_from_slice(it.event_type.as_bytes());
        if let Some(first) = it.grants.first() {
            to.extend_from_slice(b"\",\"subject\":\"grants/");
            json::grant(to, first);
        }
        to.extend_from_slice(b"\",\"time\":\"");
        self.time(to, it.at);
        to.extend_from_slice(b"\",\"datacontenttype\":\"application/json");
        if let Some(SubjectKey(key)) = &record.key {
            to.extend_from_slice(b"\",\"partitionkey\":\"");
            json::hex(to, key);
        }
        if let Some(trace) = &record.trace {
            to.extend_from_slice(b"\",\"traceparent\":\"");
            traceparent(to, trace);
        }
        if let Some(name) = it.authid {
            to.extend_from_slice(b"\",\"authid\":\"");
            bounded_text(to, name, NAME);
        }
        to.extend_from_slice(b"\",\"recordedtime\":\"");
        self.time(to, it.at);
        to.extend_from_slice(b"\",\"data\":{\"decision_id\":\"");
        json::text(to, &record.id);
        to.push(b'"');
    }

    /// As [`iso8601::time`] shows it; the text of a second serves all that happened in it.
    fn time(&mut self, to: &mut Vec<u8>, at: Timestamp) {
        let at = at.min(Timestamp::MAX);
        let (second, millis) = (at.millis() / 1000, at.millis() % 1000);
        let known = self.second.take().filter(|(known, _)| *known == second);
        let (_, text) = self.second.insert(known.unwrap_or_else(|| {
            let mut text = iso8601::time(at);
            text.truncate(text.len().saturating_sub("123Z".len()));
            (second, text)
        }));
        to.extend_from_slice(text.as_bytes());
        json::number(to, millis, 3);
        to.push(b'Z');
    }
}

fn request(to: &mut Vec<u8>, record: &DecisionRecord, is_decision: bool) {
    named(to, b",\"tool\":", record.tool.as_ref());
    to.extend_from_slice(b",\"method\":");
    quoted(to, &record.method, NAME);
    to.extend_from_slice(b",\"host\":");
    quoted(to, &record.host, NAME);
    to.extend_from_slice(b",\"target\":");
    quoted(to, &record.target, TARGET);
    if let Some(path) = record.upstream_path.as_ref().filter(|_| is_decision) {
        to.extend_from_slice(b",\"upstream_path\":");
        quoted(to, path, TARGET);
    }
}

fn authorization(to: &mut Vec<u8>, record: &DecisionRecord) {
    or_null(to, b",\"authz.action\":", record.action.as_ref());
    or_null(to, b",\"authz.resource\":", record.resource.as_ref());
    or_null(to, b",\"authz.objectID\":", record.object_id.as_ref());
    or_null(to, b",\"authz.scope\":", record.scope.as_ref());
    list(to, b",\"authz.roles\":[", &record.roles);
    list(to, b",\"authz.evaluated_policies\":[", &record.evaluated_policies);
    named(to, b",\"authz.rule\":", record.rule.as_ref());
    named(to, b",\"authz.policy_scope\":", record.policy_scope.as_ref());
    if !record.derived_roles.is_empty() {
        list(to, b",\"authz.derived_roles\":[", &record.derived_roles);
    }
    to.extend_from_slice(b",\"authz.default_effect\":\"");
    json::text(to, record.default_effect);
    let effect: &[u8] = if record.allowed { b"allow" } else { b"deny" };
    to.extend_from_slice(b"\",\"authz.effect\":\"");
    to.extend_from_slice(effect);
    to.extend_from_slice(b"\",\"authz.reason\":\"");
    json::text(to, record.reason);
    to.push(b'"');
}

fn grants(to: &mut Vec<u8>, grants: &[GrantId]) {
    to.extend_from_slice(b",\"grants\":[");
    for (index, grant) in grants.iter().enumerate() {
        if index > 0 {
            to.push(b',');
        }
        to.push(b'"');
        json::grant(to, grant);
        to.push(b'"');
    }
    to.push(b']');
}

fn list(to: &mut Vec<u8>, name: &[u8], items: &[Text]) {
    to.extend_from_slice(name);
    let shortened = (items.len() > ITEMS).then(|| bounded::list(items, ITEMS));
    for (index, item) in shortened.as_deref().unwrap_or(items).iter().enumerate() {
        if index > 0 {
            to.push(b',');
        }
        // Of a shortened list every item is short already, and stays as it is.
        quoted(to, item, if shortened.is_some() { usize::MAX } else { NAME });
    }
    to.push(b']');
}

fn named(to: &mut Vec<u8>, name: &[u8], value: Option<&Text>) {
    if let Some(value) = value {
        to.extend_from_slice(name);
        quoted(to, value, NAME);
    }
}

fn or_null(to: &mut Vec<u8>, name: &[u8], value: Option<&Text>) {
    to.extend_from_slice(name);
    match value {
        Some(value) => quoted(to, value, NAME),
        None => to.extend_from_slice(b"null"),
    }
}

fn quoted(to: &mut Vec<u8>, value: &str, limit: usize) {
    to.push(b'"');
    bounded_text(to, value, limit);
    to.push(b'"');
}

/// As [`bounded::text`] cuts it.
fn bounded_text(to: &mut Vec<u8>, value: &str, limit: usize) {
    if value.len() <= limit {
        json::text(to, value);
    } else {
        json::text(to, &bounded::text(value, limit));
    }
}

/// As [`TraceContext`] shows itself.
fn traceparent(to: &mut Vec<u8>, trace: &TraceContext) {
    to.extend_from_slice(b"00-");
    json::hex(to, &trace.trace_id);
    to.push(b'-');
    json::hex(to, &trace.span_id);
    to.push(b'-');
    json::hex(to, &[trace.flags]);
}

#[cfg(test)]
mod tests;
