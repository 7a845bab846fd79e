//! The head of a request (RFC 9112, sections 3 and 6), as the framing guard let it pass.

use std::mem::MaybeUninit;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use httparse::{ParserConfig, Status};
use memchr::memmem::Finder;

use super::spare;
use crate::gateway::upstream::{Chunks, Decoder, number};

/// Room on the stack for so many lines.
const USUAL_LINES: usize = 100;

static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// The guard let something pass that cannot be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// What matters of a request for the form of its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub method: Kind,
    /// Else 1.0.
    pub is_http11: bool,
    /// Another request may follow.
    pub goes_on: bool,
    pub takes_trailers: bool,
}

/// Methods whose responses have a form of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    Head,
    Connect,
    #[default]
    Other,
}

impl Kind {
    fn of(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// What a request says of its body and of its connection.
#[derive(Debug, Default)]
pub struct Said {
    /// Of the body.
    pub decoder: Decoder,
    is_framed: bool,
    /// It waits for `100 Continue`.
    pub expects: bool,
    pub asked: Asked,
}

/// Takes a head from `input` into `request`; `None` while not all of it is there.
///
/// # Errors
/// It is none.
pub fn take<B>(
    input: &mut BytesMut,
    most_lines: usize,
    request: &mut Request<B>,
) -> Result<Option<Said>, Unreadable> {
    let Some(at) = END.find(input) else { return Ok(None) };
    let bytes = input.split_to(at + 4).freeze();
    if most_lines > USUAL_LINES {
        let mut lines = vec![MaybeUninit::uninit(); most_lines];
        return parse(&bytes, &mut lines, request).map(Some);
    }
    let mut lines = [const { MaybeUninit::uninit() }; USUAL_LINES];
    parse(&bytes, &mut lines, request).map(Some)
}

/// No value is copied.
fn parse<'a, B>(
    bytes: &'a Bytes,
    lines: &mut [MaybeUninit<httparse::Header<'a>>],
    request: &mut Request<B>,
) -> Result<Said, Unreadable> {
    let mut parsed = httparse::Request::new(&mut []);
    let status =
        ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, bytes, lines);
    if status != Ok(Status::Complete(bytes.len())) {
        return Err(Unreadable);
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Unreadable);
    };
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_odd| Unreadable)?;
    let target = bytes.slice_ref(target.as_bytes());
    *request.uri_mut() = Uri::from_maybe_shared(target).map_err(|_odd| Unreadable)?;
    let is_http11 = version == 1;
    *request.version_mut() = if is_http11 { Version::HTTP_11 } else { Version::HTTP_10 };
    let method = Kind::of(request.method());
    let asked = Asked { method, is_http11, goes_on: is_http11, takes_trailers: false };
    let mut said = Said { asked, ..Said::default() };
    *request.headers_mut() = spare::fields();
    said.collect(bytes, parsed.headers, request.headers_mut())?;
    // Only HTTP/1.1 has interim responses.
    said.expects &= is_http11;
    Ok(said)
}

impl Said {
    fn collect(
        &mut self,
        bytes: &Bytes,
        lines: &[httparse::Header<'_>],
        fields: &mut HeaderMap,
    ) -> Result<(), Unreadable> {
        fields.reserve(lines.len());
        for line in lines {
            let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_odd| Unreadable)?;
            self.field(&name, line.value)?;
            let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value));
            let value = value.map_err(|_odd| Unreadable)?;
            fields.try_append(name, value).map_err(|_too_many| Unreadable)?;
        }
        Ok(())
    }

    fn field(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), Unreadable> {
        // Told apart by their length first: most are none of these.
        match name.as_str().len() {
            14 if *name == CONTENT_LENGTH => {
                let length = number(value).ok_or(Unreadable)?;
                self.frame(if length == 0 { Decoder::Ended } else { Decoder::Sized(length) })
            }
            17 if *name == TRANSFER_ENCODING => {
                let is_chunked = value.eq_ignore_ascii_case(b"chunked");
                is_chunked.then_some(()).ok_or(Unreadable)?;
                self.frame(Decoder::Chunked(Chunks::default()))
            }
            10 if *name == CONNECTION => {
                self.asked.goes_on &= !lists(value, b"close");
                Ok(())
            }
            6 if *name == EXPECT => {
                self.expects = value.eq_ignore_ascii_case(b"100-continue");
                Ok(())
            }
            2 if *name == TE => {
                self.asked.takes_trailers |= lists(value, b"trailers");
                Ok(())
            }
            _other => Ok(()),
        }
    }

    /// Nothing frames a body twice.
    fn frame(&mut self, decoder: Decoder) -> Result<(), Unreadable> {
        if self.is_framed {
            return Err(Unreadable);
        }
        (self.decoder, self.is_framed) = (decoder, true);
        Ok(())
    }
}

/// Whether a list of tokens has this one.
pub fn lists(value: &[u8], token: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(token))
}
