//! A connection, or a stream of one, in use by one exchange.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::gateway::body::{ClientBody, Cut, Progress};
use crate::gateway::headers::Added;

use super::failed::Failed;
use super::http1::{Connection, Switched};
use super::pool::BackendPool;
use super::shared::Stream;

/// A connection, or a stream of one, in use by one exchange.
#[derive(Debug)]
pub struct Lent {
    sender: Sender,
    /// Whether it was used before: it may have been closed by the tool meanwhile.
    pub reused: bool,
    busy: Busy,
    request: Option<Rc<Progress>>,
}

/// What a request is handed to, and the response comes from.
#[derive(Debug)]
pub enum Sender {
    /// Nobody else uses the connection.
    Http1(Box<Connection>),
    /// Boxed, as it is much larger, and moved with every response.
    Http2(Box<Http2>),
}

/// One stream among others, and the body that comes on it.
#[derive(Debug)]
pub struct Http2 {
    stream: Stream,
    body: Option<Incoming>,
}

/// Counts as load of its backend.
#[derive(Debug)]
struct Busy(Rc<BackendPool>);

impl Sender {
    pub(super) fn on(stream: Stream) -> Self {
        Self::Http2(Box::new(Http2 { stream, body: None }))
    }
}

impl Lent {
    /// Sends the request, and waits for the head of the response. `added`: on HTTP/1.1, lines that are
    /// not among its headers.
    ///
    /// # Errors
    /// There is none. The request is as it was when nothing of it was sent.
    pub async fn send(
        &mut self,
        request: &mut Request<ClientBody>,
        added: Option<&Added<'_>>,
    ) -> Result<Response<()>, Failed> {
        match &mut self.sender {
            Sender::Http1(connection) => match connection.answer(request, added).await {
                Ok(response) => Ok(response),
                Err(why) => Err(Failed::Http1(why, connection.takes_back())),
            },
            Sender::Http2(http2) => {
                let empty = Request::new(request.body().emptied());
                let whole = std::mem::replace(request, empty);
                match http2.stream.sender().try_send_request(whole).await {
                    Ok(response) => {
                        let (head, body) = response.into_parts();
                        http2.body = Some(body);
                        Ok(Response::from_parts(head, ()))
                    }
                    Err(mut failed) => {
                        let unsent = failed.take_message();
                        let is_unsent = unsent.is_some();
                        if let Some(unsent) = unsent {
                            *request = unsent;
                        }
                        Err(Failed::Http2(failed.into_error(), is_unsent))
                    }
                }
            }
        }
    }

    /// The next frame of the response's body.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.sender {
            Sender::Http1(connection) => {
                connection.poll_frame(cx).map(|frame| frame.map(|it| it.map_err(Cut::from)))
            }
            Sender::Http2(http2) => match &mut http2.body {
                Some(body) => {
                    Pin::new(body).poll_frame(cx).map(|frame| frame.map(|it| it.map_err(Cut::from)))
                }
                None => Poll::Ready(None),
            },
        }
    }

    /// The response's body was read to its end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match &self.sender {
            Sender::Http1(connection) => connection.has_ended(),
            Sender::Http2(http2) => http2.body.as_ref().is_none_or(Body::is_end_stream),
        }
    }

    /// Of what is still to come of the response's body.
    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        match &self.sender {
            Sender::Http1(connection) => connection.size_hint(),
            Sender::Http2(http2) => http2.body.as_ref().map(Body::size_hint).unwrap_or_default(),
        }
    }

    /// The connection is a tunnel's from now on: it has its own deadlines.
    #[must_use]
    pub fn into_switched(self) -> Option<Switched> {
        match self.sender {
            Sender::Http1(connection) => Some(connection.switched()),
            Sender::Http2(..) => None,
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
        matches!(self.sender, Sender::Http2(..))
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
        if let (Sender::Http2(http2), Some(request)) = (&self.sender, &self.request)
            && !request.ended.get()
        {
            http2.stream.bounds_upload(request, tool.timeouts.response);
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
        if let Sender::Http2(http2) = &self.sender {
            http2.stream.retire();
        }
        self.busy.0.tool.failed(&self.busy.0.backend);
    }

    /// The response was read to its end. An unfinished request still spoils the connection.
    pub fn give_back(self) {
        let finished = self.request.as_ref().is_some_and(|request| request.ended.get());
        match self.sender {
            Sender::Http1(connection) => {
                if let Some(connection) = connection.reusable().filter(|_| finished) {
                    self.busy.0.keep(connection);
                }
            }
            // A stream that is not over yet is reset when its parts are dropped.
            Sender::Http2(..) => (),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get().saturating_sub(1));
    }
}
