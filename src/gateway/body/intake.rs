//! The body of a request of HTTP/1.1: what its connection has read, and whoever takes it.
//!
//! Both ends are in the same task as a rule, and then nobody is woken. A body that goes on behind an
//! early answer is taken in a task of its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use super::Cut;
use crate::gateway::upstream::{Decoder, Step};

/// The connection's end.
#[derive(Debug)]
pub struct Inlet(Rc<RefCell<State>>);

/// The end of whoever takes the body.
#[derive(Debug)]
pub struct Intake(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    /// Read, and not taken; also what follows the body.
    input: BytesMut,
    decoder: Decoder,
    /// What was read is not enough to go on with.
    is_starved: bool,
    leave: Leave,
    /// It does not come to its end.
    is_broken: bool,
    /// Nobody takes it any more.
    is_abandoned: bool,
    /// While it has to be woken.
    connection: Option<Waker>,
    taker: Option<Waker>,
}

/// Whether the client waits for `100 Continue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    Awaited,
    /// And somebody has asked for the body.
    Due,
    Given,
}

/// What a connection has to do for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// It was taken to its end.
    Nothing,
    /// Somebody has yet to ask for it, or to take what is there.
    Patience,
    /// The client is to be told that it may send it.
    Continue,
    Bytes,
    /// Nobody takes the rest.
    Discarding,
}

impl Inlet {
    /// `input` begins with the body.
    #[must_use]
    pub fn new(input: BytesMut, decoder: Decoder, expects: bool) -> (Self, Intake) {
        let state = Rc::new(RefCell::new(State {
            input,
            decoder,
            is_starved: false,
            leave: if expects { Leave::Awaited } else { Leave::Given },
            is_broken: false,
            is_abandoned: false,
            connection: None,
            taker: None,
        }));
        (Self(Rc::clone(&state)), Intake(state))
    }

    #[must_use]
    pub fn needs(&self) -> Needs {
        let state = self.0.borrow();
        if state.decoder.has_ended() {
            Needs::Nothing
        } else if state.is_abandoned {
            Needs::Discarding
        } else {
            let is_empty = state.input.is_empty() || state.is_starved;
            match state.leave {
                Leave::Due => Needs::Continue,
                Leave::Given if is_empty => Needs::Bytes,
                Leave::Awaited | Leave::Given => Needs::Patience,
            }
        }
    }

    /// The client waits to be told that it may send it.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.0.borrow().leave != Leave::Given
    }

    /// It was told.
    pub fn said_continue(&self) {
        self.0.borrow_mut().leave = Leave::Given;
    }

    /// Reads into what is there of it; whether the taker is in the task of `cx`, and so to be polled. Any
    /// other one is woken.
    ///
    /// # Errors
    /// Those of `read`; the taker gets to know.
    pub fn poll_fill<E>(
        &self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut BytesMut, &mut Context<'_>) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<bool, Cut>> {
        let mut state = self.0.borrow_mut();
        let Poll::Ready(count) = read(&mut state.input, cx) else { return Poll::Pending };
        let count = count.unwrap_or(0);
        state.is_starved = false;
        state.is_broken |= count == 0;
        let taker = state.taker.take();
        drop(state);
        let is_here = taker.is_some_and(|taker| {
            let is_here = taker.will_wake(cx.waker());
            if !is_here {
                taker.wake();
            }
            is_here
        });
        Poll::Ready(if count == 0 { Err(Cut::Gone) } else { Ok(is_here) })
    }

    /// Takes what is there of a body that nobody takes; whether that was all of it.
    #[must_use]
    pub fn discard(&self) -> bool {
        let state = &mut *self.0.borrow_mut();
        while let Ok(Step::Data(_)) = state.decoder.step(&mut state.input) {}
        state.decoder.has_ended()
    }

    /// What follows the body, as far as it was read.
    #[must_use]
    pub fn into_input(self) -> BytesMut {
        std::mem::take(&mut self.0.borrow_mut().input)
    }

    /// The connection looks at it before it sleeps: it need not be woken.
    pub fn attends(&self) {
        self.0.borrow_mut().connection = None;
    }

    /// The connection sleeps.
    pub fn rests(&self, waker: &Waker) {
        self.0.borrow_mut().connection = Some(waker.clone());
    }
}

impl Intake {
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let state = &mut *self.0.borrow_mut();
        let frame = match state.decoder.step(&mut state.input) {
            Ok(Step::Data(piece)) => Some(Ok(Frame::data(piece))),
            Ok(Step::Ended(trailers)) => {
                let trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
                trailers.map(|trailers| Ok(Frame::trailers(trailers)))
            }
            Ok(Step::More) if !state.is_broken => {
                state.is_starved = true;
                if state.leave == Leave::Awaited {
                    state.leave = Leave::Due;
                }
                state.taker = Some(cx.waker().clone());
                state.rouse();
                return Poll::Pending;
            }
            Ok(Step::More) | Err(_) => Some(Err(Cut::Gone)),
        };
        if state.input.is_empty() || state.decoder.has_ended() {
            state.rouse();
        }
        Poll::Ready(frame)
    }

    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.0.borrow().decoder.has_ended()
    }

    /// Of what is still to come.
    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        self.0.borrow().decoder.size_hint()
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        state.is_abandoned = true;
        state.rouse();
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        state.is_broken = true;
        if let Some(taker) = state.taker.take() {
            taker.wake();
        }
    }
}

impl State {
    fn rouse(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.wake();
        }
    }
}
