//! The head of a response (RFC 9112, sections 2.2, 4 and 5).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use httparse::{ParserConfig, Response, Status};

use super::error::Error;

pub const MOST_BYTES: usize = 64 * 1024;
const MOST_HEADERS: usize = 256;

const BEGINS: &[u8] = b"HTTP/1.";
const NOT_A_HEAD: Error = Error::Malformed("it has no valid head");
const ODD_FIELD: Error = Error::Malformed("a header is malformed");

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    pub status: StatusCode,
    /// Else 1.0.
    pub is_http11: bool,
    pub headers: HeaderMap,
}

/// Where a block of lines ends that an empty line ends. `scanned`: how much was looked at before.
///
/// # Errors
/// A line does not end in CRLF, or it is larger than `most`.
pub fn end_of_lines(
    bytes: &[u8],
    scanned: &mut usize,
    most: usize,
) -> Result<Option<usize>, Error> {
    while let Some(at) = memchr::memchr(b'\n', bytes.get(*scanned..).unwrap_or_default()) {
        let end = *scanned + at + 1;
        let lines = bytes.get(..end).unwrap_or_default();
        if !lines.ends_with(b"\r\n") {
            return Err(Error::Malformed("a line ends in a bare LF"));
        }
        *scanned = end;
        if lines.ends_with(b"\r\n\r\n") {
            return if end > most { Err(too_large()) } else { Ok(Some(end)) };
        }
    }
    *scanned = bytes.len();
    if bytes.len() > most { Err(too_large()) } else { Ok(None) }
}

const fn too_large() -> Error {
    Error::Malformed("its head or its trailers are too large")
}

/// Where the head ends; `None`: not all of it is there.
///
/// # Errors
/// It is none.
pub fn end_of_head(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, Error> {
    let begins = bytes.get(..BEGINS.len()).unwrap_or(bytes);
    if !BEGINS.starts_with(begins) {
        return Err(NOT_A_HEAD);
    }
    end_of_lines(bytes, scanned, MOST_BYTES)
}

/// A whole head, up to its empty line. No value is copied.
///
/// # Errors
/// It is malformed, or has too many lines.
pub fn parse(bytes: &Bytes) -> Result<Head, Error> {
    let mut lines = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = Response::new(&mut []);
    let config = ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut lines) {
        Ok(Status::Complete(end)) if end == bytes.len() => (),
        Ok(Status::Complete(_) | Status::Partial) => return Err(NOT_A_HEAD),
        Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
        Err(_malformed) => return Err(NOT_A_HEAD),
    }
    let (Some(version), Some(code)) = (parsed.version, parsed.code) else { return Err(NOT_A_HEAD) };
    Ok(Head {
        status: StatusCode::from_u16(code).map_err(|_odd| NOT_A_HEAD)?,
        is_http11: version == 1,
        headers: fields(bytes, parsed.headers)?,
    })
}

/// The lines of a block of trailers, up to its empty line.
///
/// # Errors
/// They are malformed, or too many.
pub fn parse_trailers(bytes: &Bytes) -> Result<HeaderMap, Error> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_HEADERS];
    match httparse::parse_headers(bytes, &mut lines) {
        Ok(Status::Complete((end, parsed))) if end == bytes.len() => fields(bytes, parsed),
        Ok(_) | Err(_) => Err(Error::Malformed("its trailers are malformed")),
    }
}

fn fields(bytes: &Bytes, lines: &[httparse::Header<'_>]) -> Result<HeaderMap, Error> {
    let mut fields = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_odd| ODD_FIELD)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value));
        fields.append(name, value.map_err(|_odd| ODD_FIELD)?);
    }
    Ok(fields)
}

/// Whether the other side goes on after this message (RFC 9112, section 9.3). One of HTTP/1.0 does not,
/// whatever it says.
pub fn goes_on(head: &Head) -> bool {
    let options = head.headers.get_all(CONNECTION).into_iter();
    let mut options = options.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    head.is_http11 && !options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}
