//! The head of a response (RFC 9112, sections 2.2, 4 and 5).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use httparse::{ParserConfig, Response, Status};

use super::error::Error;
use super::fields::{self, Fields, Framing};

pub const MOST_BYTES: usize = 64 * 1024;
const MOST_HEADERS: usize = 256;

const BEGINS: &[u8] = b"HTTP/1.";
const NOT_A_HEAD: Error = Error::Malformed("it has no valid head");

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    pub status: StatusCode,
    /// Else 1.0.
    pub is_http11: bool,
    /// None of an interim response: nobody reads them.
    pub fields: Fields,
}

impl Head {
    /// Another one follows (RFC 9110, section 15.2).
    pub fn is_interim(&self) -> bool {
        is_interim(self.status)
    }

    /// Whether the other side goes on after this message (RFC 9112, section 9.3). One of HTTP/1.0 does
    /// not, whatever it says.
    pub const fn goes_on(&self) -> bool {
        self.is_http11 && !self.fields.closes
    }
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
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

/// A whole head, up to its empty line. No value is copied. The fields of a final one take the memory of
/// `spare`, whatever is in it.
///
/// # Errors
/// It is malformed, has too many lines, or does not say in one way where its body ends.
pub fn parse(bytes: &Bytes, spare: &mut HeaderMap) -> Result<Head, Error> {
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
    let (status, is_http11) =
        (StatusCode::from_u16(code).map_err(|_odd| NOT_A_HEAD)?, version == 1);
    if is_interim(status) {
        return Ok(Head { status, is_http11, fields: Fields::default() });
    }
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    let fields = Fields::of((bytes, parsed.headers), std::mem::take(spare), switches)?;
    if fields.framing == Framing::Chunked && !is_http11 {
        return Err(Error::Malformed("it is of HTTP/1.0, and chunked"));
    }
    Ok(Head { status, is_http11, fields })
}

/// The lines of a block of trailers, up to its empty line.
///
/// # Errors
/// They are malformed, or too many.
pub fn parse_trailers(bytes: &Bytes) -> Result<HeaderMap, Error> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_HEADERS];
    match httparse::parse_headers(bytes, &mut lines) {
        Ok(Status::Complete((end, parsed))) if end == bytes.len() => fields::all(bytes, parsed),
        Ok(_) | Err(_) => Err(Error::Malformed("its trailers are malformed")),
    }
}
