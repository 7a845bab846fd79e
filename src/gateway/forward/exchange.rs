//! The tries of one request.

use std::rc::Rc;

use http::{Request, Response};
use tokio::time::Instant;

use super::answer::{broken, checked, unreachable};
use super::http2::{Spare, into_http1, into_http2, was_refused, was_reset};
use super::wait::in_time;
use crate::gateway::admit::Permit;
use crate::gateway::body::{ClientBody, Progress, ToolBody};
use crate::gateway::core::Core;
use crate::gateway::headers::Added;
use crate::gateway::lease::{Cause, Lease};
use crate::gateway::ports::Ports;
use crate::gateway::refusal::Refusal;
use crate::gateway::texts::Texts;
use crate::gateway::upstream::{Failed, Lent, ToolPool, tries};
use crate::problem::ProblemCode;
use crate::telemetry::spans::ClientSpan;

/// What a request asks for besides its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wants {
    pub trailers: bool,
    /// A WebSocket.
    pub tunnel: bool,
}

/// One try, and further ones only for a request of which no byte was sent, or that the tool says it
/// did nothing with.
pub(super) async fn exchange<P: Ports>(
    core: &Core<P>,
    permit: &Permit,
    (request, added): (&mut Request<ClientBody>, &Added<'_>),
    (progress, lease, wants): (&Rc<Progress>, &mut Option<Lease>, Wants),
    span: &ClientSpan,
) -> Result<Response<ToolBody>, Refusal> {
    let tool = &permit.tool().config;
    let pool = core.pool.of(&permit.tool().upstreams);
    pool.budget.earn();
    let mut tries = tries(&pool.upstreams, request, added);
    tries.for_tunnel = wants.tunnel;
    let mut fresh = false;
    // Until they are among the headers.
    let mut added = Some(added);
    loop {
        let lent = pool.lend(&mut tries, fresh).await;
        let mut lent = lent.map_err(|error| unreachable(&tool.name, &error.to_string()))?;
        let (host, port) = lent.address();
        span.goes_to(host, port);
        lent.carries(Rc::clone(progress));
        let spare = fitted(request, &lent, (&mut added, &core.texts), wants.trailers)?;
        // A connection that was there took no time.
        let at_once = lent.reused && !lent.is_http2() && !fresh;
        let begun = if at_once { progress.held.opened() } else { Instant::now() };
        let sent = lent.send(request, added);
        let within = (&core.timers, tool.timeouts.response, begun);
        let answer = in_time(sent, within, progress, (lease.as_mut(), at_once)).await;
        if lease.as_mut().is_some_and(Lease::has_ended) {
            let cause = lease.as_ref().and_then(Lease::cause).unwrap_or(Cause::Expired);
            return Err(cause.refusal(&tool.name));
        }
        match answer {
            None => {
                if !progress.awaits_client.get() {
                    lent.failed();
                }
                let detail = format!("{} did not answer in time", tool.name);
                return Err(Refusal::new(ProblemCode::UpstreamTimeout, detail));
            }
            Some(Ok(response)) => {
                lent.answered(response.status());
                let response = checked(&tool.name, response, lent.is_http2())?;
                return Ok(response.map(|()| ToolBody::on(lent)));
            }
            Some(Err(failed)) => {
                let reused = lent.reused && !fresh;
                // The tool closed a connection just when it was to be used again.
                if !(failed.is_unsent() && reused) {
                    *request =
                        again(&failed, fresh, spare, (&pool, progress)).ok_or_else(|| {
                            if !progress.broken.get()
                                && !failed.is_of_request()
                                && !was_reset(&failed)
                            {
                                lent.failed();
                            }
                            broken(&tool.name, progress, &failed)
                        })?;
                }
                // It was not this backend's fault: it may be asked again.
                fresh = true;
                tries.forget_last();
            }
        }
    }
}

/// Gives the request the form of the connection's protocol.
fn fitted(
    request: &mut Request<ClientBody>,
    lent: &Lent,
    (added, texts): (&mut Option<&Added<'_>>, &Texts),
    wants_trailers: bool,
) -> Result<Option<Spare>, Refusal> {
    if !lent.is_http2() {
        into_http1(request)?;
        return Ok(None);
    }
    if let Some(added) = added.take() {
        added.put(request.headers_mut(), texts);
    }
    into_http2(request, lent.scheme(), wants_trailers)?;
    Ok(Spare::of(request))
}

/// The request once more, if the backend did nothing with it.
fn again(
    failed: &Failed,
    fresh: bool,
    spare: Option<Spare>,
    (pool, progress): (&ToolPool, &Rc<Progress>),
) -> Option<Request<ClientBody>> {
    let spare = spare.filter(|_| was_refused(failed) && !fresh)?;
    pool.may_try_again().then(|| spare.into_request(progress))
}
