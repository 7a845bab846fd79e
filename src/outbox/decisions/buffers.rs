//! Where the cores put what they tell, until the collector comes for it. Each core has a buffer of
//! its own, so that cores do not wait for each other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::telemetry::decision::{DecisionRecord, LeaseCut};

use super::Told;
use super::slots::Ticket;

/// A buffer that once was very full keeps room for so many.
const KEPT: usize = 4096;

type Ticketed = (Ticket, Told);

/// Nothing is taken any more.
#[derive(Debug)]
pub struct Closed;

pub struct Buffers {
    cores: Box<[Buffer]>,
    /// Cuts are few, and come from any core.
    cuts: Buffer,
    /// Called by the first who puts something into a buffer that the collector had found empty.
    filled: Notify,
}

/// On cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Buffer(Mutex<State>);

struct State {
    told: Vec<Ticketed>,
    /// The collector found it empty, and may be waiting.
    found_empty: bool,
    is_closed: bool,
}

impl Default for State {
    fn default() -> Self {
        Self { told: Vec::new(), found_empty: true, is_closed: false }
    }
}

impl Buffers {
    pub fn new(cores: usize) -> Self {
        let cores = (0..cores).map(|_| Buffer::default()).collect();
        Self { cores, cuts: Buffer::default(), filled: Notify::new() }
    }

    /// # Errors
    /// Closed.
    pub fn push(
        &self,
        core: usize,
        ticket: Ticket,
        record: Arc<DecisionRecord>,
    ) -> Result<(), Closed> {
        self.put(self.cores.get(core).unwrap_or(&self.cuts), (ticket, Told::Decision(record)))
    }

    /// # Errors
    /// Closed.
    pub fn push_cut(&self, ticket: Ticket, cut: Arc<LeaseCut>) -> Result<(), Closed> {
        self.put(&self.cuts, (ticket, Told::Cut(cut)))
    }

    fn put(&self, buffer: &Buffer, told: Ticketed) -> Result<(), Closed> {
        if buffer.push(told)? {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Returns when something was put into a buffer after [`Self::take_all`] had found them all empty.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes everything, in the order of the tickets. `spare` is empty, and is so again afterwards.
    pub fn take_all(&self, spare: &mut Vec<Ticketed>) -> Vec<Ticketed> {
        let mut all = Vec::new();
        // Cuts first: of what was cut by now the decision is in a buffer by now.
        for buffer in [&self.cuts].into_iter().chain(&self.cores) {
            buffer.swap(spare);
            all.append(spare);
            spare.shrink_to(KEPT);
        }
        // Stable, and quick with a few lists that are in order.
        all.sort_by_key(|(ticket, _)| *ticket);
        all
    }

    /// What is in the buffers can still be taken.
    pub fn close(&self) {
        for buffer in self.cores.iter().chain([&self.cuts]) {
            buffer.lock().is_closed = true;
        }
    }
}

impl Buffer {
    /// Whether the collector has to be told.
    fn push(&self, told: Ticketed) -> Result<bool, Closed> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Closed);
        }
        state.told.push(told);
        Ok(std::mem::take(&mut state.found_empty))
    }

    /// Holds the lock no longer than it takes to exchange two vectors: a core may be waiting for it.
    fn swap(&self, other: &mut Vec<Ticketed>) {
        let mut state = self.lock();
        std::mem::swap(&mut state.told, other);
        state.found_empty = other.is_empty();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
