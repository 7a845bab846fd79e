//! The body of a tool's response.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Cut, filtered};
use crate::gateway::headers::filter_response_trailers;
use crate::gateway::upstream::{Http1Error, Lent, Switched};

/// The body of a tool's response, and the connection that it comes on until it has ended.
#[derive(Debug)]
pub struct ToolBody {
    lent: Option<Lent>,
    /// It came to its proper end.
    ended: bool,
}

impl ToolBody {
    /// Of the response whose head has come on this connection.
    #[must_use]
    pub fn on(lent: Lent) -> Self {
        let mut body = Self { lent: Some(lent), ended: false };
        body.give_back_at_end();
        body
    }

    /// The next frame. A body that was read to its end frees its connection; any other way of ending
    /// drops it.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let Some(lent) = &mut self.lent else {
            let broken = Some(Err(Http1Error::Closed.into()));
            return Poll::Ready(broken.filter(|_| !self.ended));
        };
        let frame = filtered(lent.poll_frame(cx), filter_response_trailers);
        match &frame {
            Poll::Pending => (),
            Poll::Ready(None) => self.give_back(),
            // Nobody asks again after trailers.
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => self.give_back(),
            Poll::Ready(Some(Ok(_))) => {
                lent.answer_moved();
                self.give_back_at_end();
            }
            Poll::Ready(Some(Err(_))) => self.lent = None,
        }
        frame
    }

    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        self.ended
    }

    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        match &self.lent {
            Some(lent) => lent.size_hint(),
            None if self.ended => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }

    /// The connection, from now on a tunnel's; `None` when it cannot be one.
    #[must_use]
    pub fn into_switched(self) -> Option<Switched> {
        self.lent?.into_switched()
    }

    fn give_back_at_end(&mut self) {
        if self.lent.as_ref().is_some_and(Lent::has_ended) {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        self.ended = true;
        if let Some(lent) = self.lent.take() {
            lent.give_back();
        }
    }
}
