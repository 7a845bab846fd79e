//! Where the cores put what they tell, until the collector comes for it. Each core has a buffer of
//! its own, so that cores do not wait for each other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::telemetry::decision::{DecisionRecord, LeaseCut};

use super::Told;

/// A buffer that once was very full keeps room for so many.
const KEPT: usize = 4096;

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
    told: Vec<Told>,
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
    pub fn push(&self, core: usize, record: Arc<DecisionRecord>) -> Result<(), Closed> {
        self.put(self.cores.get(core).unwrap_or(&self.cuts), Told::Decision(record))
    }

    /// # Errors
    /// Closed.
    pub fn push_cut(&self, cut: Arc<LeaseCut>) -> Result<(), Closed> {
        self.put(&self.cuts, Told::Cut(cut))
    }

    fn put(&self, buffer: &Buffer, told: Told) -> Result<(), Closed> {
        if buffer.push(told)? {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Returns when something was put into a buffer after [`Self::take_all`] had found them all empty.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes everything: of each core in order, and a cut after the decision that it ends. `spare`
    /// is empty, and is so again afterwards. Whether there was anything.
    pub fn take_all(&self, spare: &mut Vec<Told>, mut take: impl FnMut(Told)) -> bool {
        // Of what was cut by now the decision is in a buffer by now.
        let mut cuts = Vec::new();
        self.cuts.swap(&mut cuts);
        let mut any = !cuts.is_empty();
        for core in &self.cores {
            core.swap(spare);
            any |= !spare.is_empty();
            spare.drain(..).for_each(&mut take);
            spare.shrink_to(KEPT);
        }
        cuts.into_iter().for_each(take);
        any
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
    fn push(&self, told: Told) -> Result<bool, Closed> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Closed);
        }
        state.told.push(told);
        Ok(std::mem::take(&mut state.found_empty))
    }

    /// Holds the lock no longer than it takes to exchange two vectors: a core may be waiting for it.
    fn swap(&self, other: &mut Vec<Told>) {
        let mut state = self.lock();
        std::mem::swap(&mut state.told, other);
        state.found_empty = other.is_empty();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
