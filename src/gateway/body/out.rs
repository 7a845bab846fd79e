//! The body of a response to the client.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{Cut, Ending, Progress, next_frame};
use crate::gateway::framing::Sending;
use crate::gateway::headers::filter_response_trailers;
use crate::gateway::lease::Lease;
use crate::gateway::limits::Slot;
use crate::gateway::tunnel::Opening;
use crate::gateway::upstream::Lent;

/// The body of a response to the client. Holds the request's place among the concurrent ones.
#[derive(Debug)]
pub struct Out {
    content: Content,
    /// What it ends with, and how.
    bound: Option<(Lease, Ending)>,
    /// Dropped with the body: its place among the requests, and its mark on the connection.
    held: (Option<Slot>, Option<Sending>),
}

#[derive(Debug)]
enum Content {
    Whole(Option<Bytes>),
    /// None: what follows the head is a tunnel, and taken from here by the connection.
    Tunnel(Option<Box<Opening>>),
    /// The tool's body, and the connection that it comes on until it has ended.
    Upstream(Incoming, Option<Lent>),
}

impl Out {
    #[must_use]
    pub fn whole(bytes: Bytes, slot: Option<Slot>) -> Self {
        let content = Content::Whole(Some(bytes).filter(|b| !b.is_empty()));
        Self { content, bound: None, held: (slot, None) }
    }

    #[must_use]
    pub fn upstream(
        inner: Incoming,
        lent: Lent,
        bound: Option<(Lease, Ending)>,
        slot: Option<Slot>,
    ) -> Self {
        let mut lent = Some(lent);
        give_back_at_end(&inner, &mut lent);
        Self { content: Content::Upstream(inner, lent), bound, held: (slot, None) }
    }

    #[must_use]
    pub fn tunnel(opening: Opening) -> Self {
        let content = Content::Tunnel(Some(Box::new(opening)));
        Self { content, bound: None, held: (None, None) }
    }

    /// The tunnel that this response opens. Without a taker it never begins.
    #[must_use]
    pub fn take_tunnel(&mut self) -> Option<Box<Opening>> {
        match &mut self.content {
            Content::Tunnel(opening) => opening.take(),
            Content::Whole(_) | Content::Upstream(..) => None,
        }
    }

    /// Keeps the connection from counting as idle while this body is sent.
    #[must_use]
    pub fn sending(mut self, sending: Sending) -> Self {
        if let Some(exchange) = self.exchange() {
            sending.binds(exchange);
        }
        self.held.1 = Some(sending);
        self
    }
}

impl Out {
    /// The exchange, if an access binds it.
    #[must_use]
    pub fn exchange(&self) -> Option<&Rc<Progress>> {
        self.bound.as_ref().map(|(lease, _)| lease.exchange())
    }

    /// The last frame. The tool's connection is dropped here, whatever it still has to say.
    fn cut(&mut self) -> Result<Frame<Bytes>, Cut> {
        self.content = Content::Whole(None);
        let last = self.bound.as_ref().and_then(|(lease, ending)| ending.last_frame(lease.code()));
        last.filter(|_| self.held.1.as_ref().is_none_or(Sending::may_say_the_end))
            .ok_or(Cut::AccessEnded)
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
            Content::Tunnel(_) => return Poll::Ready(None),
            Content::Upstream(inner, lent) => (inner, lent),
        };
        if this.bound.as_mut().is_some_and(|(lease, _)| lease.has_ended()) {
            return Poll::Ready(Some(this.cut()));
        }
        let Poll::Ready(frame) = next_frame(inner, cx, filter_response_trailers) else {
            let Some((lease, _)) = &mut this.bound else { return Poll::Pending };
            ready!(lease.poll_ended(cx));
            return Poll::Ready(Some(this.cut()));
        };
        match &frame {
            None => give_back(lent),
            // Nobody asks again after trailers.
            Some(Ok(frame)) if frame.is_trailers() => give_back(lent),
            Some(Ok(_)) => {
                if let Some(lent) = lent {
                    lent.answer_moved();
                }
                if let Some(sending) = &this.held.1 {
                    sending.hands_on();
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
            Content::Tunnel(_) => true,
            Content::Upstream(inner, _) => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Content::Tunnel(_) => SizeHint::with_exact(0),
            Content::Upstream(inner, _) => inner.size_hint(),
        }
    }
}
