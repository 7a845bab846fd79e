//! The room in the decision log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Told;

/// How many records wait, for all cores together: one addition for a record is far below what a
/// record costs, and the bound is exact.
#[repr(align(128))]
pub struct Slots {
    taken: AtomicUsize,
    capacity: usize,
    told_full: AtomicBool,
}

impl Slots {
    pub const fn new(capacity: usize) -> Self {
        Self { taken: AtomicUsize::new(0), capacity, told_full: AtomicBool::new(false) }
    }

    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub fn take(&self) -> bool {
        let free = self.taken.fetch_add(1, Ordering::Relaxed) < self.capacity;
        if !free {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
        free
    }

    pub fn free(&self, count: usize) {
        let before = self.taken.fetch_sub(count, Ordering::Relaxed);
        if before.saturating_sub(count) < self.capacity / 4 * 3 {
            self.told_full.store(false, Ordering::Relaxed);
        }
    }

    /// Whether nobody was told since there was room last.
    pub fn first_full(&self) -> bool {
        !self.told_full.swap(true, Ordering::Relaxed)
    }
}

/// Records on their way to the sinks. Their slots are free again when the last of them is gone.
pub struct Batch {
    pub records: Vec<Told>,
    pub slots: Arc<Slots>,
    /// How many slots they still hold.
    pub held: usize,
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.slots.free(self.held);
    }
}
