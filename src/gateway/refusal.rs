//! Refusals of the data plane: a value on the way up, problem+json on the way out.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LINK, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::domain::subject::Person;
use crate::domain::template::{Catalog, Template};
use crate::domain::time::Timestamp;
use crate::iso8601;
use crate::problem::{Problem, ProblemCode};
use crate::store::StoreFault;

/// Why a request is not forwarded, or has no answer from its tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub code: ProblemCode,
    /// For people; no credential, no query string.
    pub detail: Cow<'static, str>,
    /// `request_url` and `templates` of a missing grant.
    pub ask: Option<Box<Map<String, Value>>>,
}

impl Refusal {
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), ask: None }
    }

    #[must_use]
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ProblemCode::BadRequest, detail)
    }

    /// The store's own words are for logs, not for clients.
    #[must_use]
    pub fn of_store(fault: &StoreFault) -> Self {
        match fault {
            StoreFault::ClockSkew(_) => {
                Self::new(ProblemCode::ClockSkew, "this gateway's clock and the store's disagree")
            }
            StoreFault::Unreachable(_)
            | StoreFault::Deadline
            | StoreFault::Overloaded
            | StoreFault::RolledBack(_)
            | StoreFault::Missing { .. }
            | StoreFault::InvalidRecord { .. } => {
                Self::new(ProblemCode::StoreUnreachable, "the grants could not be read")
            }
        }
    }

    #[must_use]
    pub fn with_ask(mut self, ask: Map<String, Value>) -> Self {
        self.ask = Some(Box::new(ask));
        self
    }
}

/// How a person gets the grant that is missing.
#[must_use]
pub fn how_to_ask(
    catalog: &Catalog,
    person: &Person,
    tool: &str,
    public_url: &str,
    now: Timestamp,
) -> Map<String, Value> {
    let gives = |template: &&Arc<Template>| {
        template.accesses.iter().any(|access| *access.tool == *tool)
            && template.is_visible_to(person)
            && template.may_be_requested_by(person, now)
    };
    let shown = |template: &Arc<Template>| {
        json!({
            "name": template.name,
            "title": template.title,
            "accesses": template.accesses,
            "durations":
                template.durations.iter().map(|span| iso8601::duration(*span)).collect::<Vec<_>>(),
            "default_duration": iso8601::duration(template.default_duration),
        })
    };
    let templates: Vec<Value> = catalog.templates.values().filter(gives).map(shown).collect();
    let base = public_url.trim_end_matches('/');
    let mut ask = Map::new();
    ask.insert("request_url".to_owned(), format!("{base}/api/v1/requests").into());
    ask.insert("templates".to_owned(), templates.into());
    ask
}

/// The response of a refusal, without the headers that every response gets.
#[must_use]
pub fn respond(refusal: Refusal, decision_id: &str, public_url: &str) -> Response<Bytes> {
    let code = refusal.code;
    let mut problem = Problem::new(code, refusal.detail, decision_id);
    if let Some(ask) = refusal.ask {
        problem.extra = *ask;
    }
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::FORBIDDEN);
    add_headers(response.headers_mut(), code, public_url);
    response
}

fn add_headers(headers: &mut HeaderMap, code: ProblemCode, public_url: &str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut link = String::new();
    let base = public_url.trim_end_matches('/');
    let written = write!(link, "<{base}/problems/{}>; rel=\"help\"", code.code());
    if let (Ok(()), Ok(link)) = (written, HeaderValue::try_from(link)) {
        headers.insert(LINK, link);
    }
    if let Some(challenge) = challenge(code) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if matches!(code.status(), 429 | 503) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
}

/// RFC 6750, section 3; RFC 9470 for the step-up.
fn challenge(code: ProblemCode) -> Option<&'static str> {
    match code {
        ProblemCode::NoCredential => Some("Bearer realm=\"tidegate\", error=\"invalid_request\""),
        ProblemCode::StepUpRequired => {
            Some("Bearer realm=\"tidegate\", error=\"insufficient_user_authentication\"")
        }
        _ if code.status() == 401 => Some("Bearer realm=\"tidegate\", error=\"invalid_token\""),
        _ => None,
    }
}
