//! The framing guard: below the server, it follows head and body boundaries of the inbound bytes and
//! lets only those through that can be read in exactly one way (RFC 9112).
//!
//! Parsers accept a bare LF, hide a `Content-Length` beside a `Transfer-Encoding` or cut `#...` off a
//! target; none of that reaches one. Whatever is incomplete (a head, the size line of a chunk, a
//! trailer line) is held back until it is whole, so that the server never sees the beginning of
//! something that is refused.

mod bytes;
mod guard;
mod head;
#[cfg(test)]
mod pacing;
#[cfg(test)]
mod tests;
mod violation;
mod watch;

pub use bytes::{content_length, is_field_value, is_token};
pub use guard::Guard;
pub use head::{check_target, is_spelled_like};
#[cfg(test)]
pub use tests::hostile_heads;
pub use violation::Violation;
pub use watch::{Sending, Watch};

use bytes::{field, line};
use head::{Follows, Head};

/// Bytes of one chunk-size line with its extensions.
const CHUNK_LINE_BYTES: usize = 256;
/// Bytes of a whole trailer section.
const TRAILER_BYTES: usize = 8 * 1024;

#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    pub head_bytes: usize,
    pub header_count: usize,
    pub target_bytes: usize,
}

/// Where in the message the next byte belongs.
#[derive(Debug)]
enum State {
    Head(Head),
    /// Behind a head that asks for an upgrade: nobody knows yet what the next byte is.
    Undecided,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers(usize),
}

/// The reader of boundaries. Pure: bytes in, how many of them may pass out.
#[derive(Debug)]
pub struct Framing {
    limits: HeadLimits,
    state: State,
    /// Whole heads that passed.
    heads: u64,
}

impl Framing {
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, state: State::Head(Head::default()), heads: 0 }
    }

    /// How many bytes from the start of `bytes` may pass. The rest is incomplete and must be the
    /// start of the next call's `bytes`.
    ///
    /// # Errors
    /// The bytes up to the returned number may pass; those after it break the rules.
    pub fn accept(&mut self, bytes: &[u8]) -> Result<usize, (usize, Violation)> {
        let mut passed = 0;
        while let Some(rest) = bytes.get(passed..).filter(|rest| !rest.is_empty()) {
            match self.step(rest) {
                Ok(Some(length)) => passed += length,
                Ok(None) => break,
                Err(violation) => return Err((passed, violation)),
            }
        }
        Ok(passed)
    }

    #[must_use]
    pub const fn heads(&self) -> u64 {
        self.heads
    }

    /// Between two requests, or in a head.
    #[must_use]
    pub const fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head(_) | State::Undecided)
    }

    /// Whether what follows waits for [`Framing::refuse_upgrade`].
    #[must_use]
    pub const fn is_undecided(&self) -> bool {
        matches!(self.state, State::Undecided)
    }

    /// There is no tunnel: what follows is the next request.
    pub fn refuse_upgrade(&mut self) {
        if self.is_undecided() {
            self.state = State::Head(Head::default());
        }
    }

    /// Some bytes of a head are here, but not all.
    #[must_use]
    pub fn is_in_partial_head(&self) -> bool {
        matches!(&self.state, State::Head(head) if head.has_begun())
    }

    fn step(&mut self, rest: &[u8]) -> Result<Option<usize>, Violation> {
        match &mut self.state {
            State::Head(head) => {
                let Some((length, follows)) = head.scan(rest, self.limits)? else {
                    return Ok(None);
                };
                self.heads += 1;
                self.state = match follows {
                    Follows::Nothing => State::Head(Head::default()),
                    Follows::Undecided => State::Undecided,
                    Follows::Sized(length) => State::Body(length),
                    Follows::Chunked => State::ChunkSize,
                };
                Ok(Some(length))
            }
            State::Undecided => Ok(None),
            State::Body(left) => {
                let (taken, left) = take(rest, *left);
                self.state =
                    if left == 0 { State::Head(Head::default()) } else { State::Body(left) };
                Ok(Some(taken))
            }
            State::ChunkSize => self.chunk_size(rest),
            State::ChunkData(left) => {
                let (taken, left) = take(rest, *left);
                self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                Ok(Some(taken))
            }
            State::ChunkEnd => match rest {
                [b'\r', b'\n', ..] => {
                    self.state = State::ChunkSize;
                    Ok(Some(2))
                }
                [b'\r'] => Ok(None),
                _ => Err(Violation::Body("a chunk that does not end where its size says")),
            },
            State::Trailers(seen) => {
                let seen = *seen;
                self.trailer(rest, seen)
            }
        }
    }

    fn chunk_size(&mut self, rest: &[u8]) -> Result<Option<usize>, Violation> {
        let Some((text, used)) = line(rest, 0).map_err(Violation::Body)? else {
            return hold(rest, CHUNK_LINE_BYTES);
        };
        if used > CHUNK_LINE_BYTES {
            return Err(Violation::Body("a chunk-size line that is too long"));
        }
        self.state = match chunk_size(text).map_err(Violation::Body)? {
            0 => State::Trailers(0),
            size => State::ChunkData(size),
        };
        Ok(Some(used))
    }

    fn trailer(&mut self, rest: &[u8], seen: usize) -> Result<Option<usize>, Violation> {
        let Some((text, used)) = line(rest, 0).map_err(Violation::Body)? else {
            return hold(rest, TRAILER_BYTES.saturating_sub(seen));
        };
        if seen + used > TRAILER_BYTES {
            return Err(Violation::Body("a trailer section that is too large"));
        }
        if text.is_empty() {
            self.state = State::Head(Head::default());
        } else {
            field(text).map_err(Violation::Body)?;
            self.state = State::Trailers(seen + used);
        }
        Ok(Some(used))
    }
}

fn hold(rest: &[u8], limit: usize) -> Result<Option<usize>, Violation> {
    if rest.len() >= limit {
        return Err(Violation::Body("a chunk-size or trailer line that is too long"));
    }
    Ok(None)
}

/// How many of `rest` belong to the `left` bytes, and how many of them are still to come.
fn take(rest: &[u8], left: u64) -> (usize, u64) {
    let here = u64::try_from(rest.len()).unwrap_or(u64::MAX).min(left);
    (usize::try_from(here).unwrap_or(rest.len()), left - here)
}

/// `1*HEXDIG [";" extensions]`, at most 16 digits, no blank before the semicolon.
fn chunk_size(text: &[u8]) -> Result<u64, &'static str> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extension) = text.split_at(digits);
    let extension_fits = extension.is_empty()
        || extension.first() == Some(&b';') && bytes::is_field_value(extension);
    if size.is_empty() || size.len() > 16 || !extension_fits {
        return Err("a chunk size that is not a plain hexadecimal number");
    }
    std::str::from_utf8(size)
        .ok()
        .and_then(|size| u64::from_str_radix(size, 16).ok())
        .ok_or("a chunk size that is not a plain hexadecimal number")
}
