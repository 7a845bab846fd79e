//! The last decisions of one core, by their number.

use std::sync::Arc;

use super::super::record::Grounds;
use crate::telemetry::decision::DecisionRecord;

/// Decisions that one core keeps at most.
pub const ROOM: usize = 1024;
/// Bytes that they hold at most, as [`Entry::bytes`] counts them.
pub const BYTES: usize = 16 << 20;

/// One decision, and what it was made from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The number in the decision's id.
    pub number: u64,
    pub record: Arc<DecisionRecord>,
    pub grounds: Grounds,
}

impl Entry {
    /// About how many bytes this keeps, rather more than less. What several entries share counts for each of them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let record = &self.record;
        let long = [&record.upstream_path, &record.object_id, &record.scope, &record.rule];
        let long = long.into_iter().flatten().map(|text| text.len()).sum::<usize>();
        let texts = long + record.target.len() + record.host.len() + record.detail.len();
        let names = record.derived_roles.iter().chain(&record.evaluated_policies);
        let names = names.map(|name| name.len() + 32).sum::<usize>();
        let items = (record.roles.len() + record.grants.len()) * 32;
        // Groups and roles are there as claims, and once more as texts of their own.
        let identity = self.grounds.identity.as_ref().map_or(0, |it| 2 * it.proof.claims_bytes);
        let live = self.grounds.live.as_ref().map_or(0, crate::store::LiveView::weight);
        let ended = self.grounds.ended.len() * 128;
        let provided = self.grounds.provided.as_ref().map_or(0, |it| it.known.bytes);
        let fixed = size_of::<Self>() + size_of::<DecisionRecord>() + 512;
        let own = fixed + texts + names + items + ended;
        own.saturating_add(live).saturating_add(identity).saturating_add(provided)
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
