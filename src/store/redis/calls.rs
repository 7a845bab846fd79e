//! What is sent: arguments of scripts and commands, in the order that each script names.

use std::time::Duration;

use redis::{Cmd, cmd};

use super::script;
use crate::config::RedisConfig;
use crate::domain::ids::{Partition, hex};
use crate::domain::time::Timestamp;
use crate::domain::uses::Use;
use crate::store::StoreFault;
use crate::store::backend::{HeldPut, KEPT_ENTRIES, Owner, Range, Rebase, WriteSet};
use crate::store::keys::{self, Key, Member};

/// More events in one commit than a script can append at once.
const MOST_EVENTS: usize = 2000;
/// Scores are doubles inside the server.
const LARGEST_SCORE: u64 = 1 << 53;

/// The call that commits. Records are swept `slack` after they may be.
///
/// # Errors
/// What no script could write whole.
pub fn commit(write: &WriteSet, config: &RedisConfig, slack: Duration) -> Result<Cmd, StoreFault> {
    let too_large = |what: &str| Err(StoreFault::Unreachable(format!("a commit with {what}")));
    if write.events.len() > MOST_EVENTS {
        return too_large("too many events");
    }
    if write.sets.iter().any(|set| set.score.is_some_and(|score| score > LARGEST_SCORE)) {
        return too_large("a score that is out of range");
    }
    let partition = write.partition;
    let head = write.expect.head;
    let id = hex(&write.commit.0);
    let (record, version) = match write.expect.version {
        Some((key, version)) => (key, version.to_be_bytes().to_vec()),
        None => (keys::head(partition), Vec::new()),
    };
    let mut named = vec![
        keys::commit(partition, write.commit),
        keys::head(partition),
        keys::markers(partition),
        keys::events(partition),
        keys::fence(partition),
        record,
    ];
    named.extend(write.puts.iter().map(|put| put.key));
    named.extend(&write.deletes);
    named.extend(write.sets.iter().map(|change| change.set));
    let mut call = script::COMMIT.call(&bytes(&named));
    call.arg(head.epoch).arg(head.seq).arg(hex(&head.id.0));
    call.arg(&write.expect.generation.to_be_bytes()[..]).arg(version).arg(id);
    call.arg(write.new_version).arg(swept(write.remember_until, slack));
    call.arg(u8::from(write.only_ends)).arg(keys::moved_channel(config.database, partition));
    call.arg(write.puts.len()).arg(write.deletes.len());
    call.arg(write.sets.len()).arg(write.events.len());
    for put in &write.puts {
        call.arg(&put.value[..]);
        optional(&mut call, put.sweep_at.map(|at| swept(at, slack)));
    }
    for change in &write.sets {
        call.arg(change.member.as_bytes());
        optional(&mut call, change.score);
    }
    for event in &write.events {
        call.arg(&event[..]);
    }
    Ok(call)
}

/// A time of zero would be an error in the middle of the script.
fn swept(at: Timestamp, slack: Duration) -> u64 {
    at.plus(slack).millis().max(1)
}

fn optional(call: &mut Cmd, number: Option<u64>) {
    match number {
        Some(number) => call.arg(number),
        None => call.arg(""),
    };
}

/// From the end, without a place, the server's own order is the documented one: by score, then byte
/// by byte. That is what every look at due timers asks.
#[must_use]
pub fn first_members(set: &Key, range: Range, limit: usize) -> Option<Cmd> {
    let mut call = cmd("ZRANGE");
    call.arg(set.as_bytes());
    match range {
        Range::UpTo(highest, None) => call.arg("-inf").arg(highest).arg("BYSCORE"),
        Range::Below(None) => call.arg("+inf").arg("-inf").arg("BYSCORE").arg("REV"),
        Range::UpTo(_, Some(_)) | Range::Below(Some(_)) => return None,
    };
    call.arg("LIMIT").arg(0).arg(limit).arg("WITHSCORES");
    Some(call)
}

#[must_use]
pub fn members(set: &Key, range: Range, limit: usize) -> Cmd {
    let (direction, highest, place) = match range {
        Range::UpTo(score, above) => ("up", score, above),
        Range::Below(below) => ("down", 0, below),
    };
    let mut call = script::MEMBERS.call(&[set.as_bytes()]);
    call.arg(direction).arg(highest);
    match place {
        Some(place) => call.arg(place.score).arg(place.member.as_bytes()),
        None => call.arg("").arg(""),
    };
    call.arg(limit);
    call
}

#[must_use]
pub fn rebase(rebase: &Rebase, config: &RedisConfig) -> Cmd {
    let partition = rebase.partition;
    let mut call = script::REBASE.call(&bytes(&[
        keys::head(partition),
        keys::markers(partition),
        keys::events(partition),
        keys::fence(partition),
    ]));
    call.arg(u8::from(rebase.found.is_some())).arg(&rebase.found.clone().unwrap_or_default()[..]);
    call.arg(rebase.epoch).arg(rebase.lowest_seq).arg(hex(&rebase.commit.0));
    call.arg(&rebase.markers[..]).arg(keys::moved_channel(config.database, partition));
    call
}

#[must_use]
pub fn trim(partition: Partition, up_to: u64) -> Cmd {
    let mut call = script::TRIM.call(&bytes(&[keys::head(partition), keys::events(partition)]));
    call.arg(up_to).arg(KEPT_ENTRIES);
    call
}

#[must_use]
pub fn settle(partition: Partition, now: Timestamp) -> Cmd {
    let mut call = script::SETTLE.call(&[keys::fence(partition).as_bytes()]);
    call.arg(now.millis());
    call
}

#[must_use]
pub fn forget(keys: &[Key], places: &[(Key, Member)]) -> Cmd {
    let sets = places.iter().map(|(set, _)| set.as_bytes());
    let named: Vec<&[u8]> = sets.chain(keys.iter().map(Key::as_bytes)).collect();
    let mut call = script::FORGET.call(&named);
    for (_, member) in places {
        call.arg(member.as_bytes());
    }
    call
}

#[must_use]
pub fn hold(lease: Key, owner: Owner, life: Duration) -> Cmd {
    let mut call = script::HOLD.call(&[lease.as_bytes()]);
    // A life of nothing would be an error.
    call.arg(&owner[..]).arg(life.as_millis().max(1).to_string());
    call
}

#[must_use]
pub fn put_held(put: &HeldPut) -> Cmd {
    let mut call = script::PUT_HELD.call(&[put.lease.as_bytes(), put.key.as_bytes()]);
    call.arg(&put.owner[..]).arg(&put.value[..]);
    call
}

#[must_use]
pub fn add_uses(uses: &[(Key, Use)]) -> Cmd {
    let keys: Vec<&[u8]> = uses.iter().map(|(key, _)| key.as_bytes()).collect();
    let mut call = script::ADD_USES.call(&keys);
    for (_, used) in uses {
        call.arg(used.count).arg(used.first.millis()).arg(used.last.millis());
    }
    call
}

#[must_use]
pub fn swap(key: &Key, found: Option<&[u8]>, value: &[u8]) -> Cmd {
    let mut call = script::SWAP.call(&[key.as_bytes()]);
    call.arg(u8::from(found.is_some())).arg(found.unwrap_or_default()).arg(value);
    call
}

#[must_use]
pub fn get(keys: &[Key]) -> Cmd {
    let mut get = cmd("MGET");
    for key in keys {
        get.arg(key.as_bytes());
    }
    get
}

/// Entries of the log from `first` to `last`, both included; `None`: to its end.
#[must_use]
pub fn log(partition: Partition, first: u64, last: Option<u64>, limit: usize) -> Cmd {
    let mut range = cmd("XRANGE");
    range.arg(keys::events(partition).as_bytes()).arg(format!("{first}-0"));
    match last {
        Some(last) => range.arg(format!("{last}-0")),
        None => range.arg("+"),
    };
    range.arg("COUNT").arg(limit);
    range
}

fn bytes(keys: &[Key]) -> Vec<&[u8]> {
    keys.iter().map(Key::as_bytes).collect()
}
