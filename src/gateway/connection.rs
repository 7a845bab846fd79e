//! One client connection: hyper above the framing guard, and the deadlines beside both.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::telemetry::events::gateway::{ConnectionPanicked, HeadRefused};
use crate::telemetry::metrics::Metrics;

use super::core::Core;
use super::framing::{Guard, Violation, Watch};
use super::listener::Phase;
use super::ports::Ports;
use super::serve;

/// What is to happen to a connection whose deadline came.
enum Due {
    Nothing(Instant),
    /// Finish what runs, then end.
    End,
    /// Drop it: the client keeps us waiting in the middle of a message.
    Abort,
}

/// Serves a connection until it ends.
pub async fn serve<P: Ports>(
    core: Rc<Core<P>>,
    stream: TcpStream,
    peer: SocketAddr,
    mut phase: watch::Receiver<Phase>,
) {
    let _panic = CountsPanic(core.shared.metrics.clone());
    let seen = Rc::new(Watch::new());
    let guard = Guard::new(stream, core.head_limits(), Rc::clone(&seen));
    let service = service_fn(|request| {
        let (core, seen) = (Rc::clone(&core), Rc::clone(&seen));
        async move {
            let response = serve::answer(&*core, peer.ip(), request).await;
            if response.headers().contains_key(CONNECTION) {
                // It says `close`: no other option is ever sent.
                seen.said_goodbye();
            }
            let response = response.map(|body| body.sending(seen.answered()));
            Ok::<_, Infallible>(response)
        }
    });
    let mut http = http1::Builder::new();
    http.half_close(false).header_read_timeout(None);
    if core.shared.limits.header_count > 100 {
        // The guard counts; hyper only needs the room.
        http.max_headers(core.shared.limits.header_count + 1);
    }
    let mut connection = pin!(http.serve_connection(TokioIo::new(guard), service));
    let mut deadline = pin!(sleep_until(seen.idle_since() + first_check(&core)));
    let mut closing = pin!(phase.wait_for(|phase| *phase == Phase::Closing));
    let mut closing_seen = false;
    let mut ending = false;
    poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
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
                connection.as_mut().graceful_shutdown();
                continue;
            }
            if deadline.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match due(&core, &seen, Instant::now()) {
                Due::Nothing(at) => deadline.as_mut().reset(at),
                Due::Abort => return Poll::Ready(()),
                Due::End if ending => return Poll::Ready(()),
                Due::End => {
                    ending = seen.violation().is_none();
                    if ending {
                        connection.as_mut().graceful_shutdown();
                    }
                    deadline.as_mut().reset(Instant::now() + Duration::from_secs(2));
                }
            }
        }
    })
    .await;
}

fn first_check<P: Ports>(core: &Core<P>) -> Duration {
    core.shared.limits.header_timeout.min(core.shared.limits.idle_timeout)
}

/// The first deadline that has come, or when to look again.
fn due<P: Ports>(core: &Core<P>, seen: &Watch, now: Instant) -> Due {
    let limits = &core.shared.limits;
    if let Some(stalled) = seen.stalled_since() {
        let at = stalled + limits.idle_timeout;
        return if at <= now { Due::Abort } else { Due::Nothing(at) };
    }
    if let Some(begun) = seen.head_since() {
        let at = begun + limits.header_timeout;
        if at > now {
            return Due::Nothing(at);
        }
        seen.violated(Violation::HeadTooSlow);
        return Due::End;
    }
    if seen.is_idle() {
        let at = seen.idle_since() + limits.idle_timeout;
        if at <= now {
            return Due::End;
        }
        // A head may begin at any moment; its own deadline is shorter.
        return Due::Nothing(at.min(now + limits.header_timeout));
    }
    Due::Nothing(now + first_check(core))
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

/// Dropped while a panic unwinds, it counts it.
struct CountsPanic(Metrics);

impl Drop for CountsPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            ConnectionPanicked.emit(&self.0);
        }
    }
}
