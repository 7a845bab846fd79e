//! Trailers: fields behind a body, and which of them pass. They come after everything was decided, so
//! nothing passes that a receiver could take for a part of the head (RFC 9110, section 6.5.1).

use http::header::TRAILER;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::names::{Folded, HOP_BY_HOP, NOT_FROM_CLIENTS, Patterns};
use super::{remove_matching, remove_spellings};
use crate::gateway::framing::is_token;

/// Framing, routing, credentials, conditions and what else a request's head alone may say.
const OF_REQUEST_HEADS: Patterns = Patterns::of(&[
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "content-range",
    "trailer",
    "authorization",
    "cookie",
    "set-cookie",
    "expect",
    "range",
    "if-*",
    "max-forwards",
    "cache-control",
    "pragma",
    "accept*",
    "origin",
    "referer",
    "via",
    "tracestate",
    "user-agent",
    "date",
]);

/// The same of a response's head.
const OF_RESPONSE_HEADS: Patterns = Patterns::of(&[
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "content-range",
    "trailer",
    "set-cookie",
    "location",
    "www-authenticate",
]);

/// `credential` is the header that the tool's callers are known by, where it is not a usual one.
pub fn filter_request_trailers(trailers: &mut HeaderMap, credential: Option<&HeaderName>) {
    remove_matching(trailers, |name| !passes_to_tool(name));
    remove_odd(trailers);
    if let Some(credential) = credential {
        remove_spellings(trailers, credential);
    }
}

/// The libraries take a quotation mark for a part of a name; HTTP/1.1 does not.
fn remove_odd(trailers: &mut HeaderMap) {
    let odd = trailers.keys().filter(|name| !is_token(name.as_ref())).cloned();
    for name in odd.collect::<Vec<HeaderName>>() {
        trailers.remove(name);
    }
}

pub fn filter_response_trailers(trailers: &mut HeaderMap) {
    remove_matching(trailers, |name| !passes_to_client(name));
}

pub(super) fn passes_to_tool(name: &Folded) -> bool {
    !(name.is_any(&HOP_BY_HOP) || name.is_any(&NOT_FROM_CLIENTS) || name.is_any(&OF_REQUEST_HEADS))
}

pub(super) fn passes_to_client(name: &Folded) -> bool {
    !(name.is_any(&HOP_BY_HOP) || name.is_any(&OF_RESPONSE_HEADS) || name.is("tidegate-*"))
}

/// Leaves in `Trailer` only the names of those that may come; HTTP/1.1 sends no others.
pub(super) fn keep_announced(headers: &mut HeaderMap, passes: fn(&Folded) -> bool) {
    if !headers.contains_key(TRAILER) {
        return;
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    for value in headers.get_all(TRAILER) {
        let names = value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        kept.extend(
            names.filter(|name| HeaderName::from_bytes(name).is_ok() && passes(&Folded::new(name))),
        );
    }
    let value = HeaderValue::from_bytes(&kept.join(&b", "[..]));
    match value {
        Ok(value) if !value.is_empty() => drop(headers.insert(TRAILER, value)),
        Ok(_) | Err(_) => drop(headers.remove(TRAILER)),
    }
}
