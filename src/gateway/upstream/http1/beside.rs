//! What is left of an upload when the head of its response has come. It goes on in a task of its own,
//! so that neither direction waits for the other one.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep};

use super::error::Error;
use super::upload::{Rest, Upload};
use super::wire::Wire;

/// An upload beside its response. It ends with it, unless it was [released](Self::release).
#[derive(Debug)]
pub struct Beside {
    state: Rc<State>,
    task: AbortHandle,
    is_released: bool,
}

#[derive(Debug)]
struct State {
    went: Cell<Went>,
    /// The response is over: nobody else looks at the connection.
    is_alone: Cell<bool>,
    /// The task of the upload.
    sender: RefCell<Option<Waker>>,
    /// Whoever reads the response.
    reader: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    On,
    ToItsEnd,
    /// The tool took no more.
    Unfinished,
    /// The client's side ended.
    Broken,
}

struct Sending<B> {
    state: Rc<State>,
    wire: Rc<Wire>,
    upload: Upload,
    body: B,
    /// How long a tool that has answered may take nothing.
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// At the last look.
    written: u64,
}

impl Beside {
    pub fn begin<B: Rest>(wire: &Rc<Wire>, upload: Upload, body: B, patience: Duration) -> Self {
        let state = Rc::new(State {
            went: Cell::new(Went::On),
            is_alone: Cell::new(false),
            sender: RefCell::default(),
            reader: RefCell::default(),
        });
        let written = upload.written();
        let (to, wire) = (Rc::clone(&state), Rc::clone(wire));
        let mut sending = Sending { state: to, wire, upload, body, patience, timer: None, written };
        let task = tokio::task::spawn_local(async move {
            let went = poll_fn(|cx| sending.poll(cx)).await;
            sending.state.went.set(went);
            if let Some(reader) = sending.state.reader.take() {
                reader.wake();
            }
        });
        Self { state, task: task.abort_handle(), is_released: false }
    }

    /// All of it was written.
    pub fn is_over(&self) -> bool {
        self.state.went.get() == Went::ToItsEnd
    }

    /// Whether the client's side has ended; if not, the reader is woken when it does.
    pub fn has_broken(&self, cx: &Context<'_>) -> bool {
        match self.state.went.get() {
            Went::Broken => true,
            Went::ToItsEnd | Went::Unfinished => false,
            Went::On => {
                self.state.reader.replace(Some(cx.waker().clone()));
                false
            }
        }
    }

    /// The response is over. The rest still goes to the tool, as long as it takes it.
    pub fn release(mut self) {
        self.is_released = true;
        self.state.is_alone.set(true);
        if let Some(sender) = self.state.sender.take() {
            sender.wake();
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.is_released {
            self.task.abort();
        }
    }
}

impl<B: Rest> Sending<B> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Went> {
        match self.upload.poll(&mut self.body, &self.wire, cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Went::ToItsEnd),
            Poll::Ready(Err(Error::Io(_) | Error::Closed | Error::Malformed(_))) => {
                return Poll::Ready(Went::Unfinished);
            }
            Poll::Ready(Err(Error::Upload(_) | Error::Unsendable(_))) => {
                return Poll::Ready(Went::Broken);
            }
            Poll::Pending => (),
        }
        if self.state.is_alone.get() {
            // Whatever comes now, nobody asked for it.
            if !self.wire.is_quiet(cx.waker()) {
                return Poll::Ready(Went::Unfinished);
            }
            ready!(self.poll_stalled(cx));
            return Poll::Ready(Went::Unfinished);
        }
        self.state.sender.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Ready when the tool took nothing for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.upload.waits_for_tool() {
            self.timer = None;
            return Poll::Pending;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        if self.written != self.upload.written() {
            self.written = self.upload.written();
            timer.as_mut().reset(Instant::now() + self.patience);
        }
        timer.as_mut().poll(cx)
    }
}
