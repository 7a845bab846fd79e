//! A connection of HTTP/2 (RFC 9113): hyper above a count of the frames, every request brought into
//! the form that HTTP/1.1 would give it, and the deadlines beside.

mod budget;
mod deadlines;
mod frames;
mod request;
mod stream;
mod websocket;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::peer::Peer;
use crate::gateway::body::{Out, Received};
use crate::gateway::core::Core;
use crate::gateway::forward::own;
use crate::gateway::framing::Violation;
use crate::gateway::headers::DECISION_ID;
use crate::gateway::listener::Phase;
use crate::gateway::ports::Ports;
use crate::gateway::serve;
use crate::telemetry::events::gateway::{ConnectionRefused, HeadRefused};

use deadlines::{Due, due};
use frames::{Frames, Pulse};
use stream::{Paced, Spawner};

/// Bytes of request bodies that are read ahead: of one stream, and of the whole connection.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes of one response that wait for the client.
const SEND_BUFFER: usize = 64 << 10;
/// Streams that were reset before we came to them.
const UNSEEN_RESETS: usize = 64;
/// Streams that we reset because of what the client sent on them, in the life of a connection.
const FAULTY_STREAMS: usize = 128;
/// How long a connection that was told to end may take to do so.
const LAST_MOMENTS: Duration = Duration::from_secs(2);

/// A connection whose first bytes were read already.
#[derive(Debug)]
pub struct Begun<S> {
    pub stream: S,
    pub bytes: Vec<u8>,
}

impl<S> Begun<S> {
    pub const fn new(stream: S) -> Self {
        Self { stream, bytes: Vec::new() }
    }
}

/// Serves a connection until it ends.
pub async fn serve<P: Ports, S: AsyncRead + AsyncWrite + Unpin>(
    core: Rc<Core<P>>,
    begun: Begun<S>,
    peer: Rc<Peer>,
    mut phase: watch::Receiver<Phase>,
) {
    let pulse = Rc::new(Pulse::new());
    let frames = Frames::new(begun.stream, begun.bytes, Rc::clone(&pulse));
    let spawner =
        Spawner::new(Rc::clone(&pulse), core.shared.limits.idle_timeout, &core.shared.metrics);
    let at_the_end = phase.clone();
    let service = service_fn(|mut request| {
        let (core, peer, stream) = (Rc::clone(&core), Rc::clone(&peer), spawner.open());
        let (client, phase) = (websocket::client_of(&mut request), &at_the_end);
        let beside = client.as_ref().map(|_| (spawner.clone(), phase.clone()));
        async move {
            let mut response = answer(&*core, &peer, request).await;
            let opened = websocket::opened(&mut response, client);
            if let (Some(opened), Some((spawner, phase))) = (opened, beside) {
                websocket::run(core, opened, (spawner, Rc::clone(&stream)), phase);
            }
            // An option of HTTP/1.1; this connection ends by GOAWAY.
            response.headers_mut().remove(CONNECTION);
            stream.carried();
            Ok::<_, Infallible>(response.map(|body| Paced::new(body, stream)))
        }
    });
    let mut connection =
        pin!(builder(&core, spawner.clone()).serve_connection(TokioIo::new(frames), service));
    let began_in = *phase.borrow();
    let mut draining = pin!(async {
        let _gone = phase.wait_for(|phase| *phase != Phase::Serving).await;
    });
    let (mut draining_seen, mut ending) = (false, None);
    let mut deadline = pin!(sleep_until(Instant::now() + core.shared.limits.header_timeout));
    poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            draining_seen = draining_seen || draining.as_mut().poll(cx).is_ready();
            // One that came while we drain gets its first answer.
            let may_end = began_in == Phase::Serving || pulse.streams() > 0;
            if draining_seen && may_end && ending.is_none() {
                ending = Some(None);
                connection.as_mut().graceful_shutdown();
                continue;
            }
            if deadline.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            match (due(&core.shared.limits, &pulse, now), ending.flatten()) {
                (Due::Abort, _) => return Poll::Ready(()),
                (Due::End, Some(end)) if end <= now => return Poll::Ready(()),
                (Due::End, None) => {
                    let end = now + LAST_MOMENTS;
                    ending = Some(Some(end));
                    connection.as_mut().graceful_shutdown();
                    deadline.as_mut().reset(end);
                }
                (Due::End, Some(at)) | (Due::Nothing(at), _) => deadline.as_mut().reset(at),
            }
        }
    })
    .await;
    if let Some(why) = pulse.flood() {
        ConnectionRefused { cause: "flood", why }.emit(&core.shared.metrics);
    }
}

fn builder<P>(core: &Core<P>, spawner: Spawner) -> Builder<Spawner> {
    let limits = &core.shared.limits;
    // As it counts, a field takes 32 bytes more than its name and value. What is a little too large
    // is answered by us, what is far too large by the library.
    let most = limits.header_bytes * 2 + 32 * limits.header_count;
    let mut http = Builder::new(spawner);
    http.enable_connect_protocol()
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(u32::try_from(most).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(UNSEEN_RESETS)
        .max_local_error_reset_streams(FAULTY_STREAMS);
    http
}

async fn answer<P: Ports>(
    core: &Core<P>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Response<Out> {
    match request::normalised(request, peer, core.head_limits()) {
        Ok(request) => serve::answer(core, peer, request.map(Received::Http2)).await,
        Err(violation) => bare(core, violation),
    }
}

/// The same bare answer as on HTTP/1.1.
fn bare<P: Ports>(core: &Core<P>, violation: Violation) -> Response<Out> {
    HeadRefused(violation.detail()).emit(&core.shared.metrics);
    let mut response = Response::new(Bytes::from(format!("{}\n", violation.detail())));
    *response.status_mut() = violation.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&core.ids.decision().0) {
        headers.insert(DECISION_ID, id);
    }
    own(response, None)
}

impl Violation {
    fn status(self) -> StatusCode {
        match self {
            Self::Head(_) | Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTooSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}
