//! A WebSocket on one stream (RFC 8441), beside the others of its connection.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::header::{SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::timeout;

use super::stream::{Spawner, Stream};
use crate::gateway::body::Out;
use crate::gateway::connection::CountsPanic;
use crate::gateway::core::Core;
use crate::gateway::listener::Phase;
use crate::gateway::tunnel::Opening;

/// The client's side of what may become a tunnel.
pub fn client_of(request: &mut Request<Incoming>) -> Option<OnUpgrade> {
    (request.method() == Method::CONNECT).then(|| hyper::upgrade::on(request))
}

/// The tunnel that this response opens, and its client's side; the response then says so in the words
/// of HTTP/2.
pub fn opened(
    response: &mut Response<Out>,
    client: Option<OnUpgrade>,
) -> Option<(Box<Opening>, OnUpgrade)> {
    match (response.body_mut().take_tunnel(), client) {
        (Some(opening), Some(client)) => {
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().remove(UPGRADE);
            response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
            Some((opening, client))
        }
        (None, None) => None,
        (None, Some(_)) if !response.status().is_success() => None,
        // Unreachable by construction: a tunnel without a client, or a client that would take the
        // answer for a tunnel.
        (Some(_), None) | (None, Some(_)) => {
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            None
        }
    }
}

/// Runs the tunnel beside the connection; the stream counts as served until it is over.
pub fn run<P: 'static>(
    core: Rc<Core<P>>,
    (opening, client): (Box<Opening>, OnUpgrade),
    (spawner, stream): (Spawner, Rc<Stream>),
    phase: watch::Receiver<Phase>,
) {
    spawner.tunnels(&stream);
    tokio::task::spawn_local(async move {
        spawner.has_begun();
        let _panic = CountsPanic(core.shared.metrics.clone());
        // It fails when the stream was reset before its answer went out.
        let upgraded = timeout(core.shared.limits.idle_timeout, client).await;
        let Ok(Ok(upgraded)) = upgraded else { return };
        let io = Carrying { io: TokioIo::new(upgraded), stream };
        opening.run((io, Vec::new()), &core.shared, phase).await;
    });
}

/// Notes what is sent to the client: its frames were not sent for nothing. What it sends is seen in
/// [`super::frames`].
struct Carrying<S> {
    io: S,
    stream: Rc<Stream>,
}

impl<S> Drop for Carrying<S> {
    fn drop(&mut self) {
        self.stream.last_piece();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Carrying<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Carrying<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        if polled.is_ready() {
            self.stream.carried();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
