//! Chunked bodies (RFC 9112, section 7.1).

use bytes::{Buf, BytesMut};
use http::HeaderMap;

use super::decoder::Step;
use super::error::Error;
use super::head::{end_of_lines, parse_trailers};

/// Of all lines with sizes together, beyond the sizes themselves.
const MOST_EXTENSIONS: usize = 16 * 1024;
const MOST_LINE: usize = 4 * 1024;
const MOST_TRAILERS: usize = 16 * 1024;
/// More than 2^60 bytes are no body.
const MOST_DIGITS: usize = 15;

const ODD_SIZE: Error = Error::Malformed("the size of a chunk is malformed");

/// How far a chunked body was read.
#[derive(Debug, Default)]
pub struct Chunks {
    at: At,
    extensions: usize,
}

#[derive(Debug, Default)]
enum At {
    #[default]
    Size,
    /// So many bytes are left of a chunk.
    Data(u64),
    DataEnd,
    /// So many bytes of them hold no end.
    Trailers(usize),
}

impl Chunks {
    /// Takes from `input` what can be taken.
    ///
    /// # Errors
    /// It is malformed, or too much that is no body.
    pub fn step(&mut self, input: &mut BytesMut) -> Result<Step, Error> {
        loop {
            match &mut self.at {
                At::Size => {
                    let Some(size) = self.size(input)? else { return Ok(Step::More) };
                    self.at = if size == 0 { At::Trailers(0) } else { At::Data(size) };
                }
                At::Data(left) => {
                    if input.is_empty() {
                        return Ok(Step::More);
                    }
                    let count =
                        usize::try_from(*left).map_or(input.len(), |it| it.min(input.len()));
                    *left -= count as u64;
                    if *left == 0 {
                        self.at = At::DataEnd;
                    }
                    return Ok(Step::Data(input.split_to(count).freeze()));
                }
                At::DataEnd => {
                    if !b"\r\n".starts_with(input.get(..2).unwrap_or(input)) {
                        return Err(Error::Malformed("a chunk is longer than its size"));
                    }
                    if input.len() < 2 {
                        return Ok(Step::More);
                    }
                    input.advance(2);
                    self.at = At::Size;
                }
                At::Trailers(scanned) => return trailers(input, scanned),
            }
        }
    }

    /// Goes on to the next data, or to an end without trailers, as far as that is there; `true` at
    /// the end. What is malformed is left to the next step.
    pub fn settle(&mut self, input: &mut BytesMut) -> bool {
        loop {
            match self.at {
                At::DataEnd if input.starts_with(b"\r\n") => {
                    input.advance(2);
                    self.at = At::Size;
                }
                At::Size => match self.size(input) {
                    Ok(Some(0)) => self.at = At::Trailers(0),
                    Ok(Some(size)) => self.at = At::Data(size),
                    Ok(None) | Err(_) => return false,
                },
                At::Trailers(_) if input.starts_with(b"\r\n") => {
                    input.advance(2);
                    return true;
                }
                At::Data(_) | At::DataEnd | At::Trailers(_) => return false,
            }
        }
    }

    /// The size of the next chunk, taken with its line. Nothing is taken when it is malformed.
    fn size(&mut self, input: &mut BytesMut) -> Result<Option<u64>, Error> {
        let near = input.get(..MOST_LINE).unwrap_or(input);
        let Some(at) = memchr::memchr(b'\n', near) else {
            return if input.len() < MOST_LINE { Ok(None) } else { Err(ODD_SIZE) };
        };
        let line = near.get(..at).and_then(|line| line.strip_suffix(b"\r")).ok_or(ODD_SIZE)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extension) = line.split_at(digits);
        if digits.is_empty() || digits.len() > MOST_DIGITS || !is_extension(extension) {
            return Err(ODD_SIZE);
        }
        let size = std::str::from_utf8(digits).ok().and_then(|it| u64::from_str_radix(it, 16).ok());
        let (size, more) = (size.ok_or(ODD_SIZE)?, extension.len());
        if self.extensions + more > MOST_EXTENSIONS {
            return Err(Error::Malformed("its chunks have too many extensions"));
        }
        self.extensions += more;
        input.advance(at + 1);
        Ok(Some(size))
    }
}

/// Nothing, or something behind a semicolon; never read.
fn is_extension(text: &[u8]) -> bool {
    let plain = |&byte: &u8| byte >= b' ' && byte != 0x7f || byte == b'\t';
    text.is_empty() || text.trim_ascii_start().starts_with(b";") && text.iter().all(plain)
}

fn trailers(input: &mut BytesMut, scanned: &mut usize) -> Result<Step, Error> {
    if input.starts_with(b"\r\n") {
        input.advance(2);
        return Ok(Step::Ended(HeaderMap::new()));
    }
    match end_of_lines(input, scanned, MOST_TRAILERS)? {
        Some(end) => Ok(Step::Ended(parse_trailers(&input.split_to(end).freeze())?)),
        None => Ok(Step::More),
    }
}
