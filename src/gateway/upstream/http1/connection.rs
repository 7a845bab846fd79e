//! One connection, and the exchange that is on it.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};

use super::beside::Beside;
use super::decoder::{Decoder, Step};
use super::error::Error;
use super::head::{Head, end_of_head, parse};
use super::switched::Switched;
use super::upload::{Rest, Upload};
use super::wire::Wire;
use crate::gateway::headers::Added;
use crate::gateway::upstream::link::Link;
use crate::gateway::upstream::names::Reached;
use crate::telemetry::events::upstreams::OpenConnection;

/// What is read at once: at first, and of long bodies.
const READ: usize = 8 * 1024;
const MOST_READ: usize = 64 * 1024;

/// Responses before the final one (RFC 9110, section 15.2).
const MOST_INTERIM: usize = 100;

/// One connection, and the exchange that is on it. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    wire: Rc<Wire>,
    pub reached: Reached,
    /// Read, and not handed on.
    input: BytesMut,
    /// What is read at once.
    at_once: usize,
    upload: Upload,
    /// What is left of the upload behind the head of the response.
    beside: Option<Beside>,
    /// How long a tool that has answered may take nothing of the rest.
    patience: Duration,
    decoder: Decoder,
    /// Another exchange may follow.
    goes_on: bool,
    /// What follows is no HTTP.
    has_switched: bool,
}

impl Connection {
    pub fn new(
        (link, reached): (Link, Reached),
        open: Option<OpenConnection>,
        patience: Duration,
    ) -> Self {
        Self {
            wire: Rc::new(Wire::new(link, open)),
            reached,
            input: BytesMut::new(),
            at_once: READ,
            upload: Upload::default(),
            beside: None,
            patience,
            decoder: Decoder::Ended,
            goes_on: true,
            has_switched: false,
        }
    }

    /// Sends a request, with lines that are not among its headers, and waits for the head of its
    /// response. What is left of its body then goes on by itself; the request keeps an empty one, and
    /// its headers only while nothing of it was sent.
    ///
    /// # Errors
    /// There is none. The connection is of no use any more.
    pub async fn answer<B: Rest>(
        &mut self,
        request: &mut Request<B>,
        added: Option<&Added<'_>>,
    ) -> Result<Response<()>, Error> {
        self.goes_on = false;
        self.upload.begin(request, added)?;
        let head = self.head(request).await?;
        if !self.upload.has_stopped() {
            let mut upload = std::mem::take(&mut self.upload);
            upload.goes_alone();
            let body = request.body_mut().rest();
            self.beside = Some(Beside::begin(&self.wire, upload, body, self.patience));
        }
        self.has_switched = head.status == StatusCode::SWITCHING_PROTOCOLS;
        self.goes_on = head.goes_on() && !self.has_switched;
        self.decoder = Decoder::of(&head, request.method());
        self.decoder.settle(&mut self.input);
        let mut response = Response::new(());
        (*response.status_mut(), *response.headers_mut()) = (head.status, head.fields.headers);
        Ok(response)
    }

    /// Whether the last request may be sent to somebody else: nothing of it has left.
    pub fn is_unsent(&self) -> bool {
        self.upload.is_unsent() && self.beside.is_none()
    }

    /// Gives the last request up, which failed. Whether it [is unsent](Self::is_unsent), and stays so.
    pub fn takes_back(&self) -> bool {
        self.wire.takes_back() && self.is_unsent()
    }

    /// The next piece of the body, or its trailers.
    ///
    /// # Errors
    /// It does not come to its end.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            match self.decoder.step(&mut self.input) {
                Ok(Step::Data(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(Step::Ended(trailers)) => {
                    let trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
                    return Poll::Ready(trailers.map(|it| Ok(Frame::trailers(it))));
                }
                Ok(Step::More) => (),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            if let Err(error) = ready!(self.poll_more(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    /// The body was read to its end, and nothing of this exchange is left.
    pub fn has_ended(&self) -> bool {
        self.decoder.has_ended() && !self.has_switched
    }

    /// Of what is still to come of the body.
    pub fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }

    /// This connection, if request and response were both read and written to their ends, nothing is
    /// left over, and the tool goes on. Otherwise what is left of the request still goes to the tool.
    pub fn reusable(mut self: Box<Self>) -> Option<Box<Self>> {
        let sent = self.beside.as_ref().map_or(self.upload.is_over(), Beside::is_over);
        if sent && self.goes_on && self.decoder.has_ended() && self.input.is_empty() {
            self.beside = None;
            // The next response finds room that is still in the cache, and a connection that nobody uses
            // holds none.
            (self.at_once, self.input) = (READ, BytesMut::new());
            return Some(self);
        }
        if let Some(beside) = self.beside.take() {
            beside.release();
        }
        None
    }

    /// Whether nothing has come since the last exchange, and it is open. `waker` is woken when that may
    /// have changed.
    pub fn is_quiet(&self, waker: &Waker) -> bool {
        self.wire.is_quiet(waker)
    }

    /// Whether that is so still.
    pub fn is_still_quiet(&self) -> bool {
        self.wire.is_still_quiet()
    }

    /// What follows the head of a 101.
    pub fn switched(self) -> Switched {
        // A tunnel that is cut writes something else than it was about to.
        self.wire.writes_at_once();
        Switched::new(self.wire, self.input.freeze())
    }

    /// Sends what can be sent, and reads until the final head is there.
    async fn head<B: Rest>(&mut self, request: &mut Request<B>) -> Result<Head, Error> {
        let mut scanned = 0;
        for _interim in 0..=MOST_INTERIM {
            let body = request.body_mut();
            let lines = poll_fn(|cx| self.poll_lines(body, &mut scanned, cx)).await?;
            // What nobody will send again need not keep its headers: their memory is at hand.
            let mut spare = HeaderMap::new();
            let spare = if self.is_unsent() { &mut spare } else { request.headers_mut() };
            let head = parse(&lines, spare)?;
            if !head.is_interim() {
                return Ok(head);
            }
            scanned = 0;
        }
        Err(Error::Malformed("it has too many interim responses"))
    }

    /// The next head, not read yet. `scanned`: bytes of the input that hold no end of one.
    fn poll_lines<B: Rest>(
        &mut self,
        body: &mut B,
        scanned: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bytes, Error>> {
        if !self.upload.has_stopped() {
            match self.upload.poll(body, &self.wire, cx) {
                Poll::Pending | Poll::Ready(Ok(())) => (),
                // A tool may answer and close before it has read all of a request.
                Poll::Ready(Err(Error::Io(_))) if !self.upload.is_unsent() => self.upload.breaks(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        loop {
            if let Some(end) = end_of_head(&self.input, scanned)? {
                return Poll::Ready(Ok(self.input.split_to(end).freeze()));
            }
            if ready!(self.poll_read(cx))? == 0 {
                return Poll::Ready(Err(Error::Closed));
            }
        }
    }

    /// More bytes of the body, or their end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.beside.as_ref().is_some_and(|beside| beside.has_broken(cx)) {
            return Poll::Ready(Err(Error::Unsendable("its body ended early")));
        }
        if let Some(left) = self.decoder.size_hint().exact() {
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            self.at_once = self.at_once.max(left.min(MOST_READ));
        }
        match ready!(self.poll_read(cx)) {
            Ok(0) => {
                self.goes_on = false;
                Poll::Ready(self.decoder.closed())
            }
            Ok(_) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(Error::Io(error))),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < self.at_once / 2 {
            self.input.reserve(self.at_once);
        }
        let room = self.input.capacity() - self.input.len();
        let count = ready!(self.wire.poll_read(&mut self.input, cx))?;
        if count == room {
            self.at_once = (self.at_once * 2).min(MOST_READ);
        }
        Poll::Ready(Ok(count))
    }
}
