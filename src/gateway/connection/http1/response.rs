//! The head of a response, and how its body is framed (RFC 9112, sections 4 and 6).

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRAILER, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body;

use super::date::Date;
use super::request::{Asked, Kind, lists};
use crate::gateway::upstream::{add_field, number};

/// How the body of a response is framed.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    #[default]
    Nothing,
    /// So many bytes are still to come.
    Length(u64),
    /// With trailers of these names only: they were announced, and the client takes them.
    Chunked(Vec<HeaderName>),
    /// Up to the end of the connection.
    UntilClose,
}

/// It cannot be sent in one clear form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsendable;

/// What was made of a head.
#[derive(Debug, PartialEq, Eq)]
pub struct Sent {
    pub framing: Framing,
    /// Another request may follow.
    pub goes_on: bool,
}

/// Which lines a response with this status may have, to such a request.
#[derive(Clone, Copy, Debug)]
struct Form {
    asked: Asked,
    /// What follows is no HTTP.
    leaves_http: bool,
    /// The status rules a body out.
    is_bare: bool,
    /// And its length, too.
    bars_length: bool,
    body: Length,
}

#[derive(Clone, Copy, Debug)]
enum Length {
    Ended,
    Known(u64),
    Unknown,
}

/// Adds the head to `out`.
///
/// # Errors
/// Its length is none, or it has two, or is not that of the body.
pub fn encode(
    response: &Response<impl Body>,
    asked: Asked,
    date: impl FnOnce() -> Date,
    out: &mut Vec<u8>,
) -> Result<Sent, Unsendable> {
    let (status, headers) = (response.status(), response.headers());
    let form = Form::of(status, response.body(), asked)?;
    out.reserve(128 + headers.len() * 48);
    add_status(out, status, asked);
    let mut seen = Seen::default();
    for (name, value) in headers {
        if seen.passes(name, value, form)? {
            add_field(out, name, value.as_bytes());
        }
    }
    let framing = form.framing(&mut seen, out);
    let ends = seen.closes || form.leaves_http || framing == Framing::UntilClose;
    let goes_on = asked.goes_on && !ends;
    if !goes_on && !seen.closes && !form.leaves_http {
        out.extend_from_slice(b"connection: close\r\n");
    }
    if !seen.has_date {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(&date());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(Sent { framing, goes_on })
}

fn add_status(out: &mut Vec<u8>, status: StatusCode, asked: Asked) {
    if status == StatusCode::OK && asked.is_http11 {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(if asked.is_http11 { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("<none>").as_bytes());
    out.extend_from_slice(b"\r\n");
}

impl Form {
    fn of(status: StatusCode, body: &impl Body, asked: Asked) -> Result<Self, Unsendable> {
        let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
        if status.is_informational() && !is_switch {
            // An interim response is no answer.
            return Err(Unsendable);
        }
        let leaves_http = is_switch || asked.method == Kind::Connect && status.is_success();
        let is_not_modified = status == StatusCode::NOT_MODIFIED;
        let is_bare = leaves_http || is_not_modified || status == StatusCode::NO_CONTENT;
        let body = if body.is_end_stream() {
            Length::Ended
        } else {
            body.size_hint().exact().map_or(Length::Unknown, Length::Known)
        };
        let is_head = asked.method == Kind::Head;
        let bars_length = is_bare && !(is_head && is_not_modified);
        Ok(Self { asked, leaves_http, is_bare, bars_length, body })
    }

    const fn may_have_body(self) -> bool {
        !self.is_bare && !matches!(self.asked.method, Kind::Head)
    }

    /// The framing, and the line that says so if there was none.
    fn framing(self, seen: &mut Seen, out: &mut Vec<u8>) -> Framing {
        let said = seen.length;
        match self.body {
            Length::Ended | Length::Known(0) => {
                if said.is_none() && self.may_have_body() {
                    add_length(out, 0);
                }
                Framing::Nothing
            }
            Length::Known(length) => {
                if said.is_none() && !self.is_bare {
                    add_length(out, length);
                }
                if self.may_have_body() { Framing::Length(length) } else { Framing::Nothing }
            }
            Length::Unknown if !self.may_have_body() => Framing::Nothing,
            Length::Unknown => match said {
                Some(0) => Framing::Nothing,
                Some(length) => Framing::Length(length),
                None if self.asked.is_http11 => {
                    out.extend_from_slice(b"transfer-encoding: chunked\r\n");
                    Framing::Chunked(std::mem::take(&mut seen.trailers))
                }
                None => Framing::UntilClose,
            },
        }
    }
}

/// What the fields said.
#[derive(Debug, Default)]
struct Seen {
    length: Option<u64>,
    closes: bool,
    has_date: bool,
    trailers: Vec<HeaderName>,
}

impl Seen {
    /// Whether the field is sent.
    fn passes(
        &mut self,
        name: &HeaderName,
        value: &HeaderValue,
        form: Form,
    ) -> Result<bool, Unsendable> {
        match name.as_str().len() {
            14 if *name == CONTENT_LENGTH => self.content_length(value, form),
            // What codes this connection's bytes is said below.
            17 if *name == TRANSFER_ENCODING => Ok(false),
            10 if *name == CONNECTION => {
                self.closes |= lists(value.as_bytes(), b"close");
                Ok(true)
            }
            4 if *name == DATE => {
                self.has_date = true;
                Ok(true)
            }
            7 if *name == TRAILER => {
                let passes = form.asked.is_http11 && form.may_have_body();
                if passes && form.asked.takes_trailers {
                    let names = value.as_bytes().split(|&byte| byte == b',');
                    let names = names.filter_map(|it| HeaderName::from_bytes(it.trim_ascii()).ok());
                    self.trailers.extend(names);
                }
                Ok(passes)
            }
            _other => Ok(true),
        }
    }

    fn content_length(&mut self, value: &HeaderValue, form: Form) -> Result<bool, Unsendable> {
        let length = number(value.as_bytes()).ok_or(Unsendable)?;
        let fits = match form.body {
            Length::Known(known) => known == length,
            Length::Unknown => true,
            // It may be that of a body which is not sent.
            Length::Ended if form.asked.method == Kind::Head => true,
            Length::Ended => return Ok(false),
        };
        if form.bars_length {
            return Ok(false);
        }
        if !fits || self.length.replace(length).is_some() {
            return Err(Unsendable);
        }
        Ok(true)
    }
}

fn add_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    add_number::<10>(out, length);
    out.extend_from_slice(b"\r\n");
}

/// In digits to this base, at most 16.
pub fn add_number<const BASE: u64>(out: &mut Vec<u8>, number: u64) {
    if number >= BASE {
        add_number::<BASE>(out, number / BASE);
    }
    let digit = u32::try_from(number % BASE).unwrap_or_default();
    let base = u32::try_from(BASE).unwrap_or(10);
    let digit = char::from_digit(digit, base).unwrap_or('0').to_ascii_uppercase();
    out.push(u8::try_from(digit).unwrap_or(b'0'));
}
