//! The lines behind the first one of a response (RFC 9112, section 5), each looked at once.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Header;

use super::error::Error;
use super::request::number;
use crate::gateway::headers::{Field, Struck};

const ODD_FIELD: Error = Error::Malformed("a header is malformed");

/// Headers that a response to a client gets beside those of the tool.
const ADDED: usize = 4;

/// What the lines of a response say.
#[derive(Debug, Default)]
pub struct Fields {
    /// Those that pass to the client. Of a switch of protocols all of them: they are held against the
    /// request's first.
    pub headers: HeaderMap,
    pub framing: Framing,
    /// The tool says that it closes the connection.
    pub closes: bool,
}

/// Where they say that the body ends (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// They do not say.
    #[default]
    Unsaid,
    Sized(u64),
    Chunked,
}

impl Fields {
    /// No value is copied. `spare` is memory, whatever is in it.
    ///
    /// # Errors
    /// They are malformed, or do not say in one way where the body ends.
    pub fn of(
        (bytes, lines): (&Bytes, &[Header<'_>]),
        mut spare: HeaderMap,
        switches: bool,
    ) -> Result<Self, Error> {
        spare.clear();
        spare.reserve(lines.len() + ADDED);
        let mut fields = Self { headers: spare, ..Self::default() };
        let mut struck = Struck::default();
        for line in lines {
            let (field, usual) = Field::of(line.name.as_bytes());
            let passes = match field {
                Field::Passes => true,
                Field::Length => {
                    fields.framing.sized(line.value)?;
                    true
                }
                Field::Trailer => {
                    struck.announces_trailers();
                    true
                }
                Field::Connection => {
                    fields.closes |= says_close(line.value);
                    struck.nominate(line.value);
                    switches
                }
                Field::Coding => {
                    fields.framing.coded(line.value)?;
                    switches
                }
                Field::Stays => switches,
            };
            if passes {
                append(&mut fields.headers, (usual, line), bytes)?;
            }
        }
        if !switches {
            struck.strike(&mut fields.headers);
        }
        Ok(fields)
    }
}

impl Framing {
    fn sized(&mut self, value: &[u8]) -> Result<(), Error> {
        let length = number(value).ok_or(Error::Malformed("its length is no number"))?;
        self.say(Self::Sized(length))
    }

    fn coded(&mut self, value: &[u8]) -> Result<(), Error> {
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Error::Malformed("its coding is not chunked alone"));
        }
        self.say(Self::Chunked)
    }

    fn say(&mut self, said: Self) -> Result<(), Error> {
        if *self != Self::Unsaid {
            return Err(Error::Malformed("it says twice how long it is"));
        }
        *self = said;
        Ok(())
    }
}

/// All of them, whatever they are.
///
/// # Errors
/// They are malformed.
pub fn all(bytes: &Bytes, lines: &[Header<'_>]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        append(&mut headers, (None, line), bytes)?;
    }
    Ok(headers)
}

fn append(
    headers: &mut HeaderMap,
    (usual, line): (Option<HeaderName>, &Header<'_>),
    bytes: &Bytes,
) -> Result<(), Error> {
    let name = match usual {
        Some(usual) => usual,
        None => HeaderName::from_bytes(line.name.as_bytes()).map_err(|_odd| ODD_FIELD)?,
    };
    let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value));
    headers.append(name, value.map_err(|_odd| ODD_FIELD)?);
    Ok(())
}

/// RFC 9112, section 9.3.
fn says_close(value: &[u8]) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}
