//! Where the cores put what they tell, until the collector comes for it. Each core has a buffer of
//! its own, so that cores do not wait for each other, and writes the line of a record while the
//! record is in its cache: no other core ever looks at it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::cloudevents::LineWriter;

use super::block::{Block, NoRoom};
use super::slots::Slots;
use super::told::Telling;

/// Who wants what.
#[derive(Clone, Copy)]
pub struct Wants<'a> {
    /// Lines of this deployment, see [`crate::cloudevents::source`].
    pub lines: Option<&'a str>,
    /// What was told itself.
    pub told: bool,
}

pub struct Buffers {
    cores: Box<[Buffer]>,
    /// Cuts are few, and come from any core.
    cuts: Buffer,
    keeps_told: bool,
    /// Called by the first who puts something into a buffer that the collector had found empty.
    filled: Notify,
}

/// On cache lines of its own.
#[repr(align(128))]
struct Buffer(Mutex<State>);

struct State {
    block: Block,
    /// `None`: nobody wants lines.
    writer: Option<LineWriter>,
    /// The collector found it empty, and may be waiting.
    found_empty: bool,
    is_closed: bool,
}

impl Buffers {
    pub fn new(cores: usize, wants: Wants<'_>) -> Self {
        let buffer = || Buffer::new(wants.lines.map(LineWriter::new));
        let cuts = buffer();
        let cores = (0..cores).map(|_| buffer()).collect();
        Self { cores, cuts, keeps_told: wants.told, filled: Notify::new() }
    }

    /// # Errors
    /// The log is full or closed.
    pub fn push(&self, core: usize, told: Telling<'_>, slots: &Slots) -> Result<(), NoRoom> {
        let buffer = match told {
            Telling::Decision(_) => self.cores.get(core).unwrap_or(&self.cuts),
            Telling::Cut(_) => &self.cuts,
        };
        if buffer.push(told, self.keeps_told, slots)? {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Returns when something was put into a buffer after [`Self::take_all`] had found them all empty.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Exchanges `blocks`, which are empty, for those that were filled. Whether there was anything.
    pub fn take_all(&self, blocks: &mut Vec<Block>) -> bool {
        blocks.resize_with(self.cores.len() + 1, Block::default);
        // Cuts first: of what was cut by now the decision is in a buffer by now.
        let buffers = [&self.cuts].into_iter().chain(&self.cores);
        for (buffer, block) in buffers.zip(blocks.iter_mut()) {
            buffer.swap(block);
        }
        blocks.iter().any(|block| !block.is_empty())
    }

    /// What is in the buffers can still be taken.
    pub fn close(&self) {
        for buffer in self.cores.iter().chain([&self.cuts]) {
            buffer.lock().is_closed = true;
        }
    }
}

impl Buffer {
    fn new(writer: Option<LineWriter>) -> Self {
        let block = Block::default();
        Self(Mutex::new(State { block, writer, found_empty: true, is_closed: false }))
    }

    /// Whether the collector has to be told.
    fn push(&self, told: Telling<'_>, keeps_told: bool, slots: &Slots) -> Result<bool, NoRoom> {
        let mut state = self.lock();
        let state = &mut *state;
        if state.is_closed {
            return Err(NoRoom);
        }
        let ticket = state.block.put(told, state.writer.as_mut(), slots)?;
        if keeps_told {
            state.block.told.push((ticket, told.kept()));
        }
        Ok(std::mem::take(&mut state.found_empty))
    }

    /// Holds the lock no longer than it takes to exchange two blocks: a core may be waiting for it.
    fn swap(&self, other: &mut Block) {
        let mut state = self.lock();
        std::mem::swap(&mut state.block, other);
        state.found_empty = other.is_empty();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
