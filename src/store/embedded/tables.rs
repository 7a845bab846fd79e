//! The tables of the database file, and how entries look in them.

use std::collections::HashMap;
use std::ops::Bound;

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTableMetadata, TableDefinition};

use crate::domain::ids::{CommitId, Partition, PartitionCount};
use crate::store::StoreFault;
use crate::store::backend::{LogEntry, Range, Scored};
use crate::store::keys::{self, Key};

type Bytestring = &'static [u8];

/// Key -> when it may be swept (u64, 0: never), then the value.
pub const RECORDS: TableDefinition<'static, Bytestring, Bytestring> =
    TableDefinition::new("records");
/// (When, key) of everything that may be swept.
pub const SWEEP: TableDefinition<'static, (u64, Bytestring), ()> = TableDefinition::new("sweep");
/// (Set, member) -> score.
pub const SCORES: TableDefinition<'static, (Bytestring, Bytestring), u64> =
    TableDefinition::new("scores");
/// (Set, score, member).
pub const MEMBERS: TableDefinition<'static, (Bytestring, u64, Bytestring), ()> =
    TableDefinition::new("members");
/// (Partition, seq) -> commit id (16 bytes), then each event with its length (u32) before it.
pub const LOG: TableDefinition<'static, (u16, u64), Bytestring> = TableDefinition::new("log");

/// Everything below the store's typed part fails as "unreachable"; the text is for logs.
pub fn failed(fault: impl std::fmt::Display) -> StoreFault {
    StoreFault::Unreachable(fault.to_string())
}

/// A record with its sweeping time before it.
pub fn stored(sweep_at: u64, value: &[u8]) -> Vec<u8> {
    [&sweep_at.to_be_bytes(), value].concat()
}

pub fn unstored(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (sweep_at, value) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*sweep_at), value))
}

pub fn log_entry(commit: CommitId, events: &[Bytes]) -> Vec<u8> {
    let mut entry = commit.0.to_vec();
    for event in events {
        // An event is a few kilobytes; one that could not be counted would not read back.
        let length = u32::try_from(event.len()).unwrap_or(u32::MAX);
        entry.extend_from_slice(&length.to_be_bytes());
        entry.extend_from_slice(event);
    }
    entry
}

fn parse_entry(seq: u64, entry: &[u8]) -> Option<LogEntry> {
    let (commit, mut rest) = entry.split_first_chunk::<16>()?;
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (event, after) = after.split_at_checked(length)?;
        events.push(Bytes::copy_from_slice(event));
        rest = after;
    }
    Some(LogEntry { seq, commit: CommitId(*commit), events })
}

/// The published state of the file: what was committed and is visible to everybody.
pub struct Snapshot {
    records: ReadOnlyTable<Bytestring, Bytestring>,
    members: ReadOnlyTable<(Bytestring, u64, Bytestring), ()>,
    log: ReadOnlyTable<(u16, u64), Bytestring>,
}

impl Snapshot {
    pub fn of(read: &ReadTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            records: read.open_table(RECORDS)?,
            members: read.open_table(MEMBERS)?,
            log: read.open_table(LOG)?,
        })
    }

    pub fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreFault> {
        let found = self.records.get(key.as_bytes()).map_err(failed)?;
        let Some(found) = found else { return Ok(None) };
        let (_, value) = unstored(found.value()).ok_or_else(|| failed("a record is cut short"))?;
        Ok(Some(Bytes::copy_from_slice(value)))
    }

    pub fn is_empty(&self) -> Result<bool, StoreFault> {
        self.records.is_empty().map_err(failed)
    }

    /// Everything that the data plane reads, for the start.
    pub fn hot(&self, partitions: PartitionCount) -> Result<HashMap<Box<[u8]>, Bytes>, StoreFault> {
        let mut hot = HashMap::new();
        for prefix in partitions.all().flat_map(keys::hot_prefixes) {
            for entry in self.records.range(prefix.as_bytes()..).map_err(failed)? {
                let (key, value) = entry.map_err(failed)?;
                if !key.value().starts_with(prefix.as_bytes()) {
                    break;
                }
                if let Some((_, value)) = unstored(value.value()) {
                    hot.insert(key.value().into(), Bytes::copy_from_slice(value));
                }
            }
        }
        Ok(hot)
    }

    pub fn commit_at(
        &self,
        partition: Partition,
        seq: u64,
    ) -> Result<Option<CommitId>, StoreFault> {
        let found = self.log.get((partition.0, seq)).map_err(failed)?;
        Ok(found.and_then(|entry| entry.value().first_chunk::<16>().copied()).map(CommitId))
    }

    pub fn log(
        &self,
        partition: Partition,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreFault> {
        let Some(from) = after.checked_add(1) else { return Ok(Vec::new()) };
        let range = (partition.0, from)..=(partition.0, u64::MAX);
        let entries = self.log.range(range).map_err(failed)?.take(limit);
        let read = entries.map(|entry| {
            let (key, value) = entry.map_err(failed)?;
            let (_, seq) = key.value();
            parse_entry(seq, value.value()).ok_or_else(|| failed("a log entry is cut short"))
        });
        read.collect()
    }

    pub fn members(
        &self,
        set: &Key,
        range: Range,
        limit: usize,
    ) -> Result<Vec<Scored>, StoreFault> {
        let first: (&[u8], u64, &[u8]) = (set.as_bytes(), 0, &[]);
        let scored = |key: (&[u8], u64, &[u8])| {
            let member = keys::member_from(key.2).ok_or_else(|| failed("a member is too long"))?;
            Ok(Scored { score: key.1, member })
        };
        match range {
            Range::UpTo(score, above) => {
                let end = (set.as_bytes(), score.saturating_add(1), &[][..]);
                let start = match &above {
                    Some(above) if above.score > score => return Ok(Vec::new()),
                    Some(above) => {
                        let above = (set.as_bytes(), above.score, above.member.as_bytes());
                        Bound::Excluded(above)
                    }
                    None => Bound::Included(first),
                };
                let range = (start, Bound::Excluded(end));
                let range = self.members.range::<(&[u8], u64, &[u8])>(range).map_err(failed)?;
                range.take(limit).map(|e| scored(e.map_err(failed)?.0.value())).collect()
            }
            Range::Below(below) => {
                let end = match &below {
                    Some(below) => (set.as_bytes(), below.score, below.member.as_bytes()),
                    None => (set.as_bytes(), u64::MAX, &[][..]),
                };
                let range = self.members.range(first..end).map_err(failed)?;
                range.rev().take(limit).map(|e| scored(e.map_err(failed)?.0.value())).collect()
            }
        }
    }
}
