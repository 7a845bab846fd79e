//! The tool's response on its way to the client.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Response, Version};

use super::Along;
use crate::gateway::body::{Ending, Out, ToolBody};
use crate::gateway::headers;
use crate::gateway::lease::Lease;
use crate::gateway::tunnel::{self, Agreed, Opening};

/// `trailers`: they always reach this client.
pub(super) fn inbound(
    response: Response<ToolBody>,
    (lease, trailers): (Option<Lease>, bool),
    along: Along<'_>,
) -> Response<Out> {
    let (mut head, body) = response.into_parts();
    head.version = Version::HTTP_11;
    head.extensions.clear();
    // The length stays unknown: the connection frames it anew.
    head.headers.remove(TRANSFER_ENCODING);
    headers::rewrite_response(&mut head.headers);
    let bound = lease.map(|lease| {
        let sized = body.size_hint().exact().is_some();
        (lease, Ending::of(&head.headers, sized, trailers, along.decision))
    });
    Response::from_parts(head, Out::upstream(body, bound, Some(along.slot)))
}

/// The switch itself. The connection to the tool is the tunnel's from now on, and nobody else's; `None`
/// when it cannot be one's.
pub(super) fn tunnel(
    response: Response<ToolBody>,
    agreed: Agreed,
    (lease, tool): (Option<Lease>, &Arc<str>),
    along: Along<'_>,
) -> Option<Response<Out>> {
    let (mut head, body) = response.into_parts();
    let switched = body.into_switched()?;
    head.extensions.clear();
    head.headers.remove(CONTENT_LENGTH);
    headers::rewrite_response(&mut head.headers);
    tunnel::mark(&mut head.headers);
    let (tool, decision) = (Arc::clone(tool), Arc::clone(along.decision));
    let opening = Opening { switched, agreed, lease, slot: along.slot, tool, decision };
    Some(Response::from_parts(head, Out::tunnel(opening)))
}
