//! The tries of one request.

use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;

use super::answer::{broken, checked, unreachable};
use super::wait::in_time;
use crate::gateway::admit::Permit;
use crate::gateway::body::{ClientBody, Progress};
use crate::gateway::core::Core;
use crate::gateway::lease::{Cause, Lease};
use crate::gateway::ports::Ports;
use crate::gateway::refusal::Refusal;
use crate::gateway::upstream::Lent;
use crate::problem::ProblemCode;
use crate::telemetry::spans::ClientSpan;

/// One try, and a second one only for a request that the first connection gave back unsent.
pub(super) async fn exchange<P: Ports>(
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
            let cause = lease.as_ref().and_then(Lease::cause).unwrap_or(Cause::Expired);
            return Err(cause.refusal(&tool.name));
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
