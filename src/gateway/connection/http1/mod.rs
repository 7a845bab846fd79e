//! A connection of HTTP/1.1: a server above the framing guard, and the deadlines beside both.

mod date;
mod download;
mod request;
mod response;
mod server;
mod spare;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use self::server::Server;
use super::deadlines::{Alarm, Asked, Due, due, first_check, sooner};
use super::http2::Begun;
use super::peer::Peer;
use crate::gateway::core::Core;
use crate::gateway::framing::{Guard, Watch};
use crate::gateway::listener::Phase;
use crate::gateway::ports::Ports;
use crate::gateway::serve;
use crate::gateway::socket::Socket;
use crate::gateway::tunnel::Opening;
use crate::telemetry::events::gateway::HeadRefused;

/// What is left to do after the last response may take this long.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Serves a connection until it ends, or gives it back when it may begin with the preface of HTTP/2,
/// and does.
pub async fn serve<P: Ports, S: AsyncRead + AsyncWrite + Socket + Unpin>(
    core: Rc<Core<P>>,
    stream: S,
    peer: Rc<Peer>,
    (may_be_http2, mut phase): (bool, watch::Receiver<Phase>),
) -> Option<Begun<S>> {
    let seen = Rc::new(Watch::new(core.shared.limits.body_rate));
    let guard = Guard::new(stream, core.head_limits(), Rc::clone(&seen));
    let guard = if may_be_http2 { guard.or_http2() } else { guard };
    let opening: Cell<Option<Box<Opening>>> = Cell::new(None);
    let service = |request| {
        let (core, seen, peer) = (Rc::clone(&core), Rc::clone(&seen), Rc::clone(&peer));
        let opening = &opening;
        async move {
            let mut response = serve::answer(&*core, &peer, request).await;
            if let Some(tunnel) = response.body_mut().take_tunnel() {
                seen.switches();
                opening.set(Some(tunnel));
            }
            response.body_mut().keeps(seen.answered());
            response
        }
    };
    let most_lines = core.shared.limits.header_count;
    let around = (Rc::clone(&seen), &*core.shared.clock);
    let mut server = Server::new(guard, around, most_lines, service);
    let sleep = pin!(sleep_until(seen.idle_since() + first_check(&core)));
    let mut deadline = Alarm::new(sleep);
    let at_the_end = phase.clone();
    let closes = pin!(phase.wait_for(|phase| *phase == Phase::Closing));
    let mut closing = Asked::new(closes);
    let mut ending = false;
    let finished = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = server.poll(cx) {
                return Poll::Ready(ended.is_ok());
            }
            if seen.is_http2() {
                return Poll::Ready(false);
            }
            let must_end = seen.violation().is_some() && seen.all_answered();
            if must_end && !ending {
                say_last_words(&core, &seen);
            }
            // Before that nobody has told it to close.
            let may_close = || at_the_end.has_changed().unwrap_or(true);
            if !ending && (must_end || closing.poll(cx, may_close).is_ready()) {
                ending = true;
                server.shut();
                continue;
            }
            deadline.bring_forward(sooner(&core, &seen));
            if deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
            match due(&core, &seen, Instant::now()) {
                Due::Nothing(at) => deadline.reset(at),
                Due::Abort => return Poll::Ready(false),
                Due::End if ending => return Poll::Ready(false),
                Due::End => {
                    ending = seen.violation().is_none();
                    if ending {
                        server.shut();
                    }
                    deadline.reset(Instant::now() + CLOSE_WITHIN);
                }
            }
        }
    })
    .await;
    if seen.is_http2() {
        let (stream, bytes) = server.into_parts().0.into_parts();
        return Some(Begun { stream, bytes });
    }
    if finished {
        behind_the_last(&core, server.into_parts(), opening.take(), at_the_end).await;
    }
    None
}

/// What follows the last response: a tunnel, or the end.
async fn behind_the_last<P: Ports, S: AsyncRead + AsyncWrite + Unpin>(
    core: &Core<P>,
    (mut guard, read): (Guard<S>, BytesMut),
    opening: Option<Box<Opening>>,
    phase: watch::Receiver<Phase>,
) {
    if let Some(opening) = opening {
        let (stream, held) = guard.into_parts();
        opening.run((stream, [&read[..], &held].concat()), &core.shared, phase).await;
    } else {
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
