//! How many requests run at once: a share per core, refused cheaply beyond it.

use std::cell::Cell;
use std::rc::Rc;

use prometheus_client::metrics::gauge::Gauge;

/// The places of one core.
#[derive(Debug)]
pub struct Slots {
    taken: Rc<Cell<usize>>,
    limit: usize,
    active: Gauge,
}

/// One request's place, until its response has been sent or given up.
#[derive(Debug)]
pub struct Slot {
    taken: Rc<Cell<usize>>,
    active: Gauge,
}

impl Slots {
    #[must_use]
    pub fn new(limit: usize, active: Gauge) -> Self {
        Self { taken: Rc::default(), limit, active }
    }

    /// `None`: all places are taken.
    #[must_use]
    pub fn take(&self) -> Option<Slot> {
        if self.taken.get() >= self.limit {
            return None;
        }
        self.taken.set(self.taken.get() + 1);
        self.active.inc();
        Some(Slot { taken: Rc::clone(&self.taken), active: self.active.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.taken.set(self.taken.get().saturating_sub(1));
        self.active.dec();
    }
}
