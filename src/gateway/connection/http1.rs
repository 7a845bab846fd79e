//! A connection of HTTP/1.1: hyper above the framing guard, and the deadlines beside both.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::deadlines::{Due, due, first_check, sooner};
use super::http2::Begun;
use super::peer::Peer;
use crate::gateway::core::Core;
use crate::gateway::framing::{Guard, Watch};
use crate::gateway::listener::Phase;
use crate::gateway::ports::Ports;
use crate::gateway::serve;
use crate::gateway::tunnel::Opening;
use crate::telemetry::events::gateway::HeadRefused;

/// What is left to do after the last response may take this long.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Serves a connection until it ends, or gives it back when it may begin with the preface of HTTP/2,
/// and does.
pub async fn serve<P: Ports, S: AsyncRead + AsyncWrite + Unpin>(
    core: Rc<Core<P>>,
    stream: S,
    peer: Rc<Peer>,
    (may_be_http2, mut phase): (bool, watch::Receiver<Phase>),
) -> Option<Begun<S>> {
    let seen = Rc::new(Watch::new(core.shared.limits.body_rate));
    let guard = Guard::new(stream, core.head_limits(), Rc::clone(&seen));
    let guard = if may_be_http2 { guard.or_http2() } else { guard };
    let opening: Cell<Option<Box<Opening>>> = Cell::new(None);
    let service = service_fn(|request| {
        let (core, seen, peer) = (Rc::clone(&core), Rc::clone(&seen), Rc::clone(&peer));
        let opening = &opening;
        async move {
            // Much larger than what an idle connection needs, and soon free for the next request.
            let mut response = Box::pin(serve::answer(&*core, &peer, request)).await;
            if let Some(tunnel) = response.body_mut().take_tunnel() {
                seen.switches();
                opening.set(Some(tunnel));
            } else if response.headers().contains_key(CONNECTION) {
                // It says `close`: no other option is ever sent.
                seen.said_goodbye();
            }
            let response = response.map(|body| body.sending(seen.answered()));
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection =
        builder(core.shared.limits.header_count).serve_connection(TokioIo::new(guard), service);
    let mut deadline = pin!(sleep_until(seen.idle_since() + first_check(&core)));
    let at_the_end = phase.clone();
    let mut closing = pin!(phase.wait_for(|phase| *phase == Phase::Closing));
    let (mut closing_seen, mut ending) = (false, false);
    let finished = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(ended.is_ok());
            }
            if seen.is_http2() {
                return Poll::Ready(false);
            }
            let must_end = seen.violation().is_some() && seen.all_answered();
            if must_end && !ending {
                say_last_words(&core, &seen);
            }
            if !closing_seen && closing.as_mut().poll(cx).is_ready() {
                closing_seen = true;
            }
            if (must_end || closing_seen) && !ending {
                ending = true;
                Pin::new(&mut connection).graceful_shutdown();
                continue;
            }
            if let Some(at) = sooner(&core, &seen).filter(|at| *at < deadline.deadline()) {
                deadline.as_mut().reset(at);
            }
            if deadline.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match due(&core, &seen, Instant::now()) {
                Due::Nothing(at) => deadline.as_mut().reset(at),
                Due::Abort => return Poll::Ready(false),
                Due::End if ending => return Poll::Ready(false),
                Due::End => {
                    ending = seen.violation().is_none();
                    if ending {
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                    deadline.as_mut().reset(Instant::now() + CLOSE_WITHIN);
                }
            }
        }
    })
    .await;
    if seen.is_http2() {
        let (stream, bytes) = connection.into_parts().io.into_inner().into_parts();
        return Some(Begun { stream, bytes });
    }
    if finished {
        let parts = connection.into_parts();
        let read = (parts.io.into_inner(), parts.read_buf);
        behind_the_last(&core, read, opening.take(), at_the_end).await;
    }
    None
}

fn builder(header_count: usize) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.half_close(false).header_read_timeout(None);
    if header_count > 100 {
        // The guard counts; hyper only needs the room.
        http.max_headers(header_count + 1);
    }
    http
}

/// What follows the last response: a tunnel, or the end.
async fn behind_the_last<P: Ports, S: AsyncRead + AsyncWrite + Unpin>(
    core: &Core<P>,
    (mut guard, read): (Guard<S>, Bytes),
    opening: Option<Box<Opening>>,
    phase: watch::Receiver<Phase>,
) {
    if let Some(opening) = opening {
        let (stream, held) = guard.into_parts();
        opening.run((stream, [&read[..], &held].concat()), &core.shared, phase).await;
    } else {
        // hyper leaves a connection open on which an upgrade was asked for.
        let _late = timeout(CLOSE_WITHIN, guard.shutdown()).await;
    }
}

/// The bare answer to bytes that are not a request, written before the connection is closed.
fn say_last_words<P: Ports>(core: &Core<P>, seen: &Watch) {
    let Some(violation) = seen.violation() else { return };
    HeadRefused(violation.detail()).emit(&core.shared.metrics);
    if violation.is_in_body() || seen.has_said_goodbye() {
        return;
    }
    let (status, detail) = (violation.status_line(), violation.detail());
    let (length, decision) = (detail.len() + 1, core.ids.decision().0);
    let words = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\
         cache-control: no-store\r\nconnection: close\r\ntidegate-decision-id: {decision}\r\n\r\n\
         {detail}\n"
    );
    seen.say_at_the_end(words.into_bytes());
}
