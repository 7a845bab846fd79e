//! The tool's response on its way to the client.

use http::header::TRANSFER_ENCODING;
use http::{Response, Version};
use hyper::body::Incoming;

use crate::gateway::body::Out;
use crate::gateway::headers;
use crate::gateway::lease::Lease;
use crate::gateway::limits::Slot;
use crate::gateway::upstream::Lent;

pub(super) fn inbound(
    response: Response<Incoming>,
    lent: Lent,
    lease: Option<Lease>,
    slot: Slot,
) -> Response<Out> {
    let (mut head, body) = response.into_parts();
    head.version = Version::HTTP_11;
    head.extensions.clear();
    // The length stays unknown: hyper frames it anew.
    head.headers.remove(TRANSFER_ENCODING);
    headers::rewrite_response(&mut head.headers);
    Response::from_parts(head, Out::upstream(body, lent, lease, Some(slot)))
}
