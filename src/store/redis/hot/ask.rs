//! The questions of the hot read: how each is written, and which replies answer it.

use bytes::Bytes;

use super::super::super::backend::RawLive;
use super::super::super::keys::{self, Key};
use super::super::reply::Refusal;
use super::codec::{Broken, Parts};
use crate::domain::ids::{CommitId, Partition};

/// What a caller wants to know.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// Head, markers and a live value, as they are at one moment.
    Live(Partition, &'a Key),
    /// Head and markers alone.
    Base(Partition),
    One(&'a Key),
    /// Which commit made this entry of the log.
    CommitAt(Partition, u64),
}

/// The shape of the reply that an [`Ask`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Live,
    Base,
    One,
    CommitAt(u64),
}

#[derive(Clone, Debug)]
pub enum Answer {
    Live(RawLive),
    One(Option<Bytes>),
    CommitAt(Option<CommitId>),
}

impl Ask<'_> {
    #[must_use]
    pub const fn shape(&self) -> Shape {
        match self {
            Self::Live(..) => Shape::Live,
            Self::Base(_) => Shape::Base,
            Self::One(_) => Shape::One,
            Self::CommitAt(_, seq) => Shape::CommitAt(*seq),
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Live(partition, live) => {
                let [head, markers] = keys::base(*partition);
                out.extend_from_slice(b"*4\r\n$4\r\nMGET\r\n");
                for key in [&head, &markers, live] {
                    write_part(out, key.as_bytes());
                }
            }
            Self::Base(partition) => {
                let [head, markers] = keys::base(*partition);
                out.extend_from_slice(b"*3\r\n$4\r\nMGET\r\n");
                for key in [&head, &markers] {
                    write_part(out, key.as_bytes());
                }
            }
            Self::One(key) => {
                out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n");
                write_part(out, key.as_bytes());
            }
            Self::CommitAt(partition, seq) => {
                let id = entry_id(*seq);
                let key = keys::events(*partition);
                write_command(out, &[b"XRANGE", key.as_bytes(), id.as_bytes(), id.as_bytes()]);
            }
        }
    }
}

impl Shape {
    /// What a reply says to this question.
    ///
    /// # Errors
    /// It is no answer to it.
    pub fn answer(self, parts: Parts) -> Result<Result<Answer, Refusal>, Broken> {
        if let Some(refusal) = parts.refusal() {
            return Ok(Err(refusal));
        }
        let answer = match self {
            Self::Live => Answer::Live(live(parts)?),
            Self::Base => Answer::Live(base(parts)?),
            Self::One => Answer::One(one(parts)?),
            Self::CommitAt(seq) => Answer::CommitAt(commit_at(parts, seq)?),
        };
        Ok(Ok(answer))
    }
}

fn live(mut parts: Parts) -> Result<RawLive, Broken> {
    if parts.list()? != 3 {
        return Err(Broken);
    }
    let (head, markers, live) = (parts.value()?, parts.value()?, parts.value()?);
    parts.end()?;
    Ok(RawLive { head, markers, live })
}

fn base(mut parts: Parts) -> Result<RawLive, Broken> {
    if parts.list()? != 2 {
        return Err(Broken);
    }
    let (head, markers) = (parts.value()?, parts.value()?);
    parts.end()?;
    Ok(RawLive { head, markers, live: None })
}

fn one(mut parts: Parts) -> Result<Option<Bytes>, Broken> {
    let value = parts.value()?;
    parts.end()?;
    Ok(value)
}

/// No entry, or the one that was asked for. An entry whose first field is not a commit id is not of
/// the commit that anybody remembers: it counts as none.
fn commit_at(mut parts: Parts, seq: u64) -> Result<Option<CommitId>, Broken> {
    if parts.list()? == 0 {
        parts.end()?;
        return Ok(None);
    }
    if parts.list()? != 2 || parts.string()? != entry_id(seq) {
        return Err(Broken);
    }
    let fields = parts.list()?;
    if fields < 2 || !fields.is_multiple_of(2) {
        return Err(Broken);
    }
    let (name, value) = (parts.string()?, parts.string()?);
    for _ in 2..fields {
        parts.string()?;
    }
    parts.end()?;
    Ok(if name == b"c"[..] { commit_id(&value) } else { None })
}

fn entry_id(seq: u64) -> String {
    format!("{seq}-0")
}

/// 32 lower-case hexadecimal digits.
fn commit_id(text: &[u8]) -> Option<CommitId> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut id = [0; 16];
    if text.len() != 32 {
        return None;
    }
    for (place, pair) in id.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *place = digit(high)? << 4 | digit(low)?;
    }
    Some(CommitId(id))
}

/// A command as servers read it: a list of strings.
pub fn write_command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.push(b'*');
    write_number(out, parts.len());
    out.extend_from_slice(b"\r\n");
    for part in parts {
        write_part(out, part);
    }
}

fn write_part(out: &mut Vec<u8>, part: &[u8]) {
    out.reserve(part.len() + 16);
    out.push(b'$');
    write_number(out, part.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(part);
    out.extend_from_slice(b"\r\n");
}

fn write_number(out: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        write_number(out, number / 10);
    }
    out.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
}
