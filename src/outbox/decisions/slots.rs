//! The room in the decision log.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The lines of a log hold at most so many bytes for each of its records, all together.
pub const BYTES_EACH: usize = 2048;

/// How many records wait, for all cores together: an addition or two for a record are far below what a
/// record costs, the bound is exact, and the records of all cores get one order.
pub struct Slots {
    taken: Line<Taken>,
    /// Of those taken. Changes once for a batch, so that every core has it at hand.
    freed: Line<Taken>,
    capacity: usize,
    told_full: AtomicBool,
}

/// Both wrap.
#[derive(Default)]
struct Taken {
    records: AtomicUsize,
    bytes: AtomicUsize,
}

/// On cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Line<T>(T);

/// The place of a record among all: whatever was recorded before has a lower one, as long as the
/// log is not full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(usize);

impl Slots {
    pub fn new(capacity: usize) -> Self {
        Self {
            taken: Line::default(),
            freed: Line::default(),
            capacity,
            told_full: AtomicBool::new(false),
        }
    }

    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn taken(&self) -> usize {
        // In this order, so that nothing is seen as freed that is not seen as taken.
        let freed = self.freed.0.records.load(Ordering::Acquire);
        self.taken.0.records.load(Ordering::Relaxed).wrapping_sub(freed)
    }

    /// For a record whose line has so many bytes. `None`: there is no room.
    pub fn take(&self, bytes: usize) -> Option<Ticket> {
        let (taken, freed) = (&self.taken.0, &self.freed.0);
        let freed_records = freed.records.load(Ordering::Acquire);
        let place = taken.records.fetch_add(1, Ordering::Relaxed);
        if place.wrapping_sub(freed_records) < self.capacity {
            let freed_bytes = freed.bytes.load(Ordering::Acquire);
            let before = taken.bytes.fetch_add(bytes, Ordering::Relaxed);
            let held = before.wrapping_sub(freed_bytes);
            // A line alone always has room, however long it is.
            if held == 0 || held.saturating_add(bytes) <= self.room_bytes() {
                return Some(Ticket(place));
            }
            taken.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken.records.fetch_sub(1, Ordering::Relaxed);
        None
    }

    const fn room_bytes(&self) -> usize {
        self.capacity.saturating_mul(BYTES_EACH)
    }

    pub fn free(&self, records: usize, bytes: usize) {
        self.freed.0.bytes.fetch_add(bytes, Ordering::Release);
        self.freed.0.records.fetch_add(records, Ordering::Release);
        if self.taken() < self.capacity / 4 * 3 {
            self.told_full.store(false, Ordering::Relaxed);
        }
    }

    /// Whether nobody was told since there was room last.
    pub fn first_full(&self) -> bool {
        !self.told_full.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_leave_room_for_fewer_records_and_what_is_freed_can_be_taken_again() {
        let slots = Slots::new(10);
        let half = 5 * BYTES_EACH;
        assert!(slots.take(half).is_some() && slots.take(half - 1).is_some());
        assert!(slots.take(2).is_none());
        assert!(slots.take(1).is_some());
        assert_eq!(slots.taken(), 3);
        slots.free(1, half);
        assert!(slots.take(half).is_some());
        assert!(slots.take(1).is_none());
        slots.free(3, 10 * BYTES_EACH);
        assert!(slots.take(usize::MAX).is_some(), "alone it has room");
        assert!(slots.take(0).is_none());
    }
}
