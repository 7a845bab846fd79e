//! The body of a tool's response.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Cut, filtered};
use crate::gateway::headers::filter_response_trailers;
use crate::gateway::upstream::{Http1Error, Lent, Switched};

/// The body of a tool's response, and the connection that it comes on until it has ended.
#[derive(Debug)]
pub enum ToolBody {
    Comes(Lent),
    /// It came to its proper end.
    Ended,
    /// Nothing more comes, and that was not its end.
    Broken,
}

impl ToolBody {
    /// Of the response whose head has come on this connection.
    #[must_use]
    pub fn on(lent: Lent) -> Self {
        if !lent.has_ended() {
            return Self::Comes(lent);
        }
        lent.give_back();
        Self::Ended
    }

    /// The next frame. A body that was read to its end frees its connection; any other way of ending
    /// drops it.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let lent = match self {
            Self::Comes(lent) => lent,
            Self::Ended => return Poll::Ready(None),
            Self::Broken => return Poll::Ready(Some(Err(Http1Error::Closed.into()))),
        };
        let frame = filtered(lent.poll_frame(cx), filter_response_trailers);
        match &frame {
            Poll::Pending => (),
            Poll::Ready(None) => self.give_back(),
            // Nobody asks again after trailers.
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => self.give_back(),
            Poll::Ready(Some(Ok(_))) => {
                lent.answer_moved();
                if lent.has_ended() {
                    self.give_back();
                }
            }
            Poll::Ready(Some(Err(_))) => *self = Self::Broken,
        }
        frame
    }

    #[must_use]
    pub const fn is_end_stream(&self) -> bool {
        matches!(self, Self::Ended)
    }

    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        match self {
            Self::Comes(lent) => lent.size_hint(),
            Self::Ended => SizeHint::with_exact(0),
            Self::Broken => SizeHint::default(),
        }
    }

    /// The connection, from now on a tunnel's; `None` when it cannot be one.
    #[must_use]
    pub fn into_switched(self) -> Option<Switched> {
        match self {
            Self::Comes(lent) => lent.into_switched(),
            Self::Ended | Self::Broken => None,
        }
    }

    fn give_back(&mut self) {
        if let Self::Comes(lent) = std::mem::replace(self, Self::Ended) {
            lent.give_back();
        }
    }
}
