//! The room in the decision log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Told;

/// How many records wait, for all cores together: one addition for a record is far below what a
/// record costs, the bound is exact, and the records of all cores get one order.
pub struct Slots {
    taken: Line<AtomicUsize>,
    /// Of those taken. Changes once for a batch, so that every core has it at hand.
    freed: Line<AtomicUsize>,
    capacity: usize,
    told_full: AtomicBool,
}

/// On cache lines of its own.
#[repr(align(128))]
struct Line<T>(T);

/// The place of a record among all: whatever was recorded before has a lower one, as long as the
/// log is not full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(usize);

impl Slots {
    pub const fn new(capacity: usize) -> Self {
        Self {
            taken: Line(AtomicUsize::new(0)),
            freed: Line(AtomicUsize::new(0)),
            capacity,
            told_full: AtomicBool::new(false),
        }
    }

    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn taken(&self) -> usize {
        // In this order, so that nothing is seen as freed that is not seen as taken.
        let freed = self.freed.0.load(Ordering::Acquire);
        self.taken.0.load(Ordering::Relaxed).wrapping_sub(freed)
    }

    /// `None`: there is no room.
    pub fn take(&self) -> Option<Ticket> {
        let freed = self.freed.0.load(Ordering::Acquire);
        let place = self.taken.0.fetch_add(1, Ordering::Relaxed);
        if place.wrapping_sub(freed) < self.capacity {
            return Some(Ticket(place));
        }
        self.taken.0.fetch_sub(1, Ordering::Relaxed);
        None
    }

    pub fn free(&self, count: usize) {
        self.freed.0.fetch_add(count, Ordering::Release);
        if self.taken() < self.capacity / 4 * 3 {
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
