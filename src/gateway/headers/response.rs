//! Which headers of a tool's response pass to the client. A response of HTTP/1.1 is asked line by line
//! ([`Field`]), one of HTTP/2 comes as a map and is cleaned as one; the rules are the same.

use http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    DATE, ETAG, EXPIRES, HOST, LAST_MODIFIED, LOCATION, SERVER, SET_COOKIE, TRAILER,
    TRANSFER_ENCODING, VARY,
};
use http::{HeaderMap, HeaderName};

use super::names::{Folded, HOP_BY_HOP};
use super::trailers;

/// What a header of a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// For the client.
    Passes,
    /// For the client; says how long the body is.
    Length,
    /// For the client, as far as its names may come.
    Trailer,
    Connection,
    /// How the body is framed on this connection.
    Coding,
    /// Of this connection otherwise, or one that only we may set.
    Stays,
}

impl Field {
    /// Of a name in any spelling, and the name itself when it is a usual one.
    #[must_use]
    pub fn of(name: &[u8]) -> (Self, Option<HeaderName>) {
        if let Some((field, usual)) = usual(name)
            && name.eq_ignore_ascii_case(usual.as_str().as_bytes())
        {
            return (field, Some(usual));
        }
        let folded = Folded::new(name);
        let stays = folded.is_any(&HOP_BY_HOP) || folded.is("tidegate-*");
        (if stays { Self::Stays } else { Self::Passes }, None)
    }

    const fn reaches_client(self) -> bool {
        match self {
            Self::Passes | Self::Length | Self::Trailer => true,
            Self::Connection | Self::Coding | Self::Stays => false,
        }
    }
}

/// The only usual name that `name` can be: most names are told apart by their length and first letter.
fn usual(name: &[u8]) -> Option<(Field, HeaderName)> {
    let first = name.first()?.to_ascii_lowercase();
    let known = match (name.len(), first) {
        (3, b'a') => (Field::Passes, AGE),
        (4, b'd') => (Field::Passes, DATE),
        (4, b'e') => (Field::Passes, ETAG),
        (4, b'v') => (Field::Passes, VARY),
        (6, b's') => (Field::Passes, SERVER),
        (7, b'e') => (Field::Passes, EXPIRES),
        (7, b't') => (Field::Trailer, TRAILER),
        (8, b'l') => (Field::Passes, LOCATION),
        (10, b'c') => (Field::Connection, CONNECTION),
        (10, b's') => (Field::Passes, SET_COOKIE),
        (12, b'c') => (Field::Passes, CONTENT_TYPE),
        (13, b'a') => (Field::Passes, ACCEPT_RANGES),
        (13, b'c') => (Field::Passes, CACHE_CONTROL),
        (13, b'l') => (Field::Passes, LAST_MODIFIED),
        (14, b'c') => (Field::Length, CONTENT_LENGTH),
        (16, b'c') => (Field::Passes, CONTENT_ENCODING),
        (17, b't') => (Field::Coding, TRANSFER_ENCODING),
        _ => return None,
    };
    Some(known)
}

/// What is taken away because of the other lines: names that `Connection` nominates, and those in
/// `Trailer` that may not come.
#[derive(Debug, Default)]
pub struct Struck {
    nominated: Vec<HeaderName>,
    has_trailer: bool,
}

impl Struck {
    /// The value of one `Connection`. What does not reach the client anyway need not be taken away, and
    /// a response that nominates its own length does not change its framing.
    pub fn nominate(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',') {
            let option = option.trim_ascii();
            let (field, usual) = Field::of(option);
            if !field.reaches_client() || field == Field::Length {
                continue;
            }
            let name = usual.or_else(|| HeaderName::from_bytes(option).ok());
            self.nominated.extend(name.filter(|name| *name != HOST));
        }
    }

    /// There is a `Trailer`.
    pub fn announces_trailers(&mut self) {
        self.has_trailer = true;
    }

    /// Takes it from the headers that reach the client otherwise.
    pub fn strike(&self, headers: &mut HeaderMap) {
        for name in &self.nominated {
            headers.remove(name);
        }
        if self.has_trailer {
            trailers::keep_announced(headers, trailers::passes_to_client);
        }
    }
}

/// Leaves what passes to the client.
pub fn rewrite_response(headers: &mut HeaderMap) {
    let mut struck = Struck::default();
    let mut gone: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        match Field::of(name.as_str().as_bytes()).0 {
            Field::Passes | Field::Length => (),
            Field::Trailer => struck.announces_trailers(),
            Field::Connection => {
                let values = headers.get_all(name).into_iter();
                values.for_each(|value| struck.nominate(value.as_bytes()));
                gone.push(CONNECTION);
            }
            Field::Coding | Field::Stays => gone.push(name.clone()),
        }
    }
    for name in gone {
        headers.remove(name);
    }
    struck.strike(headers);
}

/// The headers of a response that decide where it ends leave no doubt.
#[must_use]
pub fn is_framed_clearly(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    let plain = length
        .is_none_or(|value| !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit));
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let encoding = encodings.next();
    let chunked = encoding.is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    let single = lengths.next().is_none() && encodings.next().is_none();
    single && plain && chunked && !(length.is_some() && encoding.is_some())
}
