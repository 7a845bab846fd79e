//! Bodies in both directions: streamed, never collected; trailers end here.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::framing::Sending;
use super::lease::{AccessEnd, Lease};
use super::limits::Slot;
use super::upstream::Lent;

/// How far the client's body has got, seen from beside it.
#[derive(Debug)]
pub struct Progress {
    pub ended: Cell<bool>,
    /// The client's side broke: a framing violation or an abort.
    pub broken: Cell<bool>,
    pub moved_at: Cell<Instant>,
}

/// The client's body on its way to the tool.
#[derive(Debug)]
pub struct ClientBody {
    inner: Incoming,
    progress: Rc<Progress>,
    /// Asked before every piece: a tool may have answered long before the body's end.
    end: Option<AccessEnd>,
}

impl ClientBody {
    #[must_use]
    pub fn new(inner: Incoming, end: Option<AccessEnd>) -> (Self, Rc<Progress>) {
        let progress = Rc::new(Progress {
            ended: Cell::new(inner.is_end_stream()),
            broken: Cell::new(false),
            moved_at: Cell::new(Instant::now()),
        });
        (Self { inner, progress: Rc::clone(&progress), end }, progress)
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
        let frame = ready!(next_data(&mut this.inner, cx));
        if this.end.as_ref().is_some_and(AccessEnd::is_over) {
            return Poll::Ready(Some(Err(Cut::AccessEnded)));
        }
        this.progress.moved_at.set(Instant::now());
        match &frame {
            None => this.progress.ended.set(true),
            Some(Err(_)) => this.progress.broken.set(true),
            Some(Ok(_)) => this.progress.ended.set(this.inner.is_end_stream()),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Cut::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The next data frame; trailers are dropped.
fn next_data(
    inner: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    loop {
        match ready!(Pin::new(&mut *inner).poll_frame(cx)) {
            Some(Ok(frame)) if !frame.is_data() => (),
            other => return Poll::Ready(other),
        }
    }
}

/// The body of a response to the client. Holds the request's place among the concurrent ones.
#[derive(Debug)]
pub struct Out {
    content: Content,
    lease: Option<Lease>,
    /// Dropped with the body: its place among the requests, and its mark on the connection.
    held: (Option<Slot>, Option<Sending>),
}

/// Why a response's body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    #[error("the other side broke off")]
    Broken(#[from] hyper::Error),
    #[error("the access has ended")]
    AccessEnded,
}

#[derive(Debug)]
enum Content {
    Whole(Option<Bytes>),
    /// The tool's body, and the connection that it comes on until it has ended.
    Upstream(Incoming, Option<Lent>),
}

impl Out {
    #[must_use]
    pub fn whole(bytes: Bytes, slot: Option<Slot>) -> Self {
        let content = Content::Whole(Some(bytes).filter(|b| !b.is_empty()));
        Self { content, lease: None, held: (slot, None) }
    }

    #[must_use]
    pub fn upstream(inner: Incoming, lent: Lent, lease: Option<Lease>, slot: Option<Slot>) -> Self {
        let mut lent = Some(lent);
        give_back_at_end(&inner, &mut lent);
        Self { content: Content::Upstream(inner, lent), lease, held: (slot, None) }
    }

    /// Keeps the connection from counting as idle while this body is sent.
    #[must_use]
    pub fn sending(mut self, sending: Sending) -> Self {
        self.held.1 = Some(sending);
        self
    }
}

/// A body that was read to its end frees its connection; any other way of ending drops it.
fn give_back_at_end(inner: &Incoming, lent: &mut Option<Lent>) {
    if inner.is_end_stream()
        && let Some(lent) = lent.take()
    {
        lent.give_back();
    }
}

impl Body for Out {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = &mut *self;
        let (inner, lent) = match &mut this.content {
            Content::Whole(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Content::Upstream(inner, lent) => (inner, lent),
        };
        if this.lease.as_mut().is_some_and(Lease::has_ended) {
            drop(lent.take());
            return Poll::Ready(Some(Err(Cut::AccessEnded)));
        }
        let Poll::Ready(frame) = next_data(inner, cx) else {
            let Some(lease) = &mut this.lease else { return Poll::Pending };
            ready!(lease.poll_ended(cx));
            drop(lent.take());
            return Poll::Ready(Some(Err(Cut::AccessEnded)));
        };
        match &frame {
            None => {
                if let Some(lent) = lent.take() {
                    lent.give_back();
                }
            }
            Some(Ok(_)) => give_back_at_end(inner, lent),
            Some(Err(_)) => drop(lent.take()),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Cut::from)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Upstream(inner, _) => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Content::Upstream(inner, _) => inner.size_hint(),
        }
    }
}
