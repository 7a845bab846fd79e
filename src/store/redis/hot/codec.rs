//! The part of RESP2 that the hot read needs, strictly (redis.io, "Redis serialization protocol").
//!
//! Two steps: [`measure`] finds where a reply ends and refuses everything out of bounds; [`Parts`]
//! then takes a whole reply apart in the order that the question expects.

use bytes::Bytes;

use super::super::reply::Refusal;

/// The longest value of a key; the live value of a subject is some kilobytes at most.
pub const LONGEST_VALUE: usize = 1 << 20;
/// The longest reply: one entry of the log with all its events.
pub const LONGEST_REPLY: usize = 4 << 20;
/// Values in one reply, those in nested lists included.
const MOST_VALUES: usize = 16_384;
const DEEPEST: usize = 3;
/// The text of an error or a status.
const LONGEST_LINE: usize = 4096;

/// Not a reply that this client could have asked for: the connection cannot be believed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// The length of the reply that `bytes` begin with; `None` when it is not all there yet.
///
/// # Errors
/// It is no reply, or a larger or deeper one than any that is asked for.
pub fn measure(bytes: &[u8]) -> Result<Option<usize>, Broken> {
    let mut left = MOST_VALUES;
    match end_of_value(bytes, 0, DEEPEST, &mut left)? {
        Some(end) if end <= LONGEST_REPLY => Ok(Some(end)),
        None if bytes.len() < LONGEST_REPLY => Ok(None),
        Some(_) | None => Err(Broken),
    }
}

fn end_of_value(
    bytes: &[u8],
    at: usize,
    lists_left: usize,
    values_left: &mut usize,
) -> Result<Option<usize>, Broken> {
    *values_left = values_left.checked_sub(1).ok_or(Broken)?;
    let Some(kind) = bytes.get(at) else { return Ok(None) };
    let from = at + 1;
    if matches!(kind, b'+' | b'-') {
        return Ok(line(bytes, from, LONGEST_LINE)?.map(|line| from + line.len() + 2));
    }
    if !matches!(kind, b'$' | b'*' | b':') {
        return Err(Broken);
    }
    let Some((number, mut end)) = number(bytes, from)? else { return Ok(None) };
    match kind {
        b'$' => end_of_bulk(bytes, end, number),
        b'*' => {
            let lists_left = lists_left.checked_sub(1).ok_or(Broken)?;
            let count = usize::try_from(number).map_err(|_negative| Broken)?;
            if count > *values_left {
                return Err(Broken);
            }
            for _ in 0..count {
                match end_of_value(bytes, end, lists_left, values_left)? {
                    Some(next) => end = next,
                    None => return Ok(None),
                }
            }
            Ok(Some(end))
        }
        _ => Ok(Some(end)),
    }
}

fn end_of_bulk(bytes: &[u8], start: usize, length: i64) -> Result<Option<usize>, Broken> {
    if length == -1 {
        return Ok(Some(start));
    }
    let length = usize::try_from(length).map_err(|_negative| Broken)?;
    if length > LONGEST_VALUE {
        return Err(Broken);
    }
    let end = start + length;
    match bytes.get(end..end + 2) {
        Some(b"\r\n") => Ok(Some(end + 2)),
        Some(_) => Err(Broken),
        None => Ok(None),
    }
}

/// The text from `from` to the next CR LF, which is not part of it.
fn line(bytes: &[u8], from: usize, longest: usize) -> Result<Option<&[u8]>, Broken> {
    let rest = bytes.get(from..).unwrap_or_default();
    let Some(length) = memchr::memchr(b'\r', rest.get(..=longest).unwrap_or(rest)) else {
        return if rest.len() > longest { Err(Broken) } else { Ok(None) };
    };
    match rest.get(length + 1) {
        Some(b'\n') => Ok(rest.get(..length)),
        Some(_) => Err(Broken),
        None => Ok(None),
    }
}

/// The decimal number from `from` to the next CR LF, as servers write it (no plus, no leading zeros,
/// no minus zero), and where that ends. What is too long for a number overflows: it is soon found.
fn number(bytes: &[u8], from: usize) -> Result<Option<(i64, usize)>, Broken> {
    let is_negative = bytes.get(from) == Some(&b'-');
    let first = if is_negative { from + 1 } else { from };
    // Less than zero, as there is one more of those.
    let (mut at, mut number) = (first, 0_i64);
    loop {
        match bytes.get(at) {
            Some(digit @ b'0'..=b'9') if at == first || number != 0 => {
                let tens = number.checked_mul(10).ok_or(Broken)?;
                number = tens.checked_sub(i64::from(digit - b'0')).ok_or(Broken)?;
                at += 1;
            }
            Some(b'\r') if at > first => break,
            Some(_) => return Err(Broken),
            None => return Ok(None),
        }
    }
    let number = if is_negative { Some(number) } else { number.checked_neg() };
    let number = number.filter(|number| !(is_negative && *number == 0)).ok_or(Broken)?;
    match bytes.get(at + 1) {
        Some(b'\n') => Ok(Some((number, at + 2))),
        Some(_) => Err(Broken),
        None => Ok(None),
    }
}

/// A whole reply, taken apart from the front. Whoever asks for a value of another kind than the next
/// one gets [`Broken`].
pub struct Parts {
    reply: Bytes,
    at: usize,
}

impl Parts {
    /// Of bytes that [`measure`] found to be exactly one reply.
    #[must_use]
    pub const fn new(reply: Bytes) -> Self {
        Self { reply, at: 0 }
    }

    /// What an error reply says; `None` for every other reply.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        let text = self.reply.strip_prefix(b"-")?;
        Some(Refusal::of(text.strip_suffix(b"\r\n")?))
    }

    /// How many values the list that comes next has.
    pub fn list(&mut self) -> Result<usize, Broken> {
        usize::try_from(self.number(b'*')?).map_err(|_negative| Broken)
    }

    pub fn integer(&mut self) -> Result<i64, Broken> {
        self.number(b':')
    }

    pub fn is_okay(&mut self) -> Result<(), Broken> {
        if self.header(b'+')? == b"OK" { self.end() } else { Err(Broken) }
    }

    /// A string, or nil.
    pub fn value(&mut self) -> Result<Option<Bytes>, Broken> {
        let length = self.number(b'$')?;
        if length == -1 {
            return Ok(None);
        }
        let (start, length) = (self.at, usize::try_from(length).map_err(|_negative| Broken)?);
        if length > LONGEST_VALUE
            || self.reply.get(start + length..start + length + 2) != Some(b"\r\n")
        {
            return Err(Broken);
        }
        self.at = start + length + 2;
        Ok(Some(self.reply.slice(start..start + length)))
    }

    pub fn string(&mut self) -> Result<Bytes, Broken> {
        self.value()?.ok_or(Broken)
    }

    /// Nothing is left.
    pub fn end(&self) -> Result<(), Broken> {
        if self.at == self.reply.len() { Ok(()) } else { Err(Broken) }
    }

    fn number(&mut self, kind: u8) -> Result<i64, Broken> {
        if self.reply.get(self.at) != Some(&kind) {
            return Err(Broken);
        }
        let (number, end) = number(&self.reply, self.at + 1)?.ok_or(Broken)?;
        self.at = end;
        Ok(number)
    }

    fn header(&mut self, kind: u8) -> Result<&[u8], Broken> {
        if self.reply.get(self.at) != Some(&kind) {
            return Err(Broken);
        }
        let text = line(&self.reply, self.at + 1, LONGEST_LINE)?.ok_or(Broken)?;
        self.at += 1 + text.len() + 2;
        Ok(text)
    }
}
