//! Who calls, and with which headers: everything a handler knows besides its own input.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use tracing::Instrument;

use super::error::Refusal;
use super::respond::Traced;
use super::{Api, SharedApi};
use crate::domain::subject::{Actor, Subject};
use crate::domain::time::Timestamp;
use crate::entropy::NoEntropy;
use crate::identity::Identity;
use crate::telemetry::spans;

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST_KEY: usize = 255;

/// A call whose credential was verified.
#[derive(Clone, Debug)]
pub struct Call {
    pub identity: Arc<Identity>,
    /// Of claims and groups: no grant gives a role at the API.
    pub roles: Vec<Arc<str>>,
    pub now: Timestamp,
    /// `METHOD /the/path`, with its ids: what an `Idempotency-Key` is scoped to.
    pub route: String,
    pub idempotency_key: Option<String>,
    pub if_match: Option<IfMatch>,
    /// The caller's trace (or a fresh one) with the span of this call.
    pub traceparent: Arc<str>,
}

impl Call {
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.identity.person.subject
    }

    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Person(self.identity.person.clone())
    }
}

impl FromRequestParts<SharedApi> for Call {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &SharedApi) -> Result<Self, Refusal> {
        let headers = &parts.headers;
        let mut now = api.clock.now();
        let mut identity = authenticate(api, headers, now).await?;
        // A token may run out while the issuer's keys are waited for; it is then looked at again.
        if api.clock.now() >= identity.expires_at {
            now = api.clock.now();
            identity = authenticate(api, headers, now).await?;
        }
        // The outermost layer puts it there.
        let traced = parts.extensions.get::<Traced>().ok_or(NoEntropy)?;
        traced.span.user(&api.users, || identity.key);
        let roles = api.roles.of(&identity);
        let _first = traced.caller.set((identity.clone(), roles.clone()));
        Ok(Self {
            roles,
            identity,
            now,
            route: format!("{} {}", parts.method, parts.uri.path()),
            idempotency_key: idempotency_key(headers)?,
            if_match: IfMatch::parse(headers)?,
            traceparent: traced.place.context.to_string().into(),
        })
    }
}

async fn authenticate(
    api: &Api,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Arc<Identity>, Refusal> {
    let span = spans::identity();
    let identity = api.authenticate.authenticate(headers, now).instrument(span.clone()).await;
    identity.map_err(|refused| {
        spans::failed(&span, refused.code);
        refused.into()
    })
}

/// At most one value; a repeated header could mean two things.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Refusal::bad_request(format!("{name} was sent more than once")));
    }
    let text = first.map(|value| value.to_str()).transpose();
    text.map_err(|_| Refusal::bad_request(format!("{name} has bytes outside visible ASCII")))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    match only(headers, &IDEMPOTENCY_KEY)? {
        None => Ok(None),
        Some(key) if (1..=LONGEST_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        Some(_) => Err(Refusal::bad_request(format!(
            "Idempotency-Key must have 1 to {LONGEST_KEY} characters"
        ))),
    }
}

/// The versions under which the caller wants the change (RFC 9110, section 13.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    Any,
    /// Entity tags as sent, quotes included. A weak one never matches.
    Tags(Vec<String>),
}

impl IfMatch {
    fn parse(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let Some(text) = only(headers, &header::IF_MATCH)? else { return Ok(None) };
        if text.trim() == "*" {
            return Ok(Some(Self::Any));
        }
        let tags = text.split(',').map(|tag| tag.trim().to_owned()).collect();
        Ok(Some(Self::Tags(tags)))
    }

    #[must_use]
    pub fn fits(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag == etag),
        }
    }
}
