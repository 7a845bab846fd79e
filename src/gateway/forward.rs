//! Forwarding: consumes a [`Permit`], speaks to the tool, hands its answer back as it comes.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::problem::ProblemCode;
use crate::telemetry::events::gateway::{UpstreamAnswered, UpstreamFailed};
use crate::telemetry::spans::ClientSpan;
use crate::telemetry::trace::{Place, TraceContext};

use super::admit::Permit;
use super::body::{ClientBody, Out, Progress};
use super::core::Core;
use super::headers::{self, Outbound};
use super::lease::{AccessEnd, Lease};
use super::limits::Slot;
use super::ports::Ports;
use super::refusal::Refusal;
use super::upstream::Lent;

/// What goes along with a request, beside its permit.
#[derive(Debug)]
pub struct Along {
    pub client: IpAddr,
    pub request_id: HeaderValue,
    /// The span of the request, parent of the exchange's.
    pub place: Place,
    pub slot: Slot,
}

/// Sends the request and waits for the head of the response.
///
/// # Errors
/// `upstream-unreachable`, `upstream-timeout`, `bad-request` when the client's body broke, or
/// `grant-expired` when the access ended before the tool answered.
pub async fn forward<P: Ports>(
    core: &Core<P>,
    permit: Permit,
    head: Parts,
    body: Incoming,
    along: Along,
) -> Result<Response<Out>, Refusal> {
    let method = head.method.clone();
    let end = permit.ends_at().map(|at| AccessEnd::new(at, Arc::clone(&core.shared)));
    // Most requests have no body to bind.
    let bound = end.clone().filter(|_| !body.is_end_stream());
    let (body, progress) = ClientBody::new(body, bound);
    let mut lease = end.map(Lease::new);
    let context = along.place.context.with_span(core.ids.span());
    let span = ClientSpan::begin(context, along.place.context.span_id, &method, permit.uri());
    let request = outbound(&permit, head, &along, context, body);
    let started = Instant::now();
    let exchange = exchange(core, &permit, request, (&progress, &mut lease), &span);
    let answer = exchange.instrument(span.0.clone()).await;
    UpstreamAnswered {
        method: &method,
        status: answer.as_ref().ok().map(|(response, _)| response.status().as_u16()),
        route: permit.rule().path.shared(),
        failure: answer.as_ref().err().map(|refusal| refusal.code),
        took: started.elapsed(),
        span: &span,
    }
    .emit(&core.metrics);
    let (response, lent) = answer?;
    Ok(inbound(response, lent, lease, along.slot))
}

fn outbound(
    permit: &Permit,
    mut head: Parts,
    along: &Along,
    context: TraceContext,
    body: ClientBody,
) -> Request<ClientBody> {
    let tool = &permit.tool().config;
    let grants: Vec<String> = permit.grants().iter().map(ToString::to_string).collect();
    headers::rewrite_request(
        &mut head.headers,
        &Outbound {
            client: along.client,
            prefix: permit.stripped_prefix(),
            access: permit.rule().access,
            credential: &tool.credential,
            forward_credential: tool.forward_credential,
            identity: permit.identity(),
            grants: &grants.join(","),
            request_id: &along.request_id,
            traceparent: &context.to_string(),
            keep_tracestate: along.place.is_continued(),
        },
    );
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = permit.uri().clone();
    *request.headers_mut() = head.headers;
    request
}

/// One try, and a second one only for a request that the first connection gave back unsent.
async fn exchange<P: Ports>(
    core: &Core<P>,
    permit: &Permit,
    mut request: Request<ClientBody>,
    (progress, lease): (&Rc<Progress>, &mut Option<Lease>),
    span: &ClientSpan,
) -> Result<(Response<Incoming>, Lent), Refusal> {
    let tool = &permit.tool().config;
    let mut fresh = false;
    loop {
        let lent = core.pool.lend(&tool.upstreams, tool.timeouts.connect, fresh).await;
        let mut lent = lent.map_err(|error| unreachable(&tool.name, &error.to_string()))?;
        let (host, port) = lent.address();
        span.goes_to(host, port);
        lent.carries(Rc::clone(progress));
        let sent = lent.sender.try_send_request(request);
        let answer = in_time(sent, tool.timeouts.response, progress, lease.as_mut()).await;
        if lease.as_mut().is_some_and(Lease::has_ended) {
            let detail = format!("the access to {} ended before it answered", tool.name);
            return Err(Refusal::new(ProblemCode::GrantExpired, detail));
        }
        match answer {
            None => {
                let detail = format!("{} did not answer in time", tool.name);
                return Err(Refusal::new(ProblemCode::UpstreamTimeout, detail));
            }
            Some(Ok(response)) => return checked(&tool.name, response, lent),
            Some(Err(mut failed)) => {
                let unsent = failed.take_message().filter(|_| lent.reused && !fresh);
                let Some(again) = unsent else {
                    return Err(broken(&tool.name, progress, &failed.into_error()));
                };
                (request, fresh) = (again, true);
            }
        }
    }
}

/// `None` once the tool has been silent for `limit`, counted from the last byte it was given, or
/// the access has ended.
async fn in_time<T>(
    answer: impl Future<Output = T>,
    limit: Duration,
    progress: &Progress,
    mut lease: Option<&mut Lease>,
) -> Option<T> {
    let mut answer = std::pin::pin!(answer);
    let mut deadline = Instant::now() + limit;
    loop {
        let look = lease.as_ref().map_or(deadline, |lease| lease.look_again().min(deadline));
        match timeout_at(look, answer.as_mut()).await {
            Ok(answer) => return Some(answer),
            Err(_elapsed) if lease.as_mut().is_some_and(|lease| lease.has_ended()) => return None,
            Err(_elapsed) if look < deadline => (),
            Err(_elapsed) => {
                let moved = progress.moved_at.get() + limit;
                if moved <= deadline {
                    return None;
                }
                deadline = moved;
            }
        }
    }
}

fn checked(
    tool: &str,
    response: Response<Incoming>,
    lent: Lent,
) -> Result<(Response<Incoming>, Lent), Refusal> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(unreachable(tool, "it switched protocols without being asked"));
    }
    if !headers::is_framed_clearly(response.headers()) {
        return Err(unreachable(tool, "the length of its response cannot be read in one way"));
    }
    Ok((response, lent))
}

fn broken(tool: &str, progress: &Progress, error: &hyper::Error) -> Refusal {
    if progress.broken.get() {
        return Refusal::bad_request("the request's body broke off or was malformed");
    }
    unreachable(tool, &error.to_string())
}

/// The reason is for the log; a client learns nothing of the inside.
fn unreachable(tool: &str, why: &str) -> Refusal {
    UpstreamFailed { tool, why }.emit();
    Refusal::new(ProblemCode::UpstreamUnreachable, format!("{tool} gave no usable answer"))
}

fn inbound(
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

/// A whole response of ours.
#[must_use]
pub fn own(response: Response<Bytes>, slot: Option<Slot>) -> Response<Out> {
    response.map(|bytes| Out::whole(bytes, slot))
}
