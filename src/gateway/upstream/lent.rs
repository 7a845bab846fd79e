//! A connection, or a stream of one, in use by one exchange.

use std::rc::Rc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use tokio::time::Instant;

use crate::gateway::body::{ClientBody, Progress};

use super::bounded::Room;
use super::names::Reached;
use super::pool::BackendPool;
use super::shared::Stream;

/// A connection, or a stream of one, in use by one exchange.
#[derive(Debug)]
pub struct Lent {
    pub sender: Sender,
    /// Whether it was used before: it may have been closed by the tool meanwhile.
    pub reused: bool,
    busy: Busy,
    request: Option<Rc<Progress>>,
}

/// What a request is handed to.
#[derive(Debug)]
pub enum Sender {
    /// Nobody else uses the connection.
    Http1(Box<Exclusive>),
    /// One stream among others.
    Http2(Stream),
}

/// A connection of HTTP/1.1.
#[derive(Debug)]
pub struct Exclusive {
    pub(super) sender: http1::SendRequest<ClientBody>,
    pub(super) room: Room,
    pub(super) reached: Reached,
    is_tunnel: bool,
}

/// Counts as load of its backend.
#[derive(Debug)]
struct Busy(Rc<BackendPool>);

impl Sender {
    /// # Errors
    /// The exchange failed; with the request, when not a byte of it was sent.
    pub async fn try_send_request(
        &mut self,
        request: Request<ClientBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<ClientBody>>> {
        match self {
            Self::Http1(connection) => {
                connection.room.until_head();
                let answer = connection.sender.try_send_request(request).await;
                connection.room.without_bound();
                answer
            }
            Self::Http2(stream) => stream.sender().try_send_request(request).await,
        }
    }
}

impl Exclusive {
    pub(super) const fn new(
        sender: http1::SendRequest<ClientBody>,
        room: Room,
        reached: Reached,
    ) -> Self {
        Self { sender, room, reached, is_tunnel: false }
    }

    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }
}

impl Lent {
    /// The connection is a tunnel's from now on: it has its own deadlines.
    pub fn becomes_tunnel(mut self) {
        if let Sender::Http1(connection) = &mut self.sender {
            connection.is_tunnel = true;
        }
    }

    /// A piece of the response came. A client that still sends may be waiting for it.
    pub fn answer_moved(&self) {
        if let Some(request) = self.request.as_ref().filter(|request| !request.ended.get()) {
            request.moved_at.set(Instant::now());
        }
    }

    pub(super) fn new(sender: Sender, reused: bool, of: &Rc<BackendPool>) -> Self {
        of.busy.set(of.busy.get() + 1);
        Self { sender, reused, busy: Busy(Rc::clone(of)), request: None }
    }

    /// Host and port, or a socket's path and no port.
    #[must_use]
    pub fn address(&self) -> (&str, Option<u16>) {
        self.busy.0.backend.address()
    }

    #[must_use]
    pub fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// The scheme of what is asked for.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.busy.0.backend.tls.is_some() { "https" } else { "http" }
    }

    /// Notes the request that goes over this connection.
    pub fn carries(&mut self, request: Rc<Progress>) {
        self.request = Some(request);
    }

    /// The backend answered with a head.
    pub fn answered(&self, status: StatusCode) {
        let (tool, backend) = (&self.busy.0.tool, &self.busy.0.backend);
        if let (Sender::Http2(stream), Some(request)) = (&self.sender, &self.request)
            && !request.ended.get()
        {
            stream.bounds_upload(request, tool.timeouts.response);
        }
        // What gateways and overloaded servers say; other errors are the request's own.
        match status.as_u16() {
            502..=504 => tool.failed(backend),
            _ => backend.forget_failures(),
        }
    }

    /// The backend did not answer, or not in a way that can be used. No other exchange begins on the
    /// connection.
    pub fn failed(&self) {
        if let Sender::Http2(stream) = &self.sender {
            stream.retire();
        }
        self.busy.0.tool.failed(&self.busy.0.backend);
    }

    /// The response was read to its end. An unfinished request still spoils the connection.
    pub fn give_back(self) {
        let finished = self.request.as_ref().is_some_and(|request| request.ended.get());
        match self.sender {
            Sender::Http1(sender) if finished => self.busy.0.keep(sender),
            // A stream that is not over yet is reset when its parts are dropped.
            Sender::Http1(_) | Sender::Http2(_) => (),
        }
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        if !self.is_tunnel {
            self.room.is_over();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get().saturating_sub(1));
    }
}
