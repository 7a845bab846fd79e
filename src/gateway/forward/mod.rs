//! Forwarding: consumes a [`Permit`], speaks to the tool, hands its answer back as it comes.

mod answer;
mod exchange;
mod http2;
mod inbound;
mod wait;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, Version};
use http_body::Body;
use tokio::time::Instant;
use tracing::Instrument;

use crate::telemetry::decision::DecisionRecord;
use crate::telemetry::events::gateway::UpstreamAnswered;
use crate::telemetry::spans::ClientSpan;
use crate::telemetry::trace::Place;

use crate::config::CredentialSource;
use crate::gateway::admit::Permit;
use crate::gateway::body::{ClientBody, Out, Received, Rules};
use crate::gateway::connection::Peer;
use crate::gateway::core::Core;
use crate::gateway::grpc;
use crate::gateway::headers::{self, Added, Outbound, Present};
use crate::gateway::lease::{Held, Lease};
use crate::gateway::limits::Slot;
use crate::gateway::ports::Ports;
use crate::gateway::refusal::Refusal;
use crate::gateway::tunnel::{self, Handshake};

use exchange::Wants;

/// What goes along with a request, beside its permit.
#[derive(Debug)]
pub struct Along<'a> {
    pub peer: &'a Peer,
    /// The decision's id.
    pub decision: &'a Arc<str>,
    pub request_id: HeaderValue,
    /// The span of the request, parent of the exchange's.
    pub place: Place,
    pub slot: Slot,
    /// Of the client's headers.
    pub present: Present,
}

/// Sends the request and waits for the head of the response; says when it came, or did not. `record`
/// is of the decision that made the permit.
///
/// # Errors
/// `upstream-unreachable`, `upstream-timeout`, `bad-request` when the client's body broke, or
/// the code of the cause when the access ended before the tool answered (`grant-expired`).
pub async fn forward<P: Ports>(
    core: &Core<P>,
    (permit, record): (Box<Permit>, Arc<DecisionRecord>),
    head: Parts,
    body: Received,
    along: Along<'_>,
) -> (Result<Response<Out>, Refusal>, Instant) {
    let method = head.method.clone();
    let trailers = head.version == Version::HTTP_2;
    let present = |name| along.present.has(name);
    let asked = if present(Present::UPGRADE) { Handshake::asked(&head) } else { None };
    // Most requests have no body to bind.
    let rules = (!body.is_end_stream()).then(|| rules(core, &permit, &head));
    let bound = Held::new(permit, record, &core.leases);
    let (body, progress) = ClientBody::new(body, bound, rules);
    let mut lease = Lease::begin(&core.leases, &progress);
    let permit = progress.held.permit();
    let context = along.place.context.with_span(core.ids.span());
    let span = ClientSpan::begin(context, along.place.context.span_id, &method, permit.uri());
    let wants_trailers = present(Present::TE) && http2::wants_trailers(&head.headers);
    let wants = Wants { trailers: wants_trailers, tunnel: asked.is_some() };
    let mut request = outbound(permit, head, &along, body);
    if asked.is_some() {
        tunnel::mark(request.headers_mut());
    }
    let added = Added {
        peer: along.peer,
        prefix: permit.stripped_prefix(),
        identity: permit.identity(),
        grants: permit.grants(),
        request_id: &along.request_id,
        trace: context,
    };
    let about = (&progress, &mut lease, wants);
    let exchange = exchange::exchange(core, permit, (&mut request, &added), about, &span);
    let mut answer = if span.0.is_disabled() {
        exchange.await
    } else {
        Box::pin(exchange.instrument(span.0.clone())).await
    };
    let answered = Instant::now();
    let (tool, mut agreed) = (&permit.tool().config.name, None);
    if let Ok(response) = &answer {
        match answer::switched(tool, asked.as_ref(), response) {
            Ok(found) => agreed = found,
            Err(refusal) => answer = Err(refusal),
        }
    }
    UpstreamAnswered {
        method: &method,
        status: answer.as_ref().ok().map(|response| response.status().as_u16()),
        route: permit.rule().path.shared(),
        failure: answer.as_ref().err().map(|refusal| refusal.code),
        took: answered.duration_since(progress.held.opened()),
        span: &span,
    }
    .emit(&core.metrics);
    let response = answer.and_then(|response| match agreed {
        Some(agreed) => inbound::tunnel(response, agreed, (lease, tool), along)
            .ok_or_else(|| answer::unreachable(tool, "its connection cannot switch")),
        None => Ok(inbound::inbound(response, (lease, trailers), along)),
    });
    (response, answered)
}

fn rules<P>(core: &Core<P>, permit: &Permit, head: &Parts) -> Rules {
    let tool = &permit.tool().config;
    let credential = match &tool.credential {
        CredentialSource::Header(name) if !tool.forward_credential => Some(name.clone()),
        CredentialSource::Header(_) | CredentialSource::Bearer | CredentialSource::Cookie(_) => {
            None
        }
    };
    // A connection of HTTP/1.1 has one body at a time, and its own deadline for it.
    let patience = (head.version == Version::HTTP_2).then_some(core.shared.limits.idle_timeout);
    // A conversation may be quiet; gRPC has deadlines of its own.
    let rate = core.shared.limits.body_rate.filter(|_| !grpc::is_grpc(&head.headers));
    Rules { credential, patience, rate }
}

/// What passes of the client's request. The rest is [`Added`].
fn outbound(
    permit: &Permit,
    mut head: Parts,
    along: &Along<'_>,
    body: ClientBody,
) -> Request<ClientBody> {
    let tool = &permit.tool().config;
    let out = Outbound {
        access: permit.rule().access,
        credential: &tool.credential,
        forward_credential: tool.forward_credential,
        keep_tracestate: along.place.is_continued(),
        present: along.present,
    };
    headers::rewrite_request(&mut head.headers, &out);
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = permit.uri().clone();
    *request.headers_mut() = head.headers;
    request
}

/// A whole response of ours.
#[must_use]
pub fn own(response: Response<Bytes>, slot: Option<Slot>) -> Response<Out> {
    response.map(|bytes| Out::whole(bytes, slot))
}
