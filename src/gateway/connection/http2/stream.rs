//! One stream: the task that serves it, and how long its client may leave an answer waiting.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};

use super::frames::Pulse;
use crate::gateway::body::{Cut, Out, Progress};
use crate::gateway::connection::CountsPanic;
use crate::gateway::lease::Side;
use crate::telemetry::metrics::Metrics;

/// A piece of a body that is handed to the library at once. It is sent as soon as the client's window
/// has room for one byte of it, so the rest of it may wait where no deadline sees it.
const PIECE: usize = 16 << 10;

/// What the parts of one stream know of each other.
#[derive(Debug)]
pub struct Stream {
    /// Since when a piece of the answer waits for the client's window.
    waits_since: Cell<Option<Instant>>,
    /// Whoever sends the bytes of a tunnel; nobody else would tell it that the tunnel is over.
    sends_tunnel: RefCell<Option<Waker>>,
    is_tunnel: Cell<bool>,
    /// The exchange of the answer, where an access binds it.
    bound: RefCell<Option<Rc<Progress>>>,
    pulse: Rc<Pulse>,
}

impl Stream {
    /// The access has ended, and nobody has told the client yet.
    fn is_cut(&self) -> bool {
        self.bound.borrow().as_ref().is_some_and(|exchange| exchange.held.has_ended())
    }

    fn wake_at_the_cut(&self, waker: &Waker) {
        if let Some(exchange) = &*self.bound.borrow() {
            exchange.held.waits(Side::Response, waker);
        }
    }

    /// The request has its answer, or its tunnel a piece.
    pub fn carried(&self) {
        self.pulse.carried();
    }

    /// The tunnel is over. What it has written last may wait as long as a piece of an answer.
    pub fn last_piece(&self) {
        self.waits_since.set(Some(Instant::now()));
        let sender = self.sends_tunnel.take();
        if let Some(sender) = sender {
            sender.wake();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.pulse.ended();
    }
}

/// Puts each stream on a task of its own, on this core.
#[derive(Clone)]
pub struct Spawner(Rc<Inner>);

struct Inner {
    pulse: Rc<Pulse>,
    /// How long a piece of an answer may wait.
    patience: Duration,
    metrics: Metrics,
    /// The library calls the service and hands over the stream's future one after the other: this is
    /// whose future comes next.
    next: RefCell<Option<Rc<Stream>>>,
}

impl Spawner {
    pub fn new(pulse: Rc<Pulse>, patience: Duration, metrics: &Metrics) -> Self {
        let (metrics, next) = (metrics.clone(), RefCell::new(None));
        Self(Rc::new(Inner { pulse, patience, metrics, next }))
    }

    pub fn open(&self) -> Rc<Stream> {
        self.0.pulse.began();
        let stream = Stream {
            waits_since: Cell::new(None),
            sends_tunnel: RefCell::new(None),
            is_tunnel: Cell::new(false),
            bound: RefCell::new(None),
            pulse: Rc::clone(&self.0.pulse),
        };
        let stream = Rc::new(stream);
        self.0.next.replace(Some(Rc::clone(&stream)));
        stream
    }

    /// What the library hands over next sends the tunnel's bytes of this stream.
    pub fn tunnels(&self, stream: &Rc<Stream>) {
        stream.is_tunnel.set(true);
        self.0.next.replace(Some(Rc::clone(stream)));
    }

    /// It was handed over, or will not be.
    pub fn has_begun(&self) {
        self.0.next.take();
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Spawner {
    fn execute(&self, serving: F) {
        let panic = CountsPanic(self.0.metrics.clone());
        let (stream, patience) = (self.0.next.take(), self.0.patience);
        tokio::task::spawn_local(async move {
            let _panic = panic;
            Serving { inner: Box::pin(serving), stream, patience, timer: None }.await;
        });
    }
}

/// Ends when the stream is served, or its client has taken nothing of it for too long: dropping it
/// resets the stream.
struct Serving<F> {
    inner: Pin<Box<F>>,
    stream: Option<Rc<Stream>>,
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Future for Serving<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.inner.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let since = this.stream.as_ref().and_then(|stream| stream.waits_since.get());
        let Some(since) = since else {
            if let Some(stream) = this.stream.as_ref().filter(|stream| stream.is_tunnel.get()) {
                stream.sends_tunnel.replace(Some(cx.waker().clone()));
            }
            return Poll::Pending;
        };
        if this.stream.as_ref().is_some_and(|stream| stream.is_cut()) {
            // A piece of the tool waits for the client's window: it is not sent any more.
            return Poll::Ready(());
        }
        let end = since + this.patience;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
    }
}

/// A response's body in pieces, noting when one of them waits.
pub struct Paced {
    inner: Out,
    rest: Bytes,
    stream: Rc<Stream>,
}

impl Paced {
    pub fn new(inner: Out, stream: Rc<Stream>) -> Self {
        stream.bound.replace(inner.exchange().cloned());
        Self { inner, rest: Bytes::new(), stream }
    }

    fn piece(&mut self, mut bytes: Bytes) -> Frame<Bytes> {
        self.rest = bytes.split_off(bytes.len().min(PIECE));
        self.stream.waits_since.set(Some(Instant::now()));
        self.stream.pulse.carried();
        Frame::data(bytes)
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = &mut *self;
        this.stream.waits_since.set(None);
        this.stream.wake_at_the_cut(cx.waker());
        let rest = std::mem::take(&mut this.rest);
        if !rest.is_empty() && !this.stream.is_cut() {
            return Poll::Ready(Some(Ok(this.piece(rest))));
        }
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if this.stream.is_cut() {
            // What comes now says so.
            this.stream.bound.take();
        }
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(bytes) => this.piece(bytes),
                Err(other) => other,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
