//! The client's body on its way to the tool.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{Cut, next_data};
use crate::gateway::lease::{Held, Side};

/// How far the client's body has got, seen from beside it, and what binds the exchange.
#[derive(Debug)]
pub struct Progress {
    pub held: Held,
    pub ended: Cell<bool>,
    /// The client's side broke: a framing violation or an abort.
    pub broken: Cell<bool>,
    pub moved_at: Cell<Instant>,
}

/// The client's body on its way to the tool.
#[derive(Debug)]
pub struct ClientBody {
    /// `None`: there is none.
    inner: Option<Incoming>,
    progress: Rc<Progress>,
}

impl ClientBody {
    #[must_use]
    pub fn new(inner: Incoming, held: Held) -> (Self, Rc<Progress>) {
        let progress = Rc::new(Progress {
            ended: Cell::new(inner.is_end_stream()),
            broken: Cell::new(false),
            moved_at: Cell::new(held.opened()),
            held,
        });
        (Self { inner: Some(inner), progress: Rc::clone(&progress) }, progress)
    }

    /// Of a request that has no body, for a second try.
    #[must_use]
    pub const fn empty(progress: Rc<Progress>) -> Self {
        Self { inner: None, progress }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = &mut *self;
        // A tool may have answered long before the body's end: nobody else looks then.
        if this.progress.held.cause().is_some() {
            return Poll::Ready(Some(Err(Cut::AccessEnded)));
        }
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let Poll::Ready(frame) = next_data(inner, cx) else {
            this.progress.held.waits(Side::Request, cx.waker());
            return Poll::Pending;
        };
        if this.progress.held.has_ended() {
            return Poll::Ready(Some(Err(Cut::AccessEnded)));
        }
        this.progress.moved_at.set(Instant::now());
        match &frame {
            None => this.progress.ended.set(true),
            Some(Err(_)) => this.progress.broken.set(true),
            Some(Ok(_)) => this.progress.ended.set(inner.is_end_stream()),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Cut::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
