//! The tool's response on its way to the client.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Response, Version};
use http_body::Body;
use hyper::body::Incoming;

use super::Along;
use crate::gateway::body::{Ending, Out};
use crate::gateway::headers;
use crate::gateway::lease::Lease;
use crate::gateway::tunnel::{self, Agreed, Opening};
use crate::gateway::upstream::Lent;

/// `trailers`: they always reach this client.
pub(super) fn inbound(
    response: Response<Incoming>,
    lent: Lent,
    (lease, trailers): (Option<Lease>, bool),
    along: Along<'_>,
) -> Response<Out> {
    let (mut head, body) = response.into_parts();
    head.version = Version::HTTP_11;
    head.extensions.clear();
    // The length stays unknown: hyper frames it anew.
    head.headers.remove(TRANSFER_ENCODING);
    headers::rewrite_response(&mut head.headers);
    let bound = lease.map(|lease| {
        let sized = body.size_hint().exact().is_some();
        (lease, Ending::of(&head.headers, sized, trailers, along.decision))
    });
    Response::from_parts(head, Out::upstream(body, lent, bound, Some(along.slot)))
}

/// The switch itself. The connection to the tool is the tunnel's from now on, and nobody else's.
pub(super) fn tunnel(
    mut response: Response<Incoming>,
    agreed: Agreed,
    (lease, tool): (Option<Lease>, &Arc<str>),
    along: Along<'_>,
) -> Response<Out> {
    let upgrade = hyper::upgrade::on(&mut response);
    let (mut head, _no_body) = response.into_parts();
    head.extensions.clear();
    head.headers.remove(CONTENT_LENGTH);
    headers::rewrite_response(&mut head.headers);
    tunnel::mark(&mut head.headers);
    let (tool, decision) = (Arc::clone(tool), Arc::clone(along.decision));
    let opening = Opening { upgrade, agreed, lease, slot: along.slot, tool, decision };
    Response::from_parts(head, Out::tunnel(opening))
}
