//! The head of a request, and how its body is framed (RFC 9112, sections 3 and 6).

use http::header::{CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Request};
use http_body::Body;

use super::error::Error;
use crate::gateway::headers::Added;

/// How the body of a request is framed.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    #[default]
    Nothing,
    /// So many bytes are still to come.
    Length(u64),
    /// With trailers of these names only: they were announced.
    Chunked(Vec<HeaderName>),
}

/// Adds the head to `out`; `added`: lines that are not among the request's headers.
///
/// # Errors
/// Target or length are not such that a tool would read them as they are meant.
pub fn encode<B: Body>(
    request: &Request<B>,
    added: Option<&Added<'_>>,
    out: &mut Vec<u8>,
) -> Result<Framing, Error> {
    let headers = request.headers();
    let (framing, announced) = framing_of(headers, request.body())?;
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target(request)?.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in headers {
        let framed_otherwise = match framing {
            Framing::Nothing | Framing::Length(_) => name == TRANSFER_ENCODING,
            Framing::Chunked(_) => name == CONTENT_LENGTH,
        };
        if !framed_otherwise {
            add_field(out, name, value.as_bytes());
        }
    }
    if let Some(added) = added {
        added.each(headers.get(HOST), |name, value| add_field(out, name, value));
    }
    match &framing {
        Framing::Length(length) if !announced => {
            add_field(out, &CONTENT_LENGTH, length.to_string().as_bytes());
        }
        Framing::Chunked(_) if !announced => add_field(out, &TRANSFER_ENCODING, b"chunked"),
        Framing::Nothing | Framing::Length(_) | Framing::Chunked(_) => (),
    }
    out.extend_from_slice(b"\r\n");
    Ok(framing)
}

/// One line of a head or of trailers.
pub fn add_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    // Once, and not with each of the four.
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Origin-form, or `*`.
fn target<B>(request: &Request<B>) -> Result<&str, Error> {
    let uri = request.uri();
    let target = uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    target
        .filter(|target| uri.authority().is_none() && (target.starts_with('/') || *target == "*"))
        .ok_or(Error::Unsendable("its target is no path"))
}

/// And whether the headers say so already.
fn framing_of<B: Body>(headers: &HeaderMap, body: &B) -> Result<(Framing, bool), Error> {
    let length = content_length(headers)?;
    if body.is_end_stream() {
        return match length {
            None | Some(0) => Ok((Framing::Nothing, true)),
            Some(_) => Err(Error::Unsendable("it announces a body that it does not have")),
        };
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            return Ok((Framing::Chunked(trailers(headers)), true));
        }
        (Some(_), _) => return Err(Error::Unsendable("its body is coded in an unknown way")),
        (None, _) => (),
    }
    Ok(match (length, body.size_hint().exact()) {
        (Some(length), _) => (Framing::Length(length), true),
        (None, Some(length)) => (Framing::Length(length), false),
        (None, None) => (Framing::Chunked(trailers(headers)), false),
    })
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(None) };
    let odd = Error::Unsendable("its length cannot be read in one way");
    if lengths.next().is_some() {
        return Err(odd);
    }
    number(length.as_bytes()).map(Some).ok_or(odd)
}

/// `1*DIGIT`, and not more than fits.
pub fn number(text: &[u8]) -> Option<u64> {
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| plain)?.parse().ok()
}

fn trailers(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(TRAILER).into_iter();
    let names = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}
