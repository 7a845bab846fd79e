//! The lines of the decision log: byte for byte what `serde_json` makes of
//! [`CloudEvent::of_decision`](super::CloudEvent::of_decision) and
//! [`CloudEvent::of_cut`](super::CloudEvent::of_cut), and a line end. Records come by the ten
//! thousand a second: they are written straight into the batch, and nothing is allocated for one
//! unless a text in it has to be cut.

use std::ops::Range;
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

mod ending;
mod json;

use ending::LastEnd;

/// Most lines are shorter.
const USUAL: usize = 2048;

type Text = Arc<str>;

/// Writes what happened in one deployment.
#[derive(Clone, Debug)]
pub struct LineWriter {
    /// From the end of `id` to the beginning of `type`.
    source: Vec<u8>,
    /// The second of the last event, in seconds since the epoch, and its text with the point.
    second: Option<(u64, String)>,
    end: LastEnd,
}

/// Where in the line something stands that is said once more.
struct Said {
    id: Range<usize>,
    grant: Range<usize>,
    trace_id: Range<usize>,
    authid: Range<usize>,
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
        Self { source: bytes, second: None, end: LastEnd::default() }
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
        to.reserve(USUAL);
        let said = self.envelope(to, record, &envelope);
        request(to, record, true);
        if record.subject.is_some() {
            to.extend_from_slice(b",\"subject\":\"");
            again(to, said.authid);
            to.push(b'"');
        }
        named(to, b",\"issuer\":\"", record.issuer.as_ref());
        grants(to, &record.grants, said.grant);
        or_null(to, b",\"authz.action\":", record.action.as_ref());
        or_null(to, b",\"authz.resource\":", record.resource.as_ref());
        or_null(to, b",\"authz.objectID\":", record.object_id.as_ref());
        self.end.write(to, record, authorization);
        if record.trace.is_some() {
            to.extend_from_slice(b",\"trace\":\"");
            again(to, said.trace_id);
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
        let said = self.envelope(to, record, &envelope);
        to.extend_from_slice(b",\"cause\":\"");
        json::text(to, cut.cause);
        to.extend_from_slice(b"\",\"open_for\":");
        json::number(to, u64::try_from(cut.open.as_millis()).unwrap_or(u64::MAX), 1);
        request(to, record, false);
        named(to, b",\"subject\":\"", record.subject.as_ref());
        named(to, b",\"issuer\":\"", record.issuer.as_ref());
        grants(to, grants_then, said.grant);
        to.extend_from_slice(b"}}\n");
    }

    /// Up to the decision's id in `data`.
    fn envelope(&mut self, to: &mut Vec<u8>, record: &DecisionRecord, it: &Envelope<'_>) -> Said {
        let mut said = Said { id: 0..0, grant: 0..0, trace_id: 0..0, authid: 0..0 };
        to.extend_from_slice(b"{\"specversion\":\"1.0\",\"id\":\"");
        said.id = appended(to, |to| json::text(to, &record.id));
        to.extend_from_slice(it.id_mark.as_bytes());
        to.extend_from_slice(&self.source);
        to.extend_from_slice(it.event_type.as_bytes());
        if let Some(first) = it.grants.first() {
            to.extend_from_slice(b"\",\"subject\":\"grants/");
            said.grant = appended(to, |to| json::grant(to, first));
        }
        to.extend_from_slice(b"\",\"time\":\"");
        let time = appended(to, |to| self.time(to, it.at));
        to.extend_from_slice(b"\",\"datacontenttype\":\"application/json");
        if let Some(SubjectKey(key)) = &record.key {
            to.extend_from_slice(b"\",\"partitionkey\":\"");
            json::hex(to, key);
        }
        if let Some(trace) = &record.trace {
            to.extend_from_slice(b"\",\"traceparent\":\"");
            to.extend_from_slice(b"00-");
            said.trace_id = appended(to, |to| json::hex(to, &trace.trace_id));
            traceparent_end(to, trace);
        }
        if let Some(name) = it.authid {
            to.extend_from_slice(b"\",\"authid\":\"");
            said.authid = appended(to, |to| bounded_text(to, name, NAME));
        }
        to.extend_from_slice(b"\",\"recordedtime\":\"");
        again(to, time);
        to.extend_from_slice(b"\",\"data\":{\"decision_id\":\"");
        again(to, said.id.clone());
        to.push(b'"');
        said
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
    named(to, b",\"tool\":\"", record.tool.as_ref());
    member(to, b",\"method\":\"", &record.method, NAME);
    member(to, b",\"host\":\"", &record.host, NAME);
    member(to, b",\"target\":\"", &record.target, TARGET);
    if let Some(path) = record.upstream_path.as_ref().filter(|_| is_decision) {
        member(to, b",\"upstream_path\":\"", path, TARGET);
    }
}

/// What [`LastEnd`] keeps: nothing in it may be of one request alone.
fn authorization(to: &mut Vec<u8>, record: &DecisionRecord) {
    or_null(to, b",\"authz.scope\":", record.scope.as_ref());
    list(to, b",\"authz.roles\":[", &record.roles);
    list(to, b",\"authz.evaluated_policies\":[", &record.evaluated_policies);
    named(to, b",\"authz.rule\":\"", record.rule.as_ref());
    named(to, b",\"authz.policy_scope\":\"", record.policy_scope.as_ref());
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
    member(to, b",\"detail\":\"", &record.detail, TEXT);
}

/// The first is said already.
fn grants(to: &mut Vec<u8>, grants: &[GrantId], first: Range<usize>) {
    let Some((_said, others)) = grants.split_first() else {
        return to.extend_from_slice(b",\"grants\":[]");
    };
    to.extend_from_slice(b",\"grants\":[\"");
    again(to, first);
    for grant in others {
        to.extend_from_slice(b"\",\"");
        json::grant(to, grant);
    }
    to.extend_from_slice(b"\"]");
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

/// `name` goes up to the quote before the value.
fn named(to: &mut Vec<u8>, name: &[u8], value: Option<&Text>) {
    if let Some(value) = value {
        member(to, name, value, NAME);
    }
}

fn member(to: &mut Vec<u8>, name: &[u8], value: &str, limit: usize) {
    to.extend_from_slice(name);
    bounded_text(to, value, limit);
    to.push(b'"');
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

/// Where `write` has written.
fn appended(to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let begin = to.len();
    write(to);
    begin..to.len()
}

/// What was said before, once more.
fn again(to: &mut Vec<u8>, said: Range<usize>) {
    if said.start <= said.end && said.end <= to.len() {
        to.extend_from_within(said);
    }
}

/// What follows the trace id where a [`TraceContext`] shows itself.
fn traceparent_end(to: &mut Vec<u8>, trace: &TraceContext) {
    to.push(b'-');
    json::hex(to, &trace.span_id);
    to.push(b'-');
    json::hex(to, &[trace.flags]);
}

#[cfg(test)]
mod tests;
