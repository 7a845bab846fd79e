//! The last decisions of one core, by their number.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::record::Grounds;
use crate::telemetry::decision::DecisionRecord;

/// Decisions that let somebody through, of one core, at most. They come by the ten thousand a second:
/// few enough that their memory is still in the core's cache when it is used again.
pub const ALLOWED: usize = 128;
/// All others of one core, at most: what people ask about.
pub const REFUSED: usize = 1024;
/// Bytes that a core's decisions hold at most, as [`Entry::bytes`] counts them.
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

/// The last decisions of one core: those that let somebody through, and the others.
#[derive(Debug)]
pub struct Rings {
    allowed: Ring,
    refused: Ring,
}

impl Default for Rings {
    fn default() -> Self {
        Self {
            allowed: Ring::new(ALLOWED, BYTES / 4),
            refused: Ring::new(REFUSED, BYTES - BYTES / 4),
        }
    }
}

impl Rings {
    /// As [`Ring::put`], among those of its kind.
    pub fn put(&mut self, entry: Entry) -> Option<Entry> {
        let ring = if entry.record.allowed { &mut self.allowed } else { &mut self.refused };
        ring.put(entry)
    }

    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Entry> {
        self.allowed.get(number).or_else(|| self.refused.get(number))
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.allowed.entries().chain(self.refused.entries())
    }

    pub fn refused(&self) -> impl Iterator<Item = &Entry> {
        self.refused.entries()
    }
}

#[derive(Debug)]
pub struct Ring {
    /// Sorted by number, each with what it was counted as.
    kept: VecDeque<(usize, Entry)>,
    bytes: usize,
    room: usize,
    room_bytes: usize,
}

impl Ring {
    /// For so many entries, of so many bytes together.
    #[must_use]
    pub fn new(room: usize, room_bytes: usize) -> Self {
        Self { kept: VecDeque::with_capacity(room), bytes: 0, room, room_bytes }
    }

    /// Keeps an entry unless there is room for newer ones alone. Gives what had its room, so that it
    /// is dropped after the lock.
    pub fn put(&mut self, entry: Entry) -> Option<Entry> {
        let (number, bytes) = (entry.number, entry.bytes());
        let is_full = self.kept.len() >= self.room;
        if is_full && self.kept.front().is_none_or(|(_, oldest)| number < oldest.number) {
            return Some(entry);
        }
        let displaced = if is_full { self.take_oldest() } else { None };
        self.bytes = self.bytes.saturating_add(bytes);
        self.insert((bytes, entry));
        while self.bytes > self.room_bytes && self.kept.len() > 1 {
            drop(self.take_oldest());
        }
        displaced
    }

    /// Nearly all come in the order of their numbers.
    fn insert(&mut self, new: (usize, Entry)) {
        let number = new.1.number;
        if self.kept.back().is_none_or(|(_, newest)| newest.number < number) {
            return self.kept.push_back(new);
        }
        let place = self.kept.partition_point(|(_, kept)| kept.number < number);
        self.kept.insert(place, new);
    }

    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Entry> {
        let place = self.kept.binary_search_by_key(&number, |(_, kept)| kept.number).ok()?;
        self.kept.get(place).map(|(_, entry)| entry)
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.kept.iter().map(|(_, entry)| entry)
    }

    fn take_oldest(&mut self) -> Option<Entry> {
        let (bytes, entry) = self.kept.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(entry)
    }
}
