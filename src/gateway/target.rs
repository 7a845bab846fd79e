//! The canonical target: host, path and method in the only spelling that is let through.
//!
//! Nothing is ever rewritten here: a path is either forwarded byte for byte or refused, so that the
//! policy and the tool cannot read it differently.

use std::borrow::Cow;

use http::header::{CONNECTION, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderMap, Method};

use percent_encoding::percent_decode;

use crate::config::Encoded;

use super::framing::is_token;
use super::headers::{Present, is_protected};
use super::refusal::Refusal;

/// How often a path may be encoded over itself; each time costs a pass over it.
const MOST_ENCODED: usize = 8;

/// A request's target, borrowed from its head.
#[derive(Debug)]
pub struct Target<'a> {
    pub method: &'a Method,
    /// Lower case, without port.
    pub host: Cow<'a, str>,
    /// Begins with `/`; not yet checked (that depends on the tool): [`check_path`].
    pub path: &'a str,
    pub query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// `present`: of the head's headers.
    ///
    /// # Errors
    /// `bad-request`: not origin-form, not exactly one plain `Host`, an unknown method, or a
    /// `Connection` or `Expect` that cannot be honoured.
    pub fn read(head: &'a Parts, present: Present, methods: &[Method]) -> Result<Self, Refusal> {
        let uri = &head.uri;
        if uri.scheme().is_some() || uri.authority().is_some() || !uri.path().starts_with('/') {
            return Err(Refusal::bad_request("the target must be a path (origin-form)"));
        }
        check_method(&head.method, methods)?;
        let host = one_host(&head.headers)?;
        if present.has(Present::CONNECTION) {
            check_connection(&head.headers)?;
        }
        if present.has(Present::EXPECT) {
            check_expect(&head.headers)?;
        }
        Ok(Self { method: &head.method, host, path: uri.path(), query: uri.query() })
    }
}

/// `CONNECT` is never served: it asks for a tunnel, not for a path.
fn check_method(method: &Method, named: &[Method]) -> Result<(), Refusal> {
    let usual = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
    ];
    let known = usual.contains(method) || named.contains(method);
    if known && *method != Method::CONNECT {
        return Ok(());
    }
    Err(Refusal::bad_request("the method is not one that this gateway knows"))
}

/// The host of the only `Host`, in lower case, without port.
///
/// # Errors
/// `bad-request`: none, several, or one that is not a plain name.
pub fn one_host(headers: &HeaderMap) -> Result<Cow<'_, str>, Refusal> {
    let mut values = headers.get_all(HOST).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refusal::bad_request("a request needs exactly one Host"));
    };
    if let Some(host) = usual_host(value.as_bytes()) {
        return Ok(Cow::Borrowed(host));
    }
    let host = value.to_str().ok().and_then(bare_host);
    let host = host.ok_or_else(|| Refusal::bad_request("the Host is not a plain name"))?;
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(host.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(host))
}

/// What [`bare_host`] gives for a name in lower case, with or without a port: almost every host. `None`
/// for any other.
fn usual_host(value: &[u8]) -> Option<&str> {
    let in_name = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let length = value.iter().position(|byte| !in_name(byte)).unwrap_or(value.len());
    let (name, rest) = value.split_at(length);
    let port_fits = match rest {
        [] => true,
        [b':', port @ ..] => (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return None };
    let name_fits = *first != b'.' && *last != b'.';
    std::str::from_utf8(name).ok().filter(|_| port_fits && name_fits)
}

/// The name of `name`, `name:port`, `[v6]` or `[v6]:port`.
fn bare_host(text: &str) -> Option<&str> {
    let (name, port) = match text.rfind(']') {
        Some(end) => {
            let (name, rest) = text.split_at(end + 1);
            (name, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let port_fits = port.is_none_or(|port| {
        (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit())
    });
    let name_fits = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && !name.ends_with('.')
                && !name.starts_with('.')
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    };
    (port_fits && name_fits).then_some(name)
}

/// A `Connection` header may not make us drop a header that others rely on.
fn check_connection(headers: &HeaderMap) -> Result<(), Refusal> {
    for value in headers.get_all(CONNECTION) {
        for option in value.as_bytes().split(|&byte| byte == b',') {
            let option = option.trim_ascii();
            if !option.is_empty() && !is_token(option) {
                return Err(Refusal::bad_request("a Connection option that is not a token"));
            }
            if is_protected(option) {
                return Err(Refusal::bad_request(
                    "a Connection option that names a protected header",
                ));
            }
        }
    }
    Ok(())
}

fn check_expect(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all(EXPECT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(()),
        (Some(_), _) => Err(Refusal::bad_request("an Expect other than 100-continue")),
    }
}

/// The rules for the path of a target; the query is untouched.
///
/// # Errors
/// What was found.
pub fn check_path(path: &str, encoded: Encoded) -> Result<(), &'static str> {
    if is_usual_path(path.as_bytes()) {
        return Ok(());
    }
    check_unusual_path(path, encoded)
}

fn check_unusual_path(path: &str, encoded: Encoded) -> Result<(), &'static str> {
    let opaque = encoded == Encoded::Opaque;
    let mut escapes = false;
    for byte in path.bytes() {
        match byte {
            b'\\' => return Err("a backslash in the path"),
            b'#' => return Err("a # in the path"),
            b';' if !opaque => return Err("a ; in the path"),
            b'%' => escapes = true,
            0..=b' ' | 0x7f..=0xff => return Err("a control, blank or non-ASCII byte in the path"),
            _ => (),
        }
    }
    if !opaque && path.contains("//") {
        return Err("an empty segment (//) in the path");
    }
    if escapes {
        check_escapes(path, opaque)?;
    }
    if has_dot_segment(path, escapes) {
        return Err("a dot segment in the path");
    }
    Ok(())
}

/// Nothing in it that any of the rules is about: no dot, no escape, no empty segment, none of the signs
/// that are refused. So are most paths.
fn is_usual_path(path: &[u8]) -> bool {
    let mut last = 0;
    path.iter().fold(true, |usual, &byte| {
        let odd = matches!(byte, b'.' | b'%' | b'\\' | b'#' | b';' | 0..=b' ' | 0x7f..=0xff);
        let odd = odd || byte == b'/' && last == b'/';
        last = byte;
        usual && !odd
    })
}

fn check_escapes(path: &str, opaque: bool) -> Result<(), &'static str> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (digit(after.first()), digit(after.get(1))) else {
            return Err("a broken escape in the path");
        };
        let value = high << 4 | low;
        check_escaped(value, opaque)?;
        decoded.push(value);
        rest = after.get(2..).unwrap_or_default();
    }
    std::str::from_utf8(&decoded).map(|_| ()).map_err(|_| "an escape that is not UTF-8 in the path")
}

fn check_escaped(value: u8, opaque: bool) -> Result<(), &'static str> {
    match value {
        b'/' if !opaque => Err("an encoded slash (%2f) in the path"),
        b'%' if !opaque => Err("an encoded percent sign (%25) in the path"),
        b';' if !opaque => Err("an encoded semicolon (%3b) in the path"),
        b'\\' => Err("an encoded backslash (%5c) in the path"),
        b'#' | b'?' => Err("an encoded # or ? in the path"),
        0 => Err("an encoded NUL (%00) in the path"),
        1..=0x1f | 0x7f => Err("an encoded control byte in the path"),
        _ => Ok(()),
    }
}

fn digit(byte: Option<&u8>) -> Option<u8> {
    byte.and_then(|&byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
}

/// `.` and `..` however they are written, also where a tool that decodes again and again, or cuts
/// parameters off, would see one. What is still encoded after that is taken for one.
fn has_dot_segment(path: &str, escapes: bool) -> bool {
    if !path.contains('.') && !escapes {
        return false;
    }
    let mut text = Cow::Borrowed(path.as_bytes());
    for _ in 0..MOST_ENCODED {
        if text.split(|byte| matches!(byte, b'/' | b'\\')).any(is_dots) {
            return true;
        }
        let decoded: Vec<u8> = percent_decode(&text).collect();
        if decoded.len() == text.len() {
            return false;
        }
        text = Cow::Owned(decoded);
    }
    true
}

fn is_dots(segment: &[u8]) -> bool {
    let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
    name == b"." || name == b".."
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text of up to so many of these signs.
    fn texts(signs: &[&str], most: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..most {
            last =
                last.iter().flat_map(|it| signs.iter().map(move |s| format!("{it}{s}"))).collect();
            all.extend_from_slice(&last);
        }
        all
    }

    #[test]
    fn the_short_way_for_usual_paths_lets_nothing_through_that_the_rules_refuse() {
        let signs =
            ["/", ".", "%", "2", "f", "\\", "#", ";", "a", "~", "\x7f", " ", "\u{e9}", "\0"];
        let mut usual = 0;
        for path in texts(&signs, 4) {
            if !is_usual_path(path.as_bytes()) {
                continue;
            }
            usual += 1;
            for encoded in [Encoded::Refuse, Encoded::Opaque] {
                assert_eq!(check_unusual_path(&path, encoded), Ok(()), "{path:?}");
            }
        }
        assert!(usual > 100);
        assert!(is_usual_path(b"/tool1/reports/2026-11?"), "what a path is made of");
    }

    #[test]
    fn the_short_way_for_usual_hosts_gives_what_the_rules_give() {
        let signs = ["a", "z", "A", "0", "9", ".", "-", "_", ":", "[", "]", "@", "\u{e9}", " "];
        let mut usual = 0;
        for host in texts(&signs, 4).into_iter().chain(["a:12345".into(), "a:123456".into()]) {
            if let Some(name) = usual_host(host.as_bytes()) {
                usual += 1;
                assert_eq!(bare_host(&host), Some(name), "{host:?}");
                assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()));
            }
        }
        assert!(usual > 100);
        assert_eq!(usual_host(b"a:12345"), Some("a"));
        assert_eq!(usual_host(b"a:123456"), None);
    }
}
