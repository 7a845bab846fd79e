//! Which headers pass, in both directions, and which ones are ours.

use std::fmt::Write;
use std::net::IpAddr;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{AccessMode, CredentialSource};
use crate::identity::Identity;
use crate::telemetry::trace::TRACEPARENT;

pub const DECISION_ID: HeaderName = HeaderName::from_static("tidegate-decision-id");
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const SUBJECT: HeaderName = HeaderName::from_static("tidegate-subject");
const EMAIL: HeaderName = HeaderName::from_static("tidegate-email");
const GROUPS: HeaderName = HeaderName::from_static("tidegate-groups");
const GRANTS: HeaderName = HeaderName::from_static("tidegate-grants");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Names that only we may set towards the tool, or that would mislead it: who the client is, what
/// the original target or method was (folded spelling; `*` ends a prefix).
const NOT_FROM_CLIENTS: [&str; 15] = [
    "tidegate-*",
    "x-forwarded-*",
    "x-forwarded",
    "forwarded",
    "x-original-*",
    "x-rewrite-url",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "x-cluster-client-ip",
    "x-http-method*",
    "x-method-override",
    "x-request-id",
    "traceparent",
];

/// RFC 9110, section 7.6.1, and what older servers treat alike.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-*",
    "proxy",
    "http2-settings",
];

/// Headers that a `Connection` option may not take away.
const PROTECTED: [&str; 12] = [
    "tidegate-*",
    "x-forwarded-*",
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "traceparent",
    "host",
    "authorization",
    "cookie",
    "content-length",
    "content-type",
    "transfer-encoding",
];

/// A name in one spelling: lower case, and `-` for whatever is no letter or digit (CGI-like servers
/// make one sign of `-`, `_`, `.` and others). Only the first 64 bytes.
struct Folded {
    bytes: [u8; 64],
    length: usize,
}

impl Folded {
    fn new(name: &[u8]) -> Self {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(name) {
            let same = from.is_ascii_alphanumeric();
            *to = if same { from.to_ascii_lowercase() } else { b'-' };
        }
        Self { bytes, length: name.len() }
    }

    fn is(&self, pattern: &str) -> bool {
        let pattern = pattern.as_bytes();
        match pattern.strip_suffix(b"*") {
            Some(prefix) => self.length >= prefix.len() && self.bytes.starts_with(prefix),
            None => self.length == pattern.len() && self.bytes.starts_with(pattern),
        }
    }

    fn is_any(&self, patterns: &[&str]) -> bool {
        patterns.iter().any(|pattern| self.is(pattern))
    }
}

/// Whether a `Connection` option names a header that must arrive.
#[must_use]
pub fn is_protected(option: &[u8]) -> bool {
    Folded::new(option).is_any(&PROTECTED)
}

/// Whether two names are the same to a server that does not tell `-`, `_`, `.` and the like apart.
#[must_use]
pub fn is_spelling_of(name: &HeaderName, real: &HeaderName) -> bool {
    let (one, other) = (Folded::new(name.as_ref()), Folded::new(real.as_ref()));
    one.length == other.length && one.bytes == other.bytes
}

/// What the rewritten request is about.
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'a> {
    pub client: IpAddr,
    /// The prefix that was stripped, with its final slash.
    pub prefix: Option<&'a str>,
    pub access: AccessMode,
    pub credential: &'a CredentialSource,
    pub forward_credential: bool,
    pub identity: Option<&'a Identity>,
    /// Sorted, comma-separated; empty without any.
    pub grants: &'a str,
    pub request_id: &'a HeaderValue,
    pub traceparent: &'a str,
    pub keep_tracestate: bool,
}

/// Turns the client's headers into those that the tool gets.
pub fn rewrite_request(headers: &mut HeaderMap, out: &Outbound<'_>) {
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    remove_nominated(headers);
    remove_matching(headers, |name| name.is_any(&HOP_BY_HOP) || name.is_any(&NOT_FROM_CLIENTS));
    headers.remove(EXPECT);
    if !out.keep_tracestate {
        headers.remove(TRACESTATE);
    }
    remove_credential(headers, out);
    if chunked {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    add_forwarded(headers, out);
    add_identity(headers, out);
    headers.insert(REQUEST_ID, out.request_id.clone());
    set(headers, TRACEPARENT, out.traceparent);
}

/// Cleans the headers of a tool's response.
pub fn rewrite_response(headers: &mut HeaderMap) {
    remove_nominated(headers);
    remove_matching(headers, |name| name.is_any(&HOP_BY_HOP) || name.is("tidegate-*"));
}

/// The headers of a response that decide where it ends leave no doubt.
#[must_use]
pub fn is_framed_clearly(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    let plain = length
        .is_none_or(|value| !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit));
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let encoding = encodings.next();
    let chunked = encoding.is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    let single = lengths.next().is_none() && encodings.next().is_none();
    single && plain && chunked && !(length.is_some() && encoding.is_some())
}

fn remove_matching(headers: &mut HeaderMap, matches: impl Fn(&Folded) -> bool) {
    let gone: Vec<HeaderName> =
        headers.keys().filter(|name| matches(&Folded::new(name.as_ref()))).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Removes what `Connection` names, `Content-Length` and `Host` excepted: a response that nominates
/// its own length does not change its framing.
fn remove_nominated(headers: &mut HeaderMap) {
    let mut gone: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(CONNECTION) {
        let options = value.as_bytes().split(|&byte| byte == b',');
        gone.extend(options.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()));
    }
    for name in gone {
        if name != CONTENT_LENGTH && name != HOST {
            headers.remove(name);
        }
    }
}

/// On a public route nothing was consumed, but a bearer token for us is still none of the tool's
/// business.
fn remove_credential(headers: &mut HeaderMap, out: &Outbound<'_>) {
    if out.forward_credential {
        return;
    }
    match out.credential {
        CredentialSource::Header(name) => {
            headers.remove(name);
        }
        CredentialSource::Cookie(name) => remove_cookie(headers, name),
        CredentialSource::Bearer => {
            let bearer = headers.get(AUTHORIZATION).is_none_or(|value| {
                value.as_bytes().get(..6).is_some_and(|s| s.eq_ignore_ascii_case(b"bearer"))
            });
            if bearer || out.access != AccessMode::Public {
                headers.remove(AUTHORIZATION);
            }
        }
    }
}

fn remove_cookie(headers: &mut HeaderMap, name: &str) {
    let is_ours = |pair: &[u8]| {
        let key = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
        key.trim_ascii() == name.as_bytes()
    };
    let mut kept: Vec<HeaderValue> = Vec::new();
    for value in headers.get_all(COOKIE) {
        let pairs = value.as_bytes().split(|&byte| byte == b';');
        let rest: Vec<&[u8]> =
            pairs.map(<[u8]>::trim_ascii).filter(|p| !p.is_empty() && !is_ours(p)).collect();
        if let (false, Ok(value)) =
            (rest.is_empty(), HeaderValue::from_bytes(&rest.join(&b"; "[..])))
        {
            kept.push(value);
        }
    }
    headers.remove(COOKIE);
    for value in kept {
        headers.append(COOKIE, value);
    }
}

fn add_forwarded(headers: &mut HeaderMap, out: &Outbound<'_>) {
    let host = headers.get(HOST).cloned();
    set(headers, FORWARDED_FOR, &out.client.to_string());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    let mut forwarded = match out.client {
        IpAddr::V4(v4) => format!("for={v4};proto=http"),
        IpAddr::V6(v6) => format!("for=\"[{v6}]\";proto=http"),
    };
    if let Some(host) = host {
        if let Ok(text) = host.to_str() {
            // A Host was checked to be a name and a port: nothing in it ends the quotes.
            let _infallible = write!(forwarded, ";host=\"{text}\"");
        }
        headers.insert(FORWARDED_HOST, host);
    }
    set(headers, FORWARDED, &forwarded);
    if let Some(prefix) = out.prefix {
        set(headers, FORWARDED_PREFIX, prefix.trim_end_matches('/'));
    }
}

fn add_identity(headers: &mut HeaderMap, out: &Outbound<'_>) {
    let Some(identity) = out.identity else { return };
    let person = &identity.person;
    set(headers, SUBJECT, &encoded(&person.subject.name));
    if let Some(email) = &person.email {
        set(headers, EMAIL, &encoded(email));
    }
    if !person.groups.is_empty() {
        let groups: Vec<String> = person.groups.iter().map(|group| encoded(group)).collect();
        set(headers, GROUPS, &groups.join(","));
    }
    if !out.grants.is_empty() {
        set(headers, GRANTS, out.grants);
    }
}

/// Visible ASCII but `%` and `,` stands for itself, every other byte (of the UTF-8) is `%XX`: a
/// value is never split, and can always be read back.
fn encoded(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b',' {
            value.push(char::from(byte));
        } else {
            let _infallible = write!(value, "%{byte:02X}");
        }
    }
    value
}

/// Every value given here is visible ASCII; one that is not would be left out, and so would the
/// client's copy, which is already gone.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    headers.remove(&name);
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
