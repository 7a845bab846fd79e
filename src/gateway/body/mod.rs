//! Bodies in both directions: streamed, never collected; of trailers what may pass.

mod client;
mod ending;
mod intake;
mod out;
mod received;
mod tool;

use std::task::{Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::upstream::Http1Error;

pub use client::{ClientBody, Progress, Rules};
pub use ending::Ending;
pub use intake::{Inlet, Needs};
pub use out::Out;
pub use received::Received;
pub use tool::ToolBody;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    #[error("the other side broke off")]
    Broken(#[from] hyper::Error),
    #[error("the client broke off, or sent what cannot be read")]
    Gone,
    #[error(transparent)]
    Unfinished(#[from] Http1Error),
    #[error("the access has ended")]
    AccessEnded,
    #[error("nothing moved for too long")]
    Stalled,
}

/// A frame of which the trailers are what may pass, by `keep`; without any left the body has just
/// ended.
fn filtered<E>(
    frame: Poll<Option<Result<Frame<Bytes>, E>>>,
    keep: impl FnOnce(&mut HeaderMap),
) -> Poll<Option<Result<Frame<Bytes>, E>>> {
    let frame = match ready!(frame) {
        Some(Ok(frame)) if !frame.is_data() => frame,
        other => return Poll::Ready(other),
    };
    let mut trailers = frame.into_trailers().unwrap_or_default();
    keep(&mut trailers);
    Poll::Ready(Some(trailers).filter(|it| !it.is_empty()).map(|it| Ok(Frame::trailers(it))))
}
