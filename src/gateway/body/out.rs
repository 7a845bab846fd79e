//! The body of a response to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{Cut, next_frame};
use crate::gateway::framing::Sending;
use crate::gateway::headers::filter_response_trailers;
use crate::gateway::lease::Lease;
use crate::gateway::limits::Slot;
use crate::gateway::upstream::Lent;

/// The body of a response to the client. Holds the request's place among the concurrent ones.
#[derive(Debug)]
pub struct Out {
    content: Content,
    lease: Option<Lease>,
    /// Dropped with the body: its place among the requests, and its mark on the connection.
    held: (Option<Slot>, Option<Sending>),
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
    if inner.is_end_stream() {
        give_back(lent);
    }
}

fn give_back(lent: &mut Option<Lent>) {
    if let Some(lent) = lent.take() {
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
        let Poll::Ready(frame) = next_frame(inner, cx, filter_response_trailers) else {
            let Some(lease) = &mut this.lease else { return Poll::Pending };
            ready!(lease.poll_ended(cx));
            drop(lent.take());
            return Poll::Ready(Some(Err(Cut::AccessEnded)));
        };
        match &frame {
            None => give_back(lent),
            // Nobody asks again after trailers.
            Some(Ok(frame)) if frame.is_trailers() => give_back(lent),
            Some(Ok(_)) => {
                if let Some(lent) = lent {
                    lent.answer_moved();
                }
                give_back_at_end(inner, lent);
            }
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
