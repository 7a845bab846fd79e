//! One write transaction over several commits: each is checked against what the ones before it
//! wrote, then written whole.

use bytes::Bytes;
use redb::{ReadableTable, Table, WriteTransaction};

use crate::domain::ids::Partition;
use crate::domain::time::Timestamp;
use crate::domain::uses::Use;
use crate::store::backend::{KEPT_ENTRIES, Outcome, Put, Rebase, SetChange, WriteSet};
use crate::store::keys::{self, Key};
use crate::store::record::{
    head_text, number, parse_head, parse_stored_commit, parse_use, stored_commit, use_text,
};
use crate::store::seal::claimed_version;
use crate::store::{Durability, Head};

use super::state::Changes;
use super::tables::{LOG, MEMBERS, RECORDS, SCORES, SWEEP, log_entry, stored, unstored};

/// So many outdated records are swept with each transaction.
const SWEPT_AT_ONCE: usize = 64;

type Written<T> = Result<T, redb::Error>;

pub struct Batch<'t> {
    records: Table<'t, &'static [u8], &'static [u8]>,
    sweep: Table<'t, (u64, &'static [u8]), ()>,
    scores: Table<'t, (&'static [u8], &'static [u8]), u64>,
    members: Table<'t, (&'static [u8], u64, &'static [u8]), ()>,
    log: Table<'t, (u16, u64), &'static [u8]>,
    pub changes: Changes,
}

impl<'t> Batch<'t> {
    pub fn open(write: &'t WriteTransaction) -> Written<Self> {
        Ok(Self {
            records: write.open_table(RECORDS)?,
            sweep: write.open_table(SWEEP)?,
            scores: write.open_table(SCORES)?,
            members: write.open_table(MEMBERS)?,
            log: write.open_table(LOG)?,
            changes: Changes::default(),
        })
    }

    /// Checks in the documented order, then writes everything or nothing.
    pub fn commit(&mut self, write: &WriteSet) -> Written<Outcome> {
        let own = keys::commit(write.partition, write.commit);
        if let Some(answer) = self.get(&own)? {
            // What we wrote reads back; anything else is not an answer to give.
            let Some((version, seq)) = parse_stored_commit(&answer) else {
                return Ok(Outcome::HeadDoesNotFit);
            };
            return Ok(Outcome::Done { version, seq, durability: Durability::Confirmed });
        }
        let head = match self.check(write)? {
            Ok(head) => head,
            Err(refused) => return Ok(refused),
        };
        let seq = head.seq.saturating_add(1);
        for put in &write.puts {
            self.put(put)?;
        }
        for key in &write.deletes {
            self.delete(key)?;
        }
        for change in &write.sets {
            self.set(change)?;
        }
        let next = Head { epoch: head.epoch, seq, id: write.commit };
        self.put(&forever(keys::head(write.partition), head_text(&next)))?;
        self.append(&next, write)?;
        let value = stored_commit(write.new_version, seq);
        self.put(&Put { key: own, value, sweep_at: Some(write.remember_until) })?;
        self.changes.commits.push((write.partition, seq, write.commit));
        Ok(Outcome::Done { version: write.new_version, seq, durability: Durability::Confirmed })
    }

    fn check(&self, write: &WriteSet) -> Written<Result<Head, Outcome>> {
        let partition = write.partition;
        let Some(head) = self.get(&keys::head(partition))? else {
            return Ok(Err(Outcome::Missing("head")));
        };
        let Some(markers) = self.get(&keys::markers(partition))? else {
            return Ok(Err(Outcome::Missing("markers")));
        };
        let Some(head) = parse_head(&head) else { return Ok(Err(Outcome::HeadDoesNotFit)) };
        if !self.follows(&head, write)? {
            return Ok(Err(Outcome::HeadDoesNotFit));
        }
        if claimed_version(&markers) != Some(write.expect.generation) {
            return Ok(Err(Outcome::GenerationMoved));
        }
        if let Some((key, expected)) = &write.expect.version {
            let found = self.get(key)?.map(|record| claimed_version(&record));
            // 0 stands for "no record"; a record that is no sealed value fits nothing.
            if found.unwrap_or(Some(0)) != Some(*expected) {
                return Ok(Err(Outcome::VersionConflict));
            }
        }
        Ok(Ok(head))
    }

    /// The head is the remembered one, or a later one whose log still has the remembered commit.
    fn follows(&self, head: &Head, write: &WriteSet) -> Written<bool> {
        let known = write.expect.head;
        if head.epoch != known.epoch || head.seq < known.seq {
            return Ok(false);
        }
        if head.seq == known.seq {
            return Ok(head.id == known.id);
        }
        let entry = self.log.get((write.partition.0, known.seq))?;
        Ok(entry.is_some_and(|entry| entry.value().first_chunk::<16>() == Some(&known.id.0)))
    }

    /// An entry that is already at this place shows that the head was put back: it is kept out of
    /// reach by the check above, and never overwritten here.
    fn append(&mut self, head: &Head, write: &WriteSet) -> Written<()> {
        let entry = log_entry(write.commit, &write.events);
        self.log.insert((write.partition.0, head.seq), &entry[..])?;
        Ok(())
    }

    /// `None`: the head is another one now. What the head itself says of its place is not believed:
    /// the log and the caller are.
    pub fn rebase(&mut self, rebase: &Rebase) -> Written<Option<u64>> {
        let place = rebase.partition.0;
        if self.get(&keys::head(rebase.partition))? != rebase.found {
            return Ok(None);
        }
        let last = self.log.range((place, 0)..=(place, u64::MAX))?.next_back().transpose()?;
        let last = last.map_or(0, |(key, _)| key.value().1);
        let seq = rebase.lowest_seq.max(last.saturating_add(1));
        let head = Head { epoch: rebase.epoch, seq, id: rebase.commit };
        self.put(&forever(keys::head(rebase.partition), head_text(&head)))?;
        self.put(&forever(keys::markers(rebase.partition), rebase.markers.clone()))?;
        self.append_first(place, &head)?;
        self.changes.commits.push((rebase.partition, seq, rebase.commit));
        Ok(Some(seq))
    }

    pub fn append_first(&mut self, partition: u16, head: &Head) -> Written<()> {
        self.log.insert((partition, head.seq), &log_entry(head.id, &[])[..])?;
        Ok(())
    }

    pub fn put(&mut self, put: &Put) -> Written<()> {
        let sweep_at = put.sweep_at.map_or(0, Timestamp::millis);
        let key = put.key.as_bytes();
        let old = self.records.insert(key, &stored(sweep_at, &put.value)[..])?;
        let old = old.and_then(|old| unstored(old.value()).map(|(at, _)| at));
        if let Some(old) = old.filter(|&old| old != 0 && old != sweep_at) {
            self.sweep.remove((old, key))?;
        }
        if sweep_at != 0 {
            self.sweep.insert((sweep_at, key), ())?;
        }
        self.changed(key, Some(&put.value));
        Ok(())
    }

    /// `None`: what stands there is no number, and stays.
    pub fn count_up(&mut self, key: &Key) -> Written<Option<u64>> {
        let last = self.get(key)?.map(|text| std::str::from_utf8(&text).ok().and_then(number));
        let Some(next) = last.unwrap_or(Some(0)).and_then(|last| last.checked_add(1)) else {
            return Ok(None);
        };
        self.put(&forever(*key, next.to_string().into()))?;
        Ok(Some(next))
    }

    pub fn add_use(&mut self, key: Key, more: Use) -> Written<()> {
        let before = self.get(&key)?.and_then(|text| parse_use(&text));
        let value = use_text(before.map_or(more, |before| before.and(more)));
        self.put(&forever(key, value))
    }

    /// Whether it was written: only over what was found.
    pub fn swap(&mut self, key: Key, found: Option<&Bytes>, value: Bytes) -> Written<bool> {
        let fits = self.get(&key)?.as_ref() == found;
        if fits {
            self.put(&forever(key, value))?;
        }
        Ok(fits)
    }

    pub fn delete(&mut self, key: &Key) -> Written<()> {
        self.delete_bytes(key.as_bytes())
    }

    fn delete_bytes(&mut self, key: &[u8]) -> Written<()> {
        let old = self.records.remove(key)?;
        let old = old.and_then(|old| unstored(old.value()).map(|(at, _)| at));
        if let Some(old) = old.filter(|&old| old != 0) {
            self.sweep.remove((old, key))?;
        }
        self.changed(key, None);
        Ok(())
    }

    /// Deletes what may be swept at `now`. Nothing is decided by this.
    pub fn sweep(&mut self, now: Timestamp) -> Written<()> {
        let end = (now.millis().saturating_add(1), &[][..]);
        let mut due = Vec::new();
        for entry in self.sweep.range((0, &[][..])..end)?.take(SWEPT_AT_ONCE) {
            due.push(entry?.0.value().1.to_vec());
        }
        due.iter().try_for_each(|key| self.delete_bytes(key))
    }

    pub fn set(&mut self, change: &SetChange) -> Written<()> {
        let (set, member) = (change.set.as_bytes(), change.member.as_bytes());
        let old = match change.score {
            Some(score) => self.scores.insert((set, member), score)?.map(|old| old.value()),
            None => self.scores.remove((set, member))?.map(|old| old.value()),
        };
        if let Some(old) = old {
            self.members.remove((set, old, member))?;
        }
        if let Some(score) = change.score {
            self.members.insert((set, score, member), ())?;
        }
        Ok(())
    }

    /// Deletes entries of the log up to and with `up_to`, and leaves the newest.
    pub fn trim(&mut self, partition: Partition, up_to: u64) -> Written<()> {
        let of_partition = (partition.0, 0)..=(partition.0, u64::MAX);
        let newest = usize::try_from(KEPT_ENTRIES).unwrap_or(usize::MAX);
        let Some(first_kept) = self.log.range(of_partition)?.rev().nth(newest.saturating_sub(1))
        else {
            return Ok(());
        };
        let (_, first_kept) = first_kept?.0.value();
        let end = up_to.saturating_add(1).min(first_kept);
        self.log.retain_in((partition.0, 0)..(partition.0, end), |_, _| false)?;
        Ok(())
    }

    fn get(&self, key: &Key) -> Written<Option<Bytes>> {
        let found = self.records.get(key.as_bytes())?;
        let value = |bytes: &[u8]| unstored(bytes).map(|(_, v)| Bytes::copy_from_slice(v));
        Ok(found.and_then(|found| value(found.value())))
    }

    fn changed(&mut self, key: &[u8], value: Option<&Bytes>) {
        if keys::is_hot(key) {
            self.changes.hot.push((key.into(), value.cloned()));
        }
    }
}

/// A put that is never swept.
pub fn forever(key: Key, value: Bytes) -> Put {
    Put { key, value, sweep_at: None }
}
