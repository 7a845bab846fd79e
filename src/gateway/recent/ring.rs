//! The last decisions of one core, by their number.

use std::sync::Arc;

use super::super::record::Grounds;
use crate::telemetry::decision::DecisionRecord;

/// Decisions that one core keeps at most.
pub const ROOM: usize = 1024;
/// Bytes that they hold at most, as [`Entry::bytes`] counts them.
pub const BYTES: usize = 16 << 20;

/// Verified claims in memory, in bytes for each byte of their token, at the worst.
const CLAIMS_PER_TOKEN: usize = 16;

/// One decision, and what it was made from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The number in the decision's id.
    pub number: u64,
    pub record: Arc<DecisionRecord>,
    pub grounds: Grounds,
}

impl Entry {
    /// About how many bytes this keeps. What several entries share counts for each of them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let record = &self.record;
        let path = record.upstream_path.as_ref().map_or(0, |path| path.len());
        let id = record.object_id.as_ref().map_or(0, |id| id.len());
        let token = self.grounds.identity.as_ref().map_or(0, |it| it.proof.token_bytes);
        let live = self.grounds.live.as_ref().map_or(0, crate::store::LiveView::weight);
        let texts = record.target.len() + path + id + record.detail.len();
        let items = record.roles.len() + record.grants.len() + record.derived_roles.len();
        let ended = self.grounds.ended.len() * 128;
        let fixed = size_of::<Self>() + size_of::<DecisionRecord>() + 512;
        fixed + texts + items * 32 + ended + live + token.saturating_mul(CLAIMS_PER_TOKEN)
    }
}

#[derive(Debug)]
pub struct Ring {
    /// The place of number `n` is `n % ROOM`, with what it was counted as.
    slots: Vec<Option<(usize, Entry)>>,
    bytes: usize,
    /// Numbers below this were let go of.
    oldest: u64,
}

impl Default for Ring {
    fn default() -> Self {
        Self { slots: (0..ROOM).map(|_| None).collect(), bytes: 0, oldest: 0 }
    }
}

impl Ring {
    /// Keeps an entry unless a newer one has its place. Gives what had it, so that it is dropped
    /// after the lock.
    pub fn put(&mut self, entry: Entry) -> Option<Entry> {
        let (number, bytes) = (entry.number, entry.bytes());
        let newer = |kept: &Option<(usize, Entry)>| {
            kept.as_ref().is_some_and(|(_, kept)| kept.number > number)
        };
        if number < self.oldest || self.slots.get(place(number)).is_none_or(newer) {
            return Some(entry);
        }
        let displaced = self.take(number);
        self.oldest = self.oldest.max(number.saturating_add(1).saturating_sub(ROOM as u64));
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(slot) = self.slots.get_mut(place(number)) {
            *slot = Some((bytes, entry));
        }
        while self.bytes > BYTES && self.oldest < number {
            drop(self.take(self.oldest));
            self.oldest += 1;
        }
        displaced
    }

    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Entry> {
        let (_, entry) = self.slots.get(place(number))?.as_ref()?;
        Some(entry).filter(|entry| entry.number == number)
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().flatten().map(|(_, entry)| entry)
    }

    fn take(&mut self, number: u64) -> Option<Entry> {
        let (bytes, entry) = self.slots.get_mut(place(number))?.take()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(entry)
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % ROOM as u64).unwrap_or(0)
}
