//! What comes back, believed only in exactly the shape that was asked for.

use bytes::Bytes;
use redis::Value;

use super::link::{Trouble, bytes_of, strange};
use crate::domain::ids::{CommitId, Partition};
use crate::store::backend::{LogEntry, Outcome, Scored};
use crate::store::keys;
use crate::store::record::{number, parse_commit, parse_stored_commit};
use crate::store::{Durability, StoreFault};

/// `MGET` of `wanted` keys.
pub fn values(reply: Value, wanted: usize) -> Result<Vec<Option<Bytes>>, Trouble> {
    let Value::Array(values) = reply else { return Err(strange("MGET")) };
    if values.len() != wanted {
        return Err(strange("MGET"));
    }
    values.into_iter().map(value).collect()
}

fn value(value: Value) -> Result<Option<Bytes>, Trouble> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        _ => Err(strange("MGET")),
    }
}

/// What a script said: a word, and what belongs to it.
pub struct Said {
    pub word: String,
    pub rest: Vec<Bytes>,
}

pub fn said(reply: Value) -> Result<Said, Trouble> {
    let Value::Array(parts) = reply else { return Err(strange("a script")) };
    let mut parts = parts.into_iter().map(|part| match part {
        Value::BulkString(bytes) => Ok(Bytes::from(bytes)),
        _ => Err(strange("a script")),
    });
    let word = parts.next().ok_or_else(|| strange("a script"))??;
    let word = String::from_utf8(word.to_vec()).map_err(|_| strange("a script"))?;
    Ok(Said { word, rest: parts.collect::<Result<_, _>>()? })
}

pub fn count(reply: &Value) -> Result<u64, StoreFault> {
    let Value::Int(count) = reply else { return Err(strange("a count").into()) };
    u64::try_from(*count).map_err(|_| strange("a count").into())
}

/// A script that says `yes` or `no`.
pub fn yes(reply: Value) -> Result<bool, StoreFault> {
    match said(reply)?.word.as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(strange("a script").into()),
    }
}

/// The answer of a commit, and whether an earlier try had made it.
pub struct Answered {
    pub outcome: Outcome,
    pub again: bool,
}

pub fn commit(partition: Partition, id: CommitId, reply: Value) -> Result<Answered, Trouble> {
    let Said { word, rest } = said(reply)?;
    let first = rest.first().map_or(&[][..], |part| &part[..]);
    let outcome = match word.as_str() {
        "done" | "again" => {
            let (version, seq) = parse_stored_commit(first).ok_or_else(|| {
                let key = keys::commit(partition, id).to_string();
                Trouble::Fault(StoreFault::InvalidRecord { key, why: "not an answer" })
            })?;
            Outcome::Done { version, seq, durability: Durability::Confirmed }
        }
        "missing" if first == b"head" => Outcome::Missing("head"),
        "missing" => Outcome::Missing("markers"),
        "head" => Outcome::HeadDoesNotFit,
        "generation" => Outcome::GenerationMoved,
        "version" => Outcome::VersionConflict,
        _ => return Err(strange("a commit")),
    };
    Ok(Answered { outcome, again: word == "again" })
}

/// Members with their scores, as the script of that name gives them.
pub fn members(reply: Value) -> Result<Vec<Scored>, Trouble> {
    let Value::Array(parts) = reply else { return Err(strange("members")) };
    let scored = |pair: &[Value]| {
        let [member, score] = pair else { return None };
        let score = number(std::str::from_utf8(bytes_of(score)?).ok()?)?;
        Some(Scored { score, member: keys::member_from(bytes_of(member)?)? })
    };
    parts.chunks(2).map(|pair| scored(pair).ok_or_else(|| strange("members"))).collect()
}

/// Entries of the log: id `<seq>-0`; fields `c` and the commit id, then `e0`, `e1`, ... and events.
pub fn log(reply: Value) -> Result<Vec<LogEntry>, Trouble> {
    let Value::Array(entries) = reply else { return Err(strange("XRANGE")) };
    entries.into_iter().map(|one| entry(one).ok_or_else(|| strange("XRANGE"))).collect()
}

fn entry(value: Value) -> Option<LogEntry> {
    let Value::Array(parts) = value else { return None };
    let [id, Value::Array(fields)] = <[Value; 2]>::try_from(parts).ok()? else { return None };
    let seq = number(std::str::from_utf8(bytes_of(&id)?).ok()?.strip_suffix("-0")?)?;
    let mut fields = fields.into_iter();
    let (name, commit) = (fields.next()?, fields.next()?);
    if bytes_of(&name) != Some(b"c") {
        return None;
    }
    let commit = parse_commit(std::str::from_utf8(bytes_of(&commit)?).ok()?)?;
    let mut events = Vec::new();
    while let Some(name) = fields.next() {
        let expected = format!("e{}", events.len());
        let Value::BulkString(event) = fields.next()? else { return None };
        if bytes_of(&name) != Some(expected.as_bytes()) {
            return None;
        }
        events.push(event.into());
    }
    Some(LogEntry { seq, commit, events })
}
