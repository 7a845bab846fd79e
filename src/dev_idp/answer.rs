//! What the development identity provider answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, extract::rejection::BytesRejection};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::people::{self, DevUser};
use super::{DevIdp, jwks};
use crate::entropy;
use crate::problem::{Problem, ProblemCode};

const DEFAULT_SECONDS: u64 = 3600;
const MAX_SECONDS: u64 = 86_400;
const DEFAULT_AUDIENCE: &str = "tidegate";

/// A refusal: which code, and what to say.
pub(crate) struct Refused(ProblemCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(code, detail) = self;
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, Json(Problem::new(code, detail, random_id()))).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        no_store(response)
    }
}

/// `OpenID` Connect Discovery 1.0, section 3, as far as it applies.
pub(crate) async fn metadata(State(provider): State<Arc<DevIdp>>) -> Json<Value> {
    let issuer = &provider.issuer;
    let base = issuer.trim_end_matches('/');
    Json(json!({
        "issuer": issuer,
        "jwks_uri": format!("{base}/jwks.json"),
        "token_endpoint": format!("{base}/token"),
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [provider.minter.algorithm()],
    }))
}

pub(crate) async fn keys(State(provider): State<Arc<DevIdp>>) -> Json<Value> {
    Json(jwks(&[&provider.minter]))
}

/// Form: `user`, and optionally `expires_in` (seconds) and `audience`.
pub(crate) async fn token(
    State(provider): State<Arc<DevIdp>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let too_large = |_| Refused(ProblemCode::TooLarge, "the form is larger than 4 KiB".into());
    let form = form(&headers, &body.map_err(too_large)?)?;
    let user = form.get("user").ok_or_else(|| invalid("the form has no `user`"))?;
    let user = people::named(user).ok_or_else(|| {
        let names: Vec<_> = people::PEOPLE.iter().map(|user| user.name).collect();
        invalid(&format!("`user` is none of {}", names.join(", ")))
    })?;
    let seconds = seconds(form.get("expires_in").map(String::as_str))?;
    let audience = form.get("audience").map_or(DEFAULT_AUDIENCE, String::as_str);
    if audience.is_empty() {
        return Err(invalid("`audience` is empty"));
    }
    let claims = claims(&provider, user, audience, seconds);
    let token = provider.minter.mint(&claims);
    let token = token.map_err(|error| Refused(ProblemCode::Overloaded, error.to_string()))?;
    let answer = json!({ "access_token": token, "token_type": "Bearer", "expires_in": seconds });
    Ok(no_store(Json(answer).into_response()))
}

fn claims(provider: &DevIdp, user: DevUser, audience: &str, seconds: u64) -> Value {
    let now = provider.clock.now().seconds();
    json!({
        "iss": provider.issuer,
        "sub": user.name,
        "aud": audience,
        "iat": now,
        "exp": now.saturating_add(seconds),
        "jti": random_id(),
        "email": format!("{}@example.test", user.name),
        "email_verified": true,
        "groups": user.groups,
        "roles": user.roles,
    })
}

fn seconds(text: Option<&str>) -> Result<u64, Refused> {
    let Some(text) = text else { return Ok(DEFAULT_SECONDS) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse::<u64>().ok().filter(|n| digits && (1..=MAX_SECONDS).contains(n));
    seconds.ok_or_else(|| invalid("`expires_in` is not a whole number from 1 to 86400"))
}

/// `application/x-www-form-urlencoded`; unknown and repeated fields are refused.
fn form(headers: &HeaderMap, body: &[u8]) -> Result<BTreeMap<String, String>, Refused> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(invalid("the body is not application/x-www-form-urlencoded"));
    }
    let text = std::str::from_utf8(body).map_err(|_| invalid("the form is not UTF-8"))?;
    let mut form = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        if !matches!(name.as_str(), "user" | "expires_in" | "audience") {
            return Err(invalid("the form's fields are `user`, `expires_in` and `audience`"));
        }
        if form.insert(name, value).is_some() {
            return Err(invalid("a field of the form occurs twice"));
        }
    }
    Ok(form)
}

fn decoded(text: &str) -> Result<String, Refused> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    Ok(decoded.map_err(|_| invalid("the form is not UTF-8"))?.into_owned())
}

fn invalid(detail: &str) -> Refused {
    Refused(ProblemCode::InvalidInput, detail.to_owned())
}

pub(crate) async fn not_found() -> Refused {
    let paths = "there are /.well-known/openid-configuration, /jwks.json and /token";
    Refused(ProblemCode::NotFound, paths.to_owned())
}

pub(crate) async fn wrong_method() -> Refused {
    let methods = "POST /token; GET everything else";
    Refused(ProblemCode::BadRequest, methods.to_owned())
}

/// Only requests that are addressed to the issuer or to this machine.
pub(crate) async fn own_host(
    State(provider): State<Arc<DevIdp>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default().to_ascii_lowercase();
    if host == provider.authority || is_this_machine(&host) {
        return next.run(request).await;
    }
    let detail = "the Host is neither the issuer's nor this machine";
    Refused(ProblemCode::BadRequest, detail.to_owned()).into_response()
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Without random bytes an id may be empty: nothing depends on it here.
fn random_id() -> String {
    entropy::bytes::<16>().map(|bytes| crate::domain::ids::hex(&bytes)).unwrap_or_default()
}
