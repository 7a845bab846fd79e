//! Names of headers, as servers that tell spellings apart badly read them.

use http::HeaderName;

/// Names that only we may set towards the tool, or that would mislead it: who the client is, what
/// the original target or method was (folded spelling; `*` ends a prefix).
pub(super) const NOT_FROM_CLIENTS: Patterns = Patterns::of(&[
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
]);

/// RFC 9110, section 7.6.1, and what older servers treat alike.
pub(super) const HOP_BY_HOP: Patterns = Patterns::of(&[
    "connection",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
    "proxy-*",
    "proxy",
    "http2-settings",
]);

/// Headers that a `Connection` option may not take away.
const PROTECTED: Patterns = Patterns::of(&[
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
]);

/// A name in one spelling: lower case, and `-` for whatever is no letter or digit (CGI-like servers
/// make one sign of `-`, `_`, `.` and others). It is folded as far as it is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folded<'a>(&'a [u8]);

impl<'a> Folded<'a> {
    pub(super) const fn new(name: &'a [u8]) -> Self {
        Self(name)
    }

    pub(super) fn is(self, pattern: &str) -> bool {
        let pattern = pattern.as_bytes();
        let text = match pattern.strip_suffix(b"*") {
            Some(prefix) if self.0.len() >= prefix.len() => prefix,
            None if self.0.len() == pattern.len() => pattern,
            Some(_) | None => return false,
        };
        self.0.iter().zip(text).all(|(&byte, &known)| fold(byte) == known)
    }

    pub(super) fn is_any(self, patterns: &Patterns) -> bool {
        let Some(first) = self.0.first().map(|&byte| initial(fold(byte))) else { return false };
        patterns.initials & first != 0 && patterns.all.iter().any(|pattern| self.is(pattern))
    }
}

/// Patterns of names, none of them empty, and how they begin: most names begin like none of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patterns {
    all: &'static [&'static str],
    initials: u32,
}

impl Patterns {
    pub(super) const fn of(all: &'static [&'static str]) -> Self {
        let (mut initials, mut left) = (0, all);
        while let [pattern, others @ ..] = left {
            match pattern.as_bytes() {
                [b'*', ..] | [] => initials = u32::MAX,
                [first, ..] => initials |= initial(*first),
            }
            left = others;
        }
        Self { all, initials }
    }
}

/// A bit for each letter, and one for all other signs.
const fn initial(folded: u8) -> u32 {
    match folded {
        b'a'..=b'z' => 1 << (folded - b'a'),
        _ => 1 << 31,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_name_begins_leaves_out_no_pattern_that_it_is_like() {
        for patterns in [NOT_FROM_CLIENTS, HOP_BY_HOP, PROTECTED] {
            for pattern in patterns.all {
                let name = pattern.trim_end_matches('*');
                for spelling in [name.to_owned(), name.to_uppercase(), name.replace('-', "_")] {
                    let folded = Folded::new(spelling.as_bytes());
                    assert!(folded.is(pattern) && folded.is_any(&patterns), "{spelling}");
                }
            }
        }
        let odd = Patterns::of(&["-x", "9*", "*"]);
        for (name, is) in [("_x", true), ("9y", true), ("z", true), ("", false)] {
            assert_eq!(Folded::new(name.as_bytes()).is_any(&odd), is, "{name}");
        }
    }
}
