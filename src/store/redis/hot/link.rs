//! One connection as its users see it: whether it serves, and how to ask on it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::super::super::StoreFault;
use super::ask::Ask;
use super::queue::{Outcome, Queue};
use super::slots::Ticket;
use super::vitals;
use crate::entropy::NoEntropy;

/// Whether reads may be sent.
#[derive(Clone, Debug)]
pub enum State {
    /// A connection is being made and there is hope: reads wait for it.
    Connecting,
    /// The last attempt failed for this reason.
    Down(StoreFault),
    /// What the last whole round of questions about health showed, and when it was asked.
    Up { asked: Instant, verdict: Result<(), StoreFault> },
}

pub struct Link {
    pub queue: RefCell<Queue>,
    state: RefCell<State>,
    changed: Notify,
    /// Whether a replica was ever seen at the other end.
    had_replicas: Cell<bool>,
}

impl Link {
    /// # Errors
    /// No randomness.
    pub fn new() -> Result<Self, NoEntropy> {
        Ok(Self {
            queue: RefCell::new(Queue::new()?),
            state: RefCell::new(State::Connecting),
            changed: Notify::new(),
            had_replicas: Cell::new(false),
        })
    }

    /// Notes how many replicas are there; whether there were some and are none any more.
    pub fn lost_replicas(&self, online: usize) -> bool {
        if online > 0 {
            self.had_replicas.set(true);
        }
        online == 0 && self.had_replicas.get()
    }

    /// Whether a read may be sent, and its answer believed, now; `false`: not yet.
    ///
    /// # Errors
    /// Neither now nor soon.
    pub fn is_up(&self, now: Instant) -> Result<bool, StoreFault> {
        match &*self.state.borrow() {
            State::Connecting => Ok(false),
            State::Down(fault) => Err(fault.clone()),
            State::Up { asked, .. } if now.duration_since(*asked) > vitals::GOOD_FOR => {
                Err(StoreFault::Unreachable("the last sign of health is too old".into()))
            }
            State::Up { verdict, .. } => verdict.clone().map(|()| true),
        }
    }

    /// The time, as whoever asked first since this connection was looked at last has read it: they
    /// all ask in one turn of this core.
    pub fn now(&self) -> Instant {
        self.queue.borrow().turn().unwrap_or_else(Instant::now)
    }

    /// Waits for a connection that is being made.
    ///
    /// # Errors
    /// It could not be made, or not before the deadline.
    pub async fn ready(&self, now: Instant, deadline: Instant) -> Result<(), StoreFault> {
        if self.is_up(now)? {
            return Ok(());
        }
        // In a box, so that a read that need not wait carries no room for it.
        let waiting = Box::pin(timeout_at(deadline, async {
            loop {
                let changed = self.changed.notified();
                if self.is_up(Instant::now())? {
                    return Ok(());
                }
                changed.await;
            }
        }));
        waiting.await.unwrap_or(Err(StoreFault::Deadline))
    }

    /// Sends a read with the next batch. It has its own place, and nobody else gets its answer.
    /// `now`: when it was asked for.
    ///
    /// # Errors
    /// Too much is under way.
    pub fn read(
        self: &Rc<Self>,
        ask: &Ask<'_>,
        now: Instant,
        deadline: Instant,
    ) -> Result<Read, StoreFault> {
        let (ticket, waker) = self.queue.borrow_mut().read(ask, now, deadline)?;
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(Read { link: Rc::clone(self), ticket: Some(ticket) })
    }

    pub fn set(&self, state: State) {
        self.state.replace(state);
        self.changed.notify_waiters();
    }

    /// Fails everything that is under way.
    pub fn fail(&self, fault: &StoreFault) {
        let wakers = self.queue.borrow_mut().fail(fault);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Fails what is under way and not answered by `now`.
    pub fn expire(&self, now: Instant) {
        let wakers = self.queue.borrow_mut().expire(now);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub fn answer(&self, ticket: Ticket, outcome: Outcome) {
        let waker = self.queue.borrow_mut().slots.answer(ticket, outcome);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// An answer that is waited for; dropping it leaves its place in the order, not its slot.
pub struct Read {
    link: Rc<Link>,
    ticket: Option<Ticket>,
}

impl Future for Read {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let Some(ticket) = self.ticket else { return Poll::Pending };
        let answered = self.link.queue.borrow_mut().slots.poll(ticket, context.waker());
        match answered {
            Some(outcome) => {
                self.ticket = None;
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let _unread = self.link.queue.borrow_mut().slots.leave(ticket);
        }
    }
}
