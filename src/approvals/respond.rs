//! From answers and refusals to HTTP. The outermost layer of the API: it names every call, renders
//! refusals as problem+json, and sets the headers that every answer has.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tracing::Instrument;

use super::error::Refusal;
use super::refusals::{Caller, Refused};
use super::{Api, SharedApi};
use crate::entropy::{self, NoEntropy};
use crate::problem::{Problem, ProblemCode};
use crate::store::StoredAnswer;
use crate::telemetry::events::approvals::CallRefused;
use crate::telemetry::spans::ServerSpan;
use crate::telemetry::trace::{Place, TraceContext};

const DECISION_ID: HeaderName = HeaderName::from_static("tidegate-decision-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 128;

/// A JSON answer; `etag` and `location` where there are any.
///
/// # Errors
/// Never for the types of this API; a value that cannot be written is refused as a fault.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Refusal> {
    let body = serde_json::to_string(value).map_err(|_| unwritable())?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// # Errors
/// As [`json`].
pub fn json_with_etag(value: &impl Serialize, etag: &str) -> Result<Response, Refusal> {
    let mut response = json(StatusCode::OK, value)?;
    set(response.headers_mut(), header::ETAG, etag);
    Ok(response)
}

pub(super) fn unwritable() -> Refusal {
    Refusal::new(ProblemCode::Overloaded, "the answer could not be written")
}

/// An answer that may have been stored by an earlier call with the same `Idempotency-Key`.
#[must_use]
pub fn stored(answer: StoredAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let typed = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (status, typed, answer.body).into_response();
    for (name, value) in [(header::ETAG, answer.etag), (header::LOCATION, answer.location)] {
        if let Some(value) = value {
            set(response.headers_mut(), name, &value);
        }
    }
    response
}

/// A call's span, for whoever works on the call.
#[derive(Clone, Debug)]
pub struct Traced {
    pub place: Place,
    pub span: ServerSpan,
    /// For the explanation of a refusal.
    pub caller: Caller,
}

impl Traced {
    fn begin(request: &Request, decision_id: &str) -> Result<Self, NoEntropy> {
        let (span_id, trace_id) = (entropy::bytes()?, entropy::bytes()?);
        let place = Place::new(TraceContext::of(request.headers()), span_id, || trace_id);
        let head = (request.method(), request.uri(), request.headers());
        let span = ServerSpan::begin(&place, decision_id, head);
        Ok(Self { place, span, caller: Caller::default() })
    }
}

/// The outermost layer.
pub async fn finish(State(api): State<SharedApi>, request: Request, next: Next) -> Response {
    let decision_id = api.decision_ids.next();
    match Traced::begin(&request, &decision_id) {
        Ok(traced) => {
            let span = traced.span.0.clone();
            within(&api, traced, (request, next), &decision_id).instrument(span).await
        }
        Err(none) => {
            let called = (String::new(), Caller::default());
            finished(&api, Refusal::from(none).into_response(), &decision_id, &called).0
        }
    }
}

async fn within(
    api: &Api,
    traced: Traced,
    (mut request, next): (Request, Next),
    decision_id: &Arc<str>,
) -> Response {
    let span = traced.span.clone();
    let called = (format!("{} {}", request.method(), request.uri().path()), traced.caller.clone());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let request_id = request.headers().get(REQUEST_ID).cloned();
    request.extensions_mut().insert(traced);
    let (mut response, code) = finished(api, next.run(request).await, decision_id, &called);
    if let Some(id) = request_id.filter(|id| id.len() <= LONGEST_REQUEST_ID) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let route = route.as_ref().map(MatchedPath::as_str);
    span.end(&method, route, response.status().as_u16(), code);
    response
}

/// The response with what every response has, and the code of its refusal.
fn finished(
    api: &Api,
    mut response: Response,
    decision_id: &Arc<str>,
    (route, caller): &(String, Caller),
) -> (Response, Option<ProblemCode>) {
    let mut code = None;
    if let Some(refusal) = refusal(&mut response) {
        code = Some(refusal.code);
        let status = refusal.status.as_u16();
        let (at, caller) = (api.clock.now(), caller.get());
        let rules = &api.roles;
        let refused = Refused { id: decision_id, at, route, caller, rules, refusal: &refusal };
        api.refusals.put(&refused);
        CallRefused { decision_id, code: refusal.code, status }.emit();
        let headers = std::mem::take(response.headers_mut());
        response = problem(api, refusal, decision_id);
        if let Some(allow) = headers.get(header::ALLOW) {
            response.headers_mut().insert(header::ALLOW, allow.clone());
        }
    }
    let headers = response.headers_mut();
    set(headers, header::CACHE_CONTROL, "no-store");
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::X_FRAME_OPTIONS, "DENY");
    set(headers, DECISION_ID, decision_id);
    (response, code)
}

/// A refusal that a handler made, or one that the router made by itself.
fn refusal(response: &mut Response) -> Option<Refusal> {
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        return Some(refusal);
    }
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Some(Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            ..Refusal::bad_request("this path does not have that method; Allow lists those it has")
        }),
        status if status.is_client_error() => {
            Some(Refusal::bad_request("the request could not be read"))
        }
        _ => None,
    }
}

fn problem(api: &Api, refusal: Refusal, decision_id: &Arc<str>) -> Response {
    let (code, status) = (refusal.code, refusal.status);
    let mut problem = Problem::new(code, refusal.detail, decision_id.as_ref());
    problem.status = status.as_u16();
    problem.errors = refusal.errors;
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let typed = [(header::CONTENT_TYPE, "application/problem+json")];
    let mut response = (status, typed, body).into_response();
    let headers = response.headers_mut();
    let help = format!("<{}/problems/{}>; rel=\"help\"", api.public_url, code.code());
    set(headers, header::LINK, &help);
    if matches!(status.as_u16(), 429 | 503) {
        set(headers, header::RETRY_AFTER, "1");
    }
    if status == StatusCode::UNAUTHORIZED {
        let fallback = "Bearer error=\"invalid_token\"";
        set(headers, header::WWW_AUTHENTICATE, refusal.challenge.as_deref().unwrap_or(fallback));
    }
    response
}

/// A value that cannot stand in a header is left out.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
