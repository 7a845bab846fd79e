//! Where answers wait for those who asked. A slot is used again and again; a ticket names one use of
//! it, so that an answer for somebody who left is never taken by who came after.

use std::task::Waker;

/// One use of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    slot: usize,
    number: u64,
}

#[derive(Debug)]
pub struct Slots<T> {
    all: Vec<Slot<T>>,
    free: Vec<usize>,
    /// Tickets are numbered through; no number comes twice.
    next: u64,
}

#[derive(Debug)]
struct Slot<T> {
    number: u64,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Free,
    Waiting(Option<Waker>),
    Answered(T),
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { all: Vec::new(), free: Vec::new(), next: 0 }
    }
}

impl<T> Slots<T> {
    pub fn take(&mut self) -> Ticket {
        let number = self.next;
        self.next += 1;
        let fresh = Slot { number, state: State::Waiting(None) };
        if let Some(slot) = self.free.pop()
            && let Some(place) = self.all.get_mut(slot)
        {
            *place = fresh;
            return Ticket { slot, number };
        }
        self.all.push(fresh);
        Ticket { slot: self.all.len() - 1, number }
    }

    /// Puts the answer down for whoever waits; the waker is to be called when nothing is borrowed.
    /// Does nothing when nobody waits any more.
    pub fn answer(&mut self, ticket: Ticket, answer: T) -> Option<Waker> {
        let slot = self.of(ticket)?;
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Waiting(waker) => {
                slot.state = State::Answered(answer);
                waker
            }
            other => {
                slot.state = other;
                None
            }
        }
    }

    /// The answer, once; until then `waker` is called when it comes.
    pub fn poll(&mut self, ticket: Ticket, waker: &Waker) -> Option<T> {
        let slot = self.of(ticket)?;
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Answered(answer) => {
                self.free.push(ticket.slot);
                Some(answer)
            }
            State::Waiting(Some(known)) if known.will_wake(waker) => {
                slot.state = State::Waiting(Some(known));
                None
            }
            State::Waiting(_) => {
                slot.state = State::Waiting(Some(waker.clone()));
                None
            }
            State::Free => None,
        }
    }

    /// Whoever asked has left; what was in the slot is given back to be dropped outside.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let slot = self.of(ticket)?;
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Free => None,
            State::Waiting(_) => {
                self.free.push(ticket.slot);
                None
            }
            State::Answered(answer) => {
                self.free.push(ticket.slot);
                Some(answer)
            }
        }
    }

    fn of(&mut self, ticket: Ticket) -> Option<&mut Slot<T>> {
        self.all.get_mut(ticket.slot).filter(|slot| slot.number == ticket.number)
    }
}
