//! Names of headers, as servers that tell spellings apart badly read them.

use http::HeaderName;

/// Names that only we may set towards the tool, or that would mislead it: who the client is, what
/// the original target or method was (folded spelling; `*` ends a prefix).
pub(super) const NOT_FROM_CLIENTS: [&str; 15] = [
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
pub(super) const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "te",
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
pub(super) struct Folded {
    bytes: [u8; 64],
    length: usize,
}

impl Folded {
    pub(super) fn new(name: &[u8]) -> Self {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(name) {
            let same = from.is_ascii_alphanumeric();
            *to = if same { from.to_ascii_lowercase() } else { b'-' };
        }
        Self { bytes, length: name.len() }
    }

    pub(super) fn is(&self, pattern: &str) -> bool {
        let pattern = pattern.as_bytes();
        match pattern.strip_suffix(b"*") {
            Some(prefix) => self.length >= prefix.len() && self.bytes.starts_with(prefix),
            None => self.length == pattern.len() && self.bytes.starts_with(pattern),
        }
    }

    pub(super) fn is_any(&self, patterns: &[&str]) -> bool {
        // Most are told apart by their first letter.
        let first = self.bytes[0];
        let may_be = |pattern: &str| pattern.as_bytes().first() == Some(&first);
        patterns.iter().any(|pattern| may_be(pattern) && self.is(pattern))
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
