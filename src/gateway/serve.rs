//! One request from its head to the head of its response.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, EXPECT, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use crate::domain::subject::SubjectKey;
use crate::problem::ProblemCode;
use crate::telemetry::decision::DecisionRecord;
use crate::telemetry::events::gateway::{Outcome, RequestAnswered};
use crate::telemetry::metrics::Name;
use crate::telemetry::spans::ServerSpan;
use crate::telemetry::trace::{Place, TraceContext, TraceId};

use super::admit::{Permit, admit};
use super::body::{Out, Received};
use super::connection::Peer;
use super::core::Core;
use super::forward::{Along, forward, own};
use super::grpc;
use super::headers::{DECISION_ID, Present, REQUEST_ID};
use super::limits::Slot;
use super::ports::Ports;
use super::recent::Entry;
use super::record::{self, Grounds, Trail};
use super::refusal::{self, Refusal};
use super::target;

/// An unread body of a refused request is read this far, so that the connection can go on.
const DRAINED_BYTES: usize = 64 * 1024;
const DRAINED_WITHIN: Duration = Duration::from_millis(250);

/// What is known of a request before it is decided on.
struct Facts {
    decision: Arc<str>,
    /// The same as a header.
    decision_value: HeaderValue,
    /// The number in it.
    number: u64,
    /// Of its headers.
    present: Present,
    method: Method,
    scheme: &'static str,
    is_grpc: bool,
    request_id: HeaderValue,
    /// The connection ends with this response.
    close: bool,
    started: Instant,
    place: Place,
    span: ServerSpan,
}

impl Facts {
    /// The trace, if somebody may have recorded it: it came with the request, or spans are heard.
    fn known_trace(&self) -> Option<TraceId> {
        let known = self.place.is_continued() || self.span.is_recorded();
        known.then_some(TraceId(self.place.context.trace_id))
    }
}

/// Answers one request; never fails.
pub async fn answer<P: Ports>(
    core: &Core<P>,
    peer: &Peer,
    request: Request<Received>,
) -> Response<Out> {
    let (head, body) = request.into_parts();
    let (decision, number) = core.ids.decision();
    let present = Present::of(&head.headers);
    let traced = present.has(Present::TRACEPARENT);
    let sent = if traced { TraceContext::of(&head.headers) } else { None };
    let place = Place::new(sent, core.ids.span(), || core.ids.trace());
    let span = ServerSpan::begin(&place, &decision, (&head.method, &head.uri, &head.headers));
    let none = || HeaderValue::from_static("-");
    let decision_value = core.texts.copy(&decision).unwrap_or_else(none);
    let facts = Facts {
        request_id: if present.has(Present::REQUEST_ID) {
            request_id(&head.headers, &decision_value)
        } else {
            decision_value.clone()
        },
        decision_value,
        present,
        method: head.method.clone(),
        scheme: peer.scheme(),
        is_grpc: present.has(Present::CONTENT_TYPE) && grpc::is_grpc(&head.headers),
        close: head.version == Version::HTTP_10,
        started: Instant::now(),
        decision,
        number,
        place,
        span,
    };
    if facts.span.is_recorded() {
        let within = facts.span.0.clone();
        return Box::pin(decided(core, peer, facts, head, body)).instrument(within).await;
    }
    decided(core, peer, facts, head, body).await
}

async fn decided<P: Ports>(
    core: &Core<P>,
    peer: &Peer,
    facts: Facts,
    head: Parts,
    body: Received,
) -> Response<Out> {
    let record = record::begin(
        Arc::clone(&facts.decision),
        (core.method_name(&head.method), &head, core.no_text()),
        facts.place.context,
    );
    let mut trail = Trail { record, grounds: Grounds::default(), since: facts.started };
    let mut slot = core.slots.take();
    if slot.is_none() {
        // Much larger than what finds a place, and moved with it: an allocation of its own.
        slot = Box::pin(core.slots.wait()).await;
        trail.since = Instant::now();
    }
    let (slot, admitted) = if let Some(mut slot) = slot {
        let admitted = admitted(core, peer, (&head, facts.present), &mut trail).await;
        let admitted = admitted.and_then(|permit| slot.at(permit));
        (Some(slot), admitted)
    } else {
        (None, Err(Refusal::new(ProblemCode::Overloaded, "too many requests at once")))
    };
    if let (Some(issuer), Some(name)) = (&trail.record.issuer, &trail.record.subject) {
        facts.span.user(&core.shared.users, || SubjectKey::new(issuer, name));
    }
    let tool = trail.record.tool.clone().unwrap_or_else(|| "none".into());
    let route = trail.record.route.clone();
    let has_body = !body.is_end_stream();
    match (recorded(core, facts.number, trail, admitted), slot) {
        (Ok((permit, record, outcome)), Some(slot)) => {
            let (request_id, place) = (facts.request_id.clone(), facts.place);
            let (decision, present) = (&facts.decision, facts.present);
            let along = Along { peer, decision, request_id, place, slot, present };
            let (answer, at) = forward(core, (permit, record), head, body, along).await;
            match answer {
                Ok(response) => finish(core, &facts, response, (tool, route, outcome), at),
                Err(refusal) => {
                    let outcome = Outcome::Failed(refusal.code);
                    let response = refused(core, &facts, refusal, None);
                    // What is left of the body is of no use any more.
                    let facts = Facts { close: facts.close || has_body, ..facts };
                    finish(core, &facts, response, (tool, route, outcome), at)
                }
            }
        }
        (Err(refusal), slot) => {
            let outcome = Outcome::Refused(refusal.code);
            let close = facts.close || !drained(&head, body).await;
            let response = refused(core, &facts, refusal, slot);
            let facts = Facts { close, ..facts };
            finish(core, &facts, response, (tool, route, outcome), Instant::now())
        }
        (Ok(_), None) => {
            // Unreachable by construction: without a place nothing is admitted. Refused all the same.
            let refusal = Refusal::new(ProblemCode::Overloaded, "too many requests at once");
            let outcome = Outcome::Refused(refusal.code);
            let response = refused(core, &facts, refusal, None);
            let facts = Facts { close: true, ..facts };
            finish(core, &facts, response, (tool, route, outcome), Instant::now())
        }
    }
}

/// Whoever named a host in the TLS handshake asks for that one alone (RFC 9110, section 7.4).
async fn admitted<P: Ports>(
    core: &Core<P>,
    peer: &Peer,
    (head, present): (&Parts, Present),
    trail: &mut Trail,
) -> Result<Box<Permit>, Refusal> {
    if peer.name.is_some() && !peer.may_ask_for(&target::one_host(&head.headers)?) {
        let detail = "the connection was made for another host";
        return Err(Refusal::new(ProblemCode::Misdirected, detail));
    }
    admit(core, peer, (head, present), trail).await
}

/// Writes the decision record, before anything is forwarded. A permit whose record finds no room
/// is void.
fn recorded<P: Ports>(
    core: &Core<P>,
    number: u64,
    trail: Trail,
    admitted: Result<Box<Permit>, Refusal>,
) -> Result<(Box<Permit>, Arc<DecisionRecord>, Outcome), Refusal> {
    let Trail { mut record, grounds, since: _ } = trail;
    record.at = admitted.as_ref().map_or_else(|_| core.shared.clock.now(), |permit| permit.at());
    let admitted = match admitted {
        Ok(permit) => {
            record.allowed = true;
            let bypassed = record.reason == "bypassed";
            if record.reason.is_empty() {
                record.reason = "allowed";
            }
            Ok((permit, if bypassed { Outcome::Bypassed } else { Outcome::Allowed }))
        }
        Err(refusal) => {
            record.reason = refusal.code.code();
            record.detail = refusal.detail.as_ref().into();
            Err(refusal)
        }
    };
    let record = Arc::new(record);
    let taken = core.shared.decisions.record(core.index, &record);
    let recent = |record| core.shared.recent.put(core.index, Entry { number, record, grounds });
    match (admitted, taken) {
        (Ok(_permit), Err(full)) => {
            let refusal = Refusal::new(ProblemCode::Overloaded, full.to_string());
            recent(Arc::new(refused_instead(&record, &refusal)));
            Err(refusal)
        }
        // A refusal stands whether or not there is room for its record.
        (admitted, Ok(()) | Err(_)) => {
            recent(Arc::clone(&record));
            if record.allowed {
                core.shared.uses.count(core.index, &record.grants, record.at);
            }
            admitted.map(|(permit, outcome)| (permit, record, outcome))
        }
    }
}

/// What is said of a permit that turned out void.
fn refused_instead(record: &DecisionRecord, refusal: &Refusal) -> DecisionRecord {
    let (reason, detail) = (refusal.code.code(), refusal.detail.as_ref().into());
    DecisionRecord { allowed: false, reason, detail, ..record.clone() }
}

fn refused<P: Ports>(
    core: &Core<P>,
    facts: &Facts,
    refusal: Refusal,
    slot: Option<Slot>,
) -> Response<Out> {
    let told = facts.is_grpc.then(|| (refusal.code, refusal.detail.clone()));
    let mut response = refusal::respond(refusal, &facts.decision, &core.shared.public_url);
    if let Some((code, detail)) = told {
        grpc::add_status(response.headers_mut(), code, &detail);
    }
    own(response, slot)
}

/// What every response carries, and what every request counts for.
fn finish<P: Ports>(
    core: &Core<P>,
    facts: &Facts,
    mut response: Response<Out>,
    (tool, route, outcome): (Name, Option<Name>, Outcome),
    at: Instant,
) -> Response<Out> {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(DECISION_ID, facts.decision_value.clone());
    headers.insert(REQUEST_ID, facts.request_id.clone());
    if (facts.close || core.draining.get()) && !switches {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let status = response.status().as_u16();
    let (method, elapsed, span) = (&facts.method, at.duration_since(facts.started), &facts.span);
    let (scheme, trace) = (facts.scheme, facts.known_trace());
    RequestAnswered { tool, outcome, method, scheme, status, route, elapsed, span, trace }
        .emit(&core.metrics);
    response
}

/// The client's id if it is one plain word, else the decision's.
fn request_id(headers: &HeaderMap, decision: &HeaderValue) -> HeaderValue {
    let mut values = headers.get_all(REQUEST_ID).iter();
    let plain = |value: &&HeaderValue| {
        let text = value.as_bytes();
        (1..=128).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
    };
    match (values.next().filter(plain), values.next()) {
        (Some(value), None) => value.clone(),
        (Some(_) | None, _) => decision.clone(),
    }
}

/// Reads what is left of a refused request's body, if it is little and comes soon. A client that
/// waits for `100 Continue` is not asked to send it.
async fn drained(head: &Parts, mut body: Received) -> bool {
    // What is left of a stream of HTTP/2 is in nobody's way.
    if body.is_end_stream() || head.version == Version::HTTP_2 {
        return true;
    }
    let known = body.size_hint().exact();
    let too_long = known.is_some_and(|length| length > DRAINED_BYTES as u64);
    if too_long || head.headers.contains_key(EXPECT) {
        return false;
    }
    let all = async {
        let mut left = DRAINED_BYTES;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        true
    };
    timeout(DRAINED_WITHIN, all).await.unwrap_or(false)
}
