//! Bodies in both directions: streamed, never collected; of trailers what may pass.

mod client;
mod ending;
mod out;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use hyper::body::Incoming;

pub use client::{ClientBody, Progress, Rules};
pub use ending::Ending;
pub use out::Out;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    #[error("the other side broke off")]
    Broken(#[from] hyper::Error),
    #[error("the access has ended")]
    AccessEnded,
    #[error("nothing moved for too long")]
    Stalled,
}

/// The next frame. `keep` takes from trailers what may not pass; without any left the body has just
/// ended.
fn next_frame(
    inner: &mut Incoming,
    cx: &mut Context<'_>,
    keep: impl FnOnce(&mut HeaderMap),
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    let frame = match ready!(Pin::new(inner).poll_frame(cx)) {
        Some(Ok(frame)) if !frame.is_data() => frame,
        other => return Poll::Ready(other),
    };
    let mut trailers = frame.into_trailers().unwrap_or_default();
    keep(&mut trailers);
    Poll::Ready(Some(trailers).filter(|it| !it.is_empty()).map(|it| Ok(Frame::trailers(it))))
}
