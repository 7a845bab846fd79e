//! The body of a response to the client.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Cut, Ending, Progress, ToolBody};
use crate::gateway::framing::Sending;
use crate::gateway::lease::Lease;
use crate::gateway::limits::Slot;
use crate::gateway::tunnel::Opening;

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
    Upstream(ToolBody),
}

impl Out {
    #[must_use]
    pub fn whole(bytes: Bytes, slot: Option<Slot>) -> Self {
        let content = Content::Whole(Some(bytes).filter(|b| !b.is_empty()));
        Self { content, bound: None, held: (slot, None) }
    }

    #[must_use]
    pub fn upstream(inner: ToolBody, bound: Option<(Lease, Ending)>, slot: Option<Slot>) -> Self {
        Self { content: Content::Upstream(inner), bound, held: (slot, None) }
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
            Content::Whole(_) | Content::Upstream(_) => None,
        }
    }

    /// Keeps the connection from counting as idle while this body is sent.
    pub fn keeps(&mut self, sending: Sending) {
        if let Some(exchange) = self.exchange() {
            sending.binds(exchange);
        }
        self.held.1 = Some(sending);
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
        let last = self.bound.as_ref().and_then(|(lease, ending)| {
            ending.last_frame(lease.code(), &lease.exchange().held.record().id)
        });
        last.filter(|_| self.held.1.as_ref().is_none_or(Sending::may_say_the_end))
            .ok_or(Cut::AccessEnded)
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
        let inner = match &mut this.content {
            Content::Whole(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Content::Tunnel(_) => return Poll::Ready(None),
            Content::Upstream(inner) => inner,
        };
        let Poll::Ready(frame) = inner.poll_frame(cx) else {
            let Some((lease, _)) = &mut this.bound else { return Poll::Pending };
            ready!(lease.poll_ended(cx));
            return Poll::Ready(Some(this.cut()));
        };
        // What came is not for whoever has no access any more.
        if this.bound.as_mut().is_some_and(|(lease, _)| lease.has_ended()) {
            return Poll::Ready(Some(this.cut()));
        }
        if let (Some(Ok(frame)), Some(sending)) = (&frame, &this.held.1)
            && frame.is_data()
        {
            sending.hands_on();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Tunnel(_) => true,
            Content::Upstream(inner) => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Content::Tunnel(_) => SizeHint::with_exact(0),
            Content::Upstream(inner) => inner.size_hint(),
        }
    }
}
