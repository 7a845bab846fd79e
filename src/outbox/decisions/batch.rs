//! Lines on their way to the sinks, in the order of their tickets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::time::Timestamp;
use crate::outbox::sink::Lines;

use super::block::{Block, Line};
use super::slots::Slots;

/// A batch has at most so many records.
const RECORDS: usize = 2048;
/// Memory that is kept from one batch to another, in bytes.
const KEPT: usize = 4 * 1024 * 1024;

/// Records on their way to the sinks. Their slots are free again when the last of them is gone.
pub struct Batch {
    pub lines: Lines,
    pub size: Size,
    /// When the first of them happened.
    pub oldest: Option<Timestamp>,
    home: Arc<Home>,
    /// The slots that it still holds.
    held: Size,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub records: usize,
    pub bytes: usize,
}

/// Where slots and memory go back to.
pub struct Home {
    pub slots: Arc<Slots>,
    spare: Mutex<Vec<u8>>,
}

impl Home {
    pub fn new(slots: Arc<Slots>) -> Arc<Self> {
        Arc::new(Self { slots, spare: Mutex::default() })
    }

    fn memory(&self) -> Vec<u8> {
        std::mem::take(&mut *self.spare.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, memory: Vec<u8>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if (spare.capacity()..=KEPT).contains(&memory.capacity()) {
            *spare = memory;
        }
    }
}

impl Batch {
    /// `holds`: its slots are free when it is gone, and not before.
    fn of(lines: &[Line<'_>], home: &Arc<Home>, holds: bool) -> Self {
        let bytes = lines.iter().map(|line| line.bytes.len()).sum();
        let mut memory = home.memory();
        memory.reserve(bytes);
        for line in lines {
            memory.extend_from_slice(line.bytes);
        }
        let size = Size { records: lines.len(), bytes };
        let oldest = lines.iter().map(|line| line.at).min();
        let held = if holds { size } else { Size::default() };
        if !holds {
            home.slots.free(size.records, size.bytes);
        }
        Self { lines: memory.into(), size, oldest, home: Arc::clone(home), held }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.home.slots.free(self.held.records, self.held.bytes);
        if let Some(memory) = std::mem::take(&mut self.lines).into_memory() {
            self.home.keep(memory);
        }
    }
}

/// Hands on what is in the blocks, batch by batch.
pub fn batches(blocks: &[Block], home: &Arc<Home>, holds: bool, mut hand_on: impl FnMut(Batch)) {
    let mut lines: Vec<Line<'_>> = blocks.iter().flat_map(Block::lines).collect();
    // Stable, and quick with a few lists that are in order.
    lines.sort_by_key(|line| line.ticket);
    lines.chunks(RECORDS).for_each(|lines| hand_on(Batch::of(lines, home, holds)));
}

/// What waits in one pump.
#[derive(Default)]
pub struct Queued {
    records: AtomicUsize,
    bytes: AtomicUsize,
}

impl Queued {
    pub fn size(&self) -> Size {
        let records = self.records.load(Ordering::Relaxed);
        Size { records, bytes: self.bytes.load(Ordering::Relaxed) }
    }

    pub fn add(&self, size: Size) {
        self.records.fetch_add(size.records, Ordering::Relaxed);
        self.bytes.fetch_add(size.bytes, Ordering::Relaxed);
    }

    pub fn sub(&self, size: Size) {
        self.records.fetch_sub(size.records, Ordering::Relaxed);
        self.bytes.fetch_sub(size.bytes, Ordering::Relaxed);
    }
}
