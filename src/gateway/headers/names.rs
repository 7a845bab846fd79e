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
/// make one sign of `-`, `_`, `.` and others). It is folded as far as it is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folded<'a>(&'a [u8]);

impl<'a> Folded<'a> {
    pub(super) const fn new(name: &'a [u8]) -> Self {
        Self(name)
    }

    pub(super) fn is(self, pattern: &str) -> bool {
        self.begins_like(pattern) && self.is_all(pattern)
    }

    /// Most patterns are left out by their first sign.
    fn begins_like(self, pattern: &str) -> bool {
        let (first, known) = (self.0.first(), pattern.as_bytes().first());
        first.zip(known).is_some_and(|(&byte, &known)| fold(byte) == known)
    }

    fn is_all(self, pattern: &str) -> bool {
        let pattern = pattern.as_bytes();
        let text = match pattern.strip_suffix(b"*") {
            Some(prefix) if self.0.len() >= prefix.len() => prefix,
            None if self.0.len() == pattern.len() => pattern,
            Some(_) | None => return false,
        };
        self.0.iter().zip(text).all(|(&byte, &known)| fold(byte) == known)
    }

    pub(super) fn is_any(self, patterns: &[&str]) -> bool {
        patterns.iter().any(|pattern| self.is(pattern))
    }
}

const fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// Whether a `Connection` option names a header that must arrive.
#[must_use]
pub fn is_protected(option: &[u8]) -> bool {
    Folded::new(option).is_any(&PROTECTED)
}

/// Whether two names are the same to a server that does not tell `-`, `_`, `.` and the like apart.
#[must_use]
pub fn is_spelling_of(name: &HeaderName, real: &HeaderName) -> bool {
    let (one, other) = (name.as_str().as_bytes(), real.as_str().as_bytes());
    one.len() == other.len() && one.iter().zip(other).all(|(&a, &b)| fold(a) == fold(b))
}
