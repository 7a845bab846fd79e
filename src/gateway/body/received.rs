//! The body of a request, as it comes from the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::Cut;
use super::intake::Intake;

/// The body of a request, as it comes from the client.
#[derive(Debug)]
pub enum Received {
    /// There is none.
    Nothing,
    Http1(Intake),
    Http2(Incoming),
}

impl Body for Received {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut *self {
            Self::Nothing => Poll::Ready(None),
            Self::Http1(intake) => intake.poll_frame(cx),
            Self::Http2(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|it| it.map_err(Cut::from)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Http1(intake) => intake.has_ended(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Http1(intake) => intake.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
