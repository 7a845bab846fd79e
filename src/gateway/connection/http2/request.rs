//! A request of HTTP/2 in the form that HTTP/1.1 gives it: origin-form target, one `Host`, one
//! `Cookie` (RFC 9113, section 8.3.1 and 8.2.3).
//!
//! What cannot be brought into that form stays as it is: the target's own checks refuse it, with a
//! decision record, as they refuse the like on HTTP/1.1. Nothing is guessed.

use http::header::{CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body::Body;

use crate::gateway::connection::Peer;
use crate::gateway::framing::{
    HeadLimits, Violation, check_target, content_length, is_field_value, is_spelled_like, is_token,
};
use crate::gateway::tunnel::into_handshake;

/// # Errors
/// The head is larger than one of HTTP/1.1 may be, or has a name that HTTP/1.1 does not know.
pub fn normalised<B: Body>(
    request: Request<B>,
    peer: &Peer,
    limits: HeadLimits,
) -> Result<Request<B>, Violation> {
    let (mut head, body) = request.into_parts();
    check_size(&head, limits)?;
    check_fields(&head.headers)?;
    if let Some(target) = head.uri.path_and_query().filter(|it| it.as_str().starts_with('/')) {
        check_target(target.as_str().as_bytes())?;
    }
    name_host(&mut head);
    if let Some(target) = origin_form(&head.uri, peer) {
        head.uri = target;
    }
    join_cookies(&mut head.headers);
    into_handshake(&mut head);
    // HTTP/1.1 has to be told that there is a body, or a GET goes on without its own.
    if !body.is_end_stream() && !head.headers.contains_key(CONTENT_LENGTH) {
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok(Request::from_parts(head, body))
}

/// Counted as the same head would be on HTTP/1.1.
fn check_size(head: &Parts, limits: HeadLimits) -> Result<(), Violation> {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.target_bytes {
        return Err(Violation::TargetTooLong);
    }
    let line = head.method.as_str().len() + target + " HTTP/1.1\r\n\r\n ".len();
    let host = head.uri.authority().map_or(0, |name| "host: \r\n".len() + name.as_str().len());
    let fields = head.headers.iter();
    let fields: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let count = head.headers.len() + usize::from(host > 0);
    if line + host + fields > limits.head_bytes || count > limits.header_count {
        return Err(Violation::HeadTooLarge);
    }
    Ok(())
}

/// The library takes more than HTTP/1.1 has: a quotation mark in a name, blanks around a value, a
/// length that is repeated. The tool would have to guess, or would read another value than we did.
fn check_fields(headers: &HeaderMap) -> Result<(), Violation> {
    for (name, value) in headers {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        if !is_token(name) {
            return Err(Violation::Head("a header name that is not a token"));
        }
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if is_blank(value.first()) || is_blank(value.last()) || !is_field_value(value) {
            return Err(Violation::Head("a header value with blanks around it or odd bytes in it"));
        }
        if is_spelled_like(name, b"content-length")? {
            content_length(value)?;
        }
        is_spelled_like(name, b"transfer-encoding")?;
    }
    if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Violation::Head("more than one Content-Length"));
    }
    Ok(())
}

/// `:authority` becomes the `Host`. A `Host` that says something else stays beside it: two of them
/// are refused.
fn name_host(head: &mut Parts) {
    let Some(authority) = head.uri.authority() else { return };
    let Ok(host) = HeaderValue::from_str(authority.as_str()) else { return };
    let agrees = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(host.as_bytes());
    if head.headers.get_all(HOST).iter().all(agrees)
        && head.headers.get_all(HOST).iter().count() < 2
    {
        head.headers.insert(HOST, host);
    } else {
        head.headers.append(HOST, host);
    }
}

/// The target as a path alone. `None`: it is not one, or the scheme is not that of the connection.
/// Without TLS `https` may stand there, too: somebody in front of us has ended it.
fn origin_form(uri: &Uri, peer: &Peer) -> Option<Uri> {
    let fits = match uri.scheme_str() {
        None | Some("https") => true,
        Some("http") => !peer.secure,
        Some(_) => false,
    };
    let target = uri.path_and_query().filter(|target| fits && target.as_str().starts_with('/'))?;
    Some(Uri::from(target.clone()))
}

/// Clients may send one field per cookie, for the sake of compression.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, value);
    }
}
