//! What was asked on one connection and not answered yet, in the order of asking, and the bytes that
//! are still to be written.

use std::collections::VecDeque;
use std::task::Waker;

use tokio::time::Instant;

use super::super::super::StoreFault;
use super::super::reply::Refusal;
use super::ask::{Answer, Ask, Shape, write_command};
use super::slots::{Slots, Ticket};
use crate::domain::time::Timestamp;
use crate::entropy::{self, NoEntropy};

/// Reads under way on one connection.
pub const MOST_READS: usize = 16_384;
/// Bytes that wait to be written.
const MOST_BYTES: usize = 8 << 20;

/// Why a read has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The server said no to this very read.
    Refused(Refusal),
    Fault(StoreFault),
}

impl From<Failed> for StoreFault {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(refusal) => refusal.into(),
            Failed::Fault(fault) => fault,
        }
    }
}

pub type Outcome = Result<Answer, Failed>;

/// A reply that is waited for.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// Leads a batch: this number has to come back.
    Echo(u64),
    /// To a command of this name, +OK.
    Okay(&'static str),
    Role,
    Replication,
    /// The last of a round of questions about health.
    Time {
        sent: Timestamp,
        asked: Instant,
    },
    Read {
        shape: Shape,
        ticket: Ticket,
        deadline: Instant,
    },
}

pub struct Queue {
    fifo: VecDeque<Entry>,
    pub slots: Slots<Outcome>,
    reads: usize,
    out: Vec<u8>,
    numbers: Numbers,
    /// No read is due earlier than this.
    due: Option<Instant>,
    /// Of the task that writes.
    writer: Option<Waker>,
    woken: bool,
    /// When the first read since then was asked for.
    turn: Option<Instant>,
}

impl Queue {
    /// # Errors
    /// No random number to begin with.
    pub fn new() -> Result<Self, NoEntropy> {
        Ok(Self {
            fifo: VecDeque::new(),
            slots: Slots::default(),
            reads: 0,
            out: Vec::new(),
            numbers: Numbers(u64::from_be_bytes(entropy::bytes()?)),
            due: None,
            writer: None,
            woken: false,
            turn: None,
        })
    }

    /// Puts a read at the end; the waker, if any, is to be called when nothing is borrowed.
    ///
    /// # Errors
    /// Too much is under way.
    pub fn read(
        &mut self,
        ask: &Ask<'_>,
        now: Instant,
        deadline: Instant,
    ) -> Result<(Ticket, Option<Waker>), StoreFault> {
        if self.reads >= MOST_READS || self.out.len() >= MOST_BYTES {
            return Err(StoreFault::Overloaded);
        }
        self.lead();
        ask.write(&mut self.out);
        let ticket = self.slots.take();
        self.fifo.push_back(Entry::Read { shape: ask.shape(), ticket, deadline });
        self.reads += 1;
        self.due = Some(self.due.map_or(deadline, |due| due.min(deadline)));
        if self.woken {
            return Ok((ticket, None));
        }
        (self.woken, self.turn) = (true, self.writer.is_some().then_some(now));
        Ok((ticket, self.writer.clone()))
    }

    /// A command of the connection's own.
    pub fn say(&mut self, entry: Entry, parts: &[&[u8]]) {
        self.lead();
        self.say_first(entry, parts);
    }

    /// A command before which not even ECHO may be said.
    pub fn say_first(&mut self, entry: Entry, parts: &[&[u8]]) {
        write_command(&mut self.out, parts);
        self.fifo.push_back(entry);
    }

    /// Begins a batch with its number.
    fn lead(&mut self) {
        if self.out.is_empty() {
            self.number();
        }
    }

    /// What follows counts from a number that has to come back.
    pub fn number(&mut self) {
        let number = self.numbers.next();
        self.say_first(Entry::Echo(number), &[b"ECHO", &hexadecimal(number)]);
    }

    pub fn front(&self) -> Option<Entry> {
        self.fifo.front().copied()
    }

    pub fn pop(&mut self) {
        if let Some(Entry::Read { .. }) = self.fifo.pop_front() {
            self.reads -= 1;
        }
    }

    pub fn is_idle(&self) -> bool {
        self.fifo.is_empty()
    }

    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Everything that is to be written, into `empty`; what comes later is another batch.
    pub fn take_batch(&mut self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut self.out, empty);
    }

    /// See [`super::link::Link::now`].
    pub const fn turn(&self) -> Option<Instant> {
        self.turn
    }

    pub fn is_polled_by(&mut self, waker: &Waker) {
        (self.woken, self.turn) = (false, None);
        if self.writer.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            self.writer = Some(waker.clone());
        }
    }

    /// Fails the reads whose time is up; they keep their place, so that their replies are known
    /// for what they are.
    pub fn expire(&mut self, now: Instant) -> Vec<Waker> {
        let (mut wakers, mut due) = (Vec::new(), None::<Instant>);
        for entry in &self.fifo {
            let Entry::Read { ticket, deadline, .. } = entry else { continue };
            if *deadline <= now {
                let late = Err(Failed::Fault(StoreFault::Deadline));
                wakers.extend(self.slots.answer(*ticket, late));
            } else {
                due = Some(due.map_or(*deadline, |due| due.min(*deadline)));
            }
        }
        self.due = due;
        wakers
    }

    /// The connection is gone: nothing that was asked will be answered.
    pub fn fail(&mut self, fault: &StoreFault) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for entry in std::mem::take(&mut self.fifo) {
            if let Entry::Read { ticket, .. } = entry {
                wakers.extend(self.slots.answer(ticket, Err(Failed::Fault(fault.clone()))));
            }
        }
        (self.reads, self.due, self.turn) = (0, None, None);
        self.out.clear();
        wakers
    }
}

/// The form in which a batch's number is sent and has to come back.
pub fn hexadecimal(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        let value = u8::try_from((number >> (4 * place)) & 15).unwrap_or(0);
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
    }
    digits
}

/// `SplitMix64` from a random start: scattered, and none comes twice. They protect against streams
/// out of step, not against a server that lies.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
