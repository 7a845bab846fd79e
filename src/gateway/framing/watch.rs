//! What the guard and the connection's task tell each other.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::Violation;
use crate::gateway::body::Progress;
use crate::gateway::lease::Side;
use crate::gateway::pace::Pace;

/// One per connection, shared within its core.
#[derive(Debug)]
pub struct Watch {
    violation: Cell<Option<Violation>>,
    /// It began with the preface of HTTP/2.
    pub(super) http2: Cell<bool>,
    /// Whole heads handed on.
    pub(super) heads: Cell<u64>,
    answered: Cell<u64>,
    /// Response bodies that are still being sent.
    streaming: Cell<u64>,
    /// When the first byte of an incomplete head came.
    pub(super) head_since: Cell<Option<Instant>>,
    /// Since when a body's next byte is awaited.
    pub(super) body_since: Cell<Option<Instant>>,
    body_pace: Pace,
    /// Since when the client takes nothing.
    pub(super) write_since: Cell<Option<Instant>>,
    write_pace: Pace,
    idle_since: Cell<Instant>,
    /// A response announced itself as the last one.
    goodbye: Cell<bool>,
    /// The newest request was answered with a switch: what follows is a tunnel's.
    switched: Cell<bool>,
    /// Whoever waits for the answer to a request for an upgrade.
    undecided: RefCell<Option<Waker>>,
    /// Exchanges that are bound to an access, and of whose response something may not be written yet.
    bound: RefCell<Vec<Rc<Progress>>>,
    /// A piece of a tool's body was handed on, and may not be written yet.
    unflushed: Cell<bool>,
    /// The client did not take the last piece at once.
    waits: Cell<bool>,
    /// Written before the connection is closed.
    pub(super) last_words: RefCell<Vec<u8>>,
}

impl Watch {
    #[must_use]
    pub fn new(rate: Option<NonZeroU32>) -> Self {
        Self {
            violation: Cell::new(None),
            http2: Cell::new(false),
            heads: Cell::new(0),
            answered: Cell::new(0),
            streaming: Cell::new(0),
            head_since: Cell::new(None),
            body_since: Cell::new(None),
            body_pace: Pace::new(rate),
            write_since: Cell::new(None),
            write_pace: Pace::new(rate),
            idle_since: Cell::new(Instant::now()),
            goodbye: Cell::new(false),
            switched: Cell::new(false),
            undecided: RefCell::new(None),
            bound: RefCell::default(),
            unflushed: Cell::new(false),
            waits: Cell::new(false),
            last_words: RefCell::new(Vec::new()),
        }
    }

    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.violation.get()
    }

    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.http2.get()
    }

    /// The first violation stands.
    pub fn violated(&self, violation: Violation) {
        if self.violation.get().is_none() {
            self.violation.set(Some(violation));
        }
        self.head_since.set(None);
        self.body_since.set(None);
    }

    /// One more request has its response; its body is being sent until the returned value is
    /// dropped.
    pub fn answered(self: &Rc<Self>) -> Sending {
        self.answered.set(self.answered.get() + 1);
        self.streaming.set(self.streaming.get() + 1);
        let undecided = self.undecided.borrow_mut().take();
        undecided.iter().for_each(Waker::wake_by_ref);
        Sending(Rc::clone(self))
    }

    /// Nothing is being served.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.all_answered() && self.streaming.get() == 0
    }

    /// No request that was handed on is without its response.
    #[must_use]
    pub fn all_answered(&self) -> bool {
        self.answered.get() >= self.heads.get()
    }

    pub fn said_goodbye(&self) {
        self.goodbye.set(true);
    }

    /// Nothing may follow a response that said `Connection: close`.
    #[must_use]
    pub fn has_said_goodbye(&self) -> bool {
        self.goodbye.get()
    }

    /// From now on nothing is read as HTTP any more.
    pub fn switches(&self) {
        self.switched.set(true);
    }

    pub(super) fn wake_with_the_answer(&self, waker: &Waker) {
        *self.undecided.borrow_mut() = Some(waker.clone());
    }

    #[must_use]
    pub fn has_switched(&self) -> bool {
        self.switched.get()
    }

    /// So many heads passed until now.
    pub(super) fn passed_heads(&self, heads: u64) {
        if self.heads.replace(heads) != heads {
            self.body_pace.restart();
            self.write_pace.restart();
        }
    }

    /// Bytes passed, of a body as a rule.
    pub(super) fn came(&self, bytes: usize) {
        if let Some(since) = self.body_since.take() {
            self.body_pace.waited(since);
        }
        self.body_pace.moved(bytes);
    }

    /// Nobody waits for the rest of a body any more.
    pub fn awaits_nothing(&self) {
        self.body_since.set(None);
    }

    /// The client takes nothing more for now.
    pub(super) fn waits_to_write(&self) {
        if self.write_since.get().is_none() {
            self.write_since.set(Some(Instant::now()));
        }
    }

    pub(super) fn wrote(&self, bytes: usize) {
        if let Some(since) = self.write_since.take() {
            self.write_pace.waited(since);
        }
        self.write_pace.moved(bytes);
    }

    /// Whether the access has ended of anything that is still to be written: no byte of it may be. What
    /// waits for the client is held to the clock, too.
    pub(super) fn must_not_write(&self) -> bool {
        let waits = self.waits.get();
        let over = |exchange: &Rc<Progress>| {
            exchange.held.cause().is_some() || (waits && exchange.held.has_ended())
        };
        self.bound.borrow().iter().any(over)
    }

    /// The same of what is written already, but not sent.
    pub(super) fn must_not_flush(&self) -> bool {
        self.waits.get() && self.must_not_write()
    }

    /// Whoever writes is woken when the access ends.
    pub(super) fn wake_at_the_cut(&self, waker: &Waker) {
        self.waits.set(true);
        for exchange in self.bound.borrow().iter() {
            exchange.held.waits(Side::Response, waker);
        }
    }

    /// Nothing more is written.
    pub(super) fn closes(&self) {
        self.bound.borrow_mut().clear();
    }

    /// Everything that was handed on is written.
    pub(super) fn flushed(&self) {
        self.unflushed.set(false);
        self.waits.set(false);
        let mut bound = self.bound.borrow_mut();
        if !bound.is_empty() {
            let over = bound.len().saturating_sub(usize::from(self.streaming.get() > 0));
            bound.drain(..over);
        }
    }

    pub fn say_at_the_end(&self, words: Vec<u8>) {
        *self.last_words.borrow_mut() = words;
    }

    #[must_use]
    pub fn head_since(&self) -> Option<Instant> {
        self.head_since.get()
    }

    /// When the client will have kept us waiting for too long within a message, if it goes on.
    #[must_use]
    pub fn stall_ends(&self, patience: Duration) -> Option<Instant> {
        let body = self.body_since.get().map(|since| self.body_pace.ends(since, patience));
        let write = self.write_since.get().map(|since| self.write_pace.ends(since, patience));
        body.into_iter().chain(write).min()
    }

    #[must_use]
    pub fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }
}

/// One response whose body has not ended.
#[derive(Debug)]
pub struct Sending(Rc<Watch>);

impl Sending {
    /// The response is bound to an access.
    pub fn binds(&self, exchange: &Rc<Progress>) {
        self.0.bound.borrow_mut().push(Rc::clone(exchange));
    }

    /// A piece of the tool's body goes to the library.
    pub fn hands_on(&self) {
        self.0.unflushed.set(true);
    }

    /// What comes next says that the access has ended; `false`: something of the tool is not written
    /// yet, and cannot be taken back alone.
    #[must_use]
    pub fn may_say_the_end(&self) -> bool {
        let may = !self.0.unflushed.get();
        if may {
            self.0.bound.borrow_mut().clear();
        }
        may
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.streaming.set(self.0.streaming.get().saturating_sub(1));
        self.0.idle_since.set(Instant::now());
    }
}
