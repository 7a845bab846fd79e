//! Bodies in both directions: streamed, never collected; trailers end here.

mod client;
mod ending;
mod out;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;

pub use client::{ClientBody, Progress};
pub use ending::Ending;
pub use out::Out;

/// Why a response's body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    #[error("the other side broke off")]
    Broken(#[from] hyper::Error),
    #[error("the access has ended")]
    AccessEnded,
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
