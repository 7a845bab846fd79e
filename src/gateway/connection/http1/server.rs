//! The server's side of one connection of HTTP/1.1 (RFC 9112): one request after the other, each
//! answered before the next one is read.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http::{Request, Response};
use http_body::Body;
use tidegate_turn::Batched;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::date::date;
use super::download::Download;
use super::request::{self, Asked};
use super::response::{Unsendable, encode};
use super::spare;
use crate::clock::Clock;
use crate::gateway::body::{Cut, Inlet, Needs, Received};
use crate::gateway::framing::{Guard, Watch};
use crate::gateway::socket::Socket;
use crate::gateway::upstream::Decoder;

/// What is read at once: at first, and of long bodies.
const READ: usize = 8 * 1024;
const MOST_READ: usize = 64 * 1024;

/// So often the connection goes on before others have their turn.
const TURNS: usize = 32;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The connection cannot be ended in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl From<Cut> for Broken {
    fn from(_: Cut) -> Self {
        Self
    }
}

impl From<request::Unreadable> for Broken {
    fn from(_: request::Unreadable) -> Self {
        Self
    }
}

impl From<Unsendable> for Broken {
    fn from(_: Unsendable) -> Self {
        Self
    }
}

/// A connection, and the exchange that is on it. `F` answers a request with a future `R`.
pub struct Server<'a, S, F, R, B> {
    stage: Stage<R>,
    /// The request's body, as long as it may matter.
    inlet: Option<Inlet>,
    download: Download<B>,
    // Behind the exchange: whoever sees the end of the stream sees it over.
    guard: Batched<Guard<S>>,
    watch: Rc<Watch>,
    service: F,
    clock: &'a dyn Clock,
    most_lines: usize,
    /// Read, and not handed on.
    input: BytesMut,
    /// What is read at once.
    at_once: usize,
    asked: Asked,
    /// Another request may follow.
    goes_on: bool,
    /// Nothing more is read.
    is_deaf: bool,
}

enum Stage<R> {
    /// The next head is awaited.
    Head,
    /// So is the response.
    Serving(Pin<Box<R>>),
    Sending,
    /// The response was sent. The body of its request goes on.
    Rest,
    Over,
}

impl<'a, S, F, R, B> Server<'a, S, F, R, B>
where
    S: AsyncRead + AsyncWrite + Socket + Unpin,
    F: Fn(Request<Received>) -> R,
    R: Future<Output = Response<B>>,
    B: Body<Data = bytes::Bytes, Error = Cut> + Unpin,
{
    /// Heads have at most `most_lines`.
    pub fn new(
        guard: Guard<S>,
        (watch, clock): (Rc<Watch>, &'a dyn Clock),
        most_lines: usize,
        service: F,
    ) -> Self {
        Self {
            stage: Stage::Head,
            inlet: None,
            download: Download::default(),
            guard: Batched::new(guard),
            watch,
            service,
            clock,
            most_lines,
            input: BytesMut::new(),
            at_once: READ,
            asked: Asked::default(),
            goes_on: true,
            is_deaf: false,
        }
    }

    /// Ready when nothing follows any more, and everything was sent.
    ///
    /// # Errors
    /// It broke, or has to be broken off.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if let Some(inlet) = &self.inlet {
            inlet.attends();
        }
        let polled = self.poll_turns(cx);
        if let (Poll::Pending, Some(inlet)) = (&polled, &self.inlet) {
            inlet.rests(cx.waker());
        }
        polled
    }

    /// Ends the connection with the exchange that is on it.
    pub fn shut(&mut self) {
        self.goes_on = false;
        if matches!(self.stage, Stage::Head) {
            self.stage = Stage::Over;
        }
    }

    /// The connection, and what was read of it behind the last request.
    pub fn into_parts(self) -> (Guard<S>, BytesMut) {
        (self.guard.into_inner(), self.input)
    }

    fn poll_turns(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        for _ in 0..TURNS {
            match &mut self.stage {
                Stage::Head => ready!(self.poll_request(cx))?,
                Stage::Serving(answer) => match answer.as_mut().poll(cx) {
                    Poll::Ready(response) => self.respond(response, cx)?,
                    Poll::Pending => ready!(self.poll_client(cx))?,
                },
                Stage::Sending => match self.download.poll(&mut self.guard, cx)? {
                    Poll::Ready(()) => self.stage = Stage::Rest,
                    Poll::Pending => ready!(self.poll_client(cx))?,
                },
                Stage::Rest => ready!(self.poll_rest(cx))?,
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while self.input.is_empty() || !self.begin()? {
            if self.input.capacity() == 0 {
                self.input = spare::input();
            }
            let Poll::Ready(count) = self.poll_fill(cx) else {
                self.lend();
                return Poll::Pending;
            };
            if count? == 0 {
                // No head is ever handed on in part.
                self.stage = Stage::Over;
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Hands the next request on, if its head is there.
    fn begin(&mut self) -> Result<bool, Broken> {
        let mut request = Request::new(Received::Nothing);
        let Some(said) = request::take(&mut self.input, self.most_lines, &mut request)? else {
            return Ok(false);
        };
        self.asked = said.asked;
        if !said.decoder.has_ended() {
            *request.body_mut() = self.open(said.decoder, said.expects);
        }
        self.stage = Stage::Serving(Box::pin((self.service)(request)));
        Ok(true)
    }

    fn open(&mut self, decoder: Decoder, expects: bool) -> Received {
        let input = std::mem::take(&mut self.input);
        let (inlet, intake) = Inlet::new(input, decoder, expects);
        self.inlet = Some(inlet);
        Received::Http1(intake)
    }

    fn respond(&mut self, mut response: Response<B>, cx: &mut Context<'_>) -> Result<(), Broken> {
        if self.needs() == Needs::Discarding {
            self.discard(cx);
        }
        let asked = Asked { goes_on: self.asked.goes_on && self.goes_on, ..self.asked };
        let clock = self.clock;
        let sent = encode(&response, asked, || date(clock.now()), self.download.head())?;
        spare::keep_fields(std::mem::take(response.headers_mut()));
        self.goes_on = sent.goes_on;
        if !sent.goes_on && !self.watch.has_switched() {
            self.watch.said_goodbye();
        }
        self.download.begin(sent.framing, response.into_body());
        self.stage = Stage::Sending;
        Ok(())
    }

    /// While the exchange waits: the bytes of its body, or the client's end. Ready when the exchange may
    /// go on.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if matches!(self.stage, Stage::Serving(_)) && !self.download.is_over() {
            // What is not taken at once goes before the response.
            let _later = self.download.poll(&mut self.guard, cx)?;
        }
        loop {
            match self.needs() {
                Needs::Patience => return Poll::Pending,
                Needs::Nothing => {
                    self.close_inlet();
                    return self.poll_gone(cx);
                }
                Needs::Discarding => self.discard(cx),
                Needs::Continue => self.say_continue(cx)?,
                Needs::Bytes => match ready!(self.poll_body(cx)) {
                    Ok(false) => (),
                    Ok(true) => return Poll::Ready(Ok(())),
                    Err(_gone) => {
                        // Whoever takes the body makes an answer of it.
                        self.stop_reading();
                        return Poll::Ready(Ok(()));
                    }
                },
            }
        }
    }

    fn needs(&self) -> Needs {
        self.inlet.as_ref().map_or(Needs::Nothing, Inlet::needs)
    }

    fn say_continue(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        self.inlet.iter().for_each(Inlet::said_continue);
        if matches!(self.stage, Stage::Serving(_)) {
            self.download.head().extend_from_slice(CONTINUE);
            let _later = self.download.poll(&mut self.guard, cx)?;
        }
        Ok(())
    }

    /// Behind the whole request: an error when the client goes away.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.is_deaf || !self.input.is_empty() {
            return Poll::Pending;
        }
        match ready!(self.poll_fill(cx)) {
            Ok(0) | Err(_) => Poll::Ready(Err(Broken)),
            // The next request; it has time.
            Ok(_) => Poll::Pending,
        }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self.needs() {
            Needs::Nothing => {
                self.close_inlet();
                self.stage = if self.goes_on { Stage::Head } else { Stage::Over };
                Poll::Ready(Ok(()))
            }
            Needs::Discarding => {
                self.discard(cx);
                Poll::Ready(Ok(()))
            }
            Needs::Patience | Needs::Continue | Needs::Bytes => self.poll_client(cx),
        }
    }

    /// Nobody takes the rest of the body: if it is there, another request may follow.
    fn discard(&mut self, cx: &mut Context<'_>) {
        let is_whole = |this: &Self| this.inlet.as_ref().is_none_or(Inlet::discard);
        if !is_whole(self) && self.inlet.as_ref().is_some_and(|inlet| !inlet.is_held_back()) {
            let _whatever_comes = self.poll_body(cx);
        }
        if is_whole(self) {
            self.close_inlet();
        } else {
            self.stop_reading();
        }
    }

    fn stop_reading(&mut self) {
        self.inlet = None;
        self.goes_on = false;
        self.is_deaf = true;
        self.watch.awaits_nothing();
    }

    /// The body has ended: what was read behind it is the next request.
    fn close_inlet(&mut self) {
        if let Some(inlet) = self.inlet.take() {
            self.input = inlet.into_input();
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Cut>> {
        let Some(inlet) = &self.inlet else { return Poll::Pending };
        let (guard, at_once) = (&mut self.guard, &mut self.at_once);
        inlet.poll_fill(cx, |input, cx| fill((input, at_once), guard, cx))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        fill((&mut self.input, &mut self.at_once), &mut self.guard, cx)
    }

    /// The room that it has for what it reads and for what it writes.
    #[cfg(test)]
    pub fn held(&mut self) -> (usize, usize) {
        (self.input.capacity(), self.download.held())
    }

    /// The connection waits for its next request.
    fn lend(&mut self) {
        if self.input.is_empty() {
            spare::keep_input(std::mem::take(&mut self.input));
            self.at_once = READ;
        }
        self.download.lend();
    }
}

/// Reads once; 0 at the end.
fn fill<S: AsyncRead + Unpin>(
    (input, at_once): (&mut BytesMut, &mut usize),
    guard: &mut Batched<Guard<S>>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if input.capacity() - input.len() < *at_once / 2 {
        input.reserve(*at_once);
    }
    let room = input.capacity() - input.len();
    let count = ready!(pin!(guard.read_buf(input)).poll(cx))?;
    if count == room {
        *at_once = (*at_once * 2).min(MOST_READ);
    }
    Poll::Ready(Ok(count))
}
