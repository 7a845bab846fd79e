//! The byte stream under the HTTP/2 library: passes everything, and follows the frames that come in
//! (RFC 9113, section 4.1). The library bounds what it keeps; floods of frames that it merely works
//! off are seen here.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::budget::Budget;

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// What a connection's parts know of each other. One per connection, within its core.
#[derive(Debug)]
pub struct Pulse {
    budget: RefCell<Budget>,
    flood: Cell<Option<&'static str>>,
    /// Since when a header block, or the connection's first frame, is incomplete.
    head_since: Cell<Option<Instant>>,
    /// Since when the client takes nothing.
    write_since: Cell<Option<Instant>>,
    idle_since: Cell<Instant>,
    /// All streams so far, and those that are being served.
    streams: Cell<u64>,
    open: Cell<u64>,
}

impl Pulse {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            budget: RefCell::new(Budget::new(now)),
            flood: Cell::new(None),
            head_since: Cell::new(Some(now)),
            write_since: Cell::new(None),
            idle_since: Cell::new(now),
            streams: Cell::new(0),
            open: Cell::new(0),
        }
    }

    /// What the connection was flooded with.
    pub fn flood(&self) -> Option<&'static str> {
        self.flood.get()
    }

    pub fn head_since(&self) -> Option<Instant> {
        self.head_since.get()
    }

    pub fn write_since(&self) -> Option<Instant> {
        self.write_since.get()
    }

    pub fn streams(&self) -> u64 {
        self.streams.get()
    }

    /// Since when no stream is served; `None` while one is.
    pub fn idle_since(&self) -> Option<Instant> {
        (self.open.get() == 0).then(|| self.idle_since.get())
    }

    pub fn began(&self) {
        self.streams.set(self.streams.get() + 1);
        self.open.set(self.open.get() + 1);
    }

    pub fn ended(&self) {
        self.open.set(self.open.get().saturating_sub(1));
        self.idle_since.set(Instant::now());
    }

    /// An answer, or a piece of a body: the client's frames were not sent for nothing.
    pub fn carried(&self) {
        self.budget.borrow_mut().carried();
    }
}

/// Where in a frame the next byte belongs.
#[derive(Debug)]
enum State {
    Preface(usize),
    Head { bytes: [u8; HEAD_BYTES], known: usize },
    Payload(usize),
}

const NEXT: State = State::Head { bytes: [0; HEAD_BYTES], known: 0 };

#[derive(Debug)]
pub struct Frames<S> {
    io: S,
    /// Read before this was made.
    begun: Vec<u8>,
    state: State,
    /// The frame whose payload is awaited completes a header block.
    ends_headers: bool,
    pulse: Rc<Pulse>,
}

impl<S> Frames<S> {
    pub const fn new(io: S, begun: Vec<u8>, pulse: Rc<Pulse>) -> Self {
        Self { io, begun, state: State::Preface(PREFACE_BYTES), ends_headers: true, pulse }
    }

    fn see(&mut self, mut bytes: &[u8]) {
        let now = Instant::now();
        self.pulse.budget.borrow_mut().moved(bytes.len() / 2);
        while !bytes.is_empty() {
            match &mut self.state {
                State::Preface(left) | State::Payload(left) => {
                    let (_, rest) = bytes.split_at(bytes.len().min(*left));
                    *left -= bytes.len() - rest.len();
                    bytes = rest;
                    if *left == 0 {
                        self.frame_ended();
                    }
                }
                State::Head { bytes: head, known } => {
                    let missing = head.get_mut(*known..).unwrap_or_default();
                    let count = missing.len().min(bytes.len());
                    let (here, rest) = bytes.split_at(count);
                    missing.iter_mut().zip(here).for_each(|(to, from)| *to = *from);
                    *known += count;
                    bytes = rest;
                    if *known == HEAD_BYTES {
                        let head = *head;
                        self.frame(head, now);
                    }
                }
            }
        }
    }

    fn frame(&mut self, head: [u8; HEAD_BYTES], now: Instant) {
        let [high, middle, low, kind, flags, ..] = head;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if let Some(what) = burden(kind, flags, length)
            && !self.pulse.budget.borrow_mut().spend(now)
        {
            self.pulse.flood.set(Some(what));
        }
        if kind == DATA && length > 0 {
            self.pulse.carried();
        }
        self.ends_headers = match kind {
            HEADERS | CONTINUATION => flags & END_HEADERS != 0,
            _ => true,
        };
        if matches!(kind, HEADERS | CONTINUATION) && self.pulse.head_since.get().is_none() {
            self.pulse.head_since.set(Some(now));
        }
        self.state = State::Payload(length);
        if length == 0 {
            self.frame_ended();
        }
    }

    fn frame_ended(&mut self) {
        let was_preface = matches!(self.state, State::Preface(_));
        if self.ends_headers && !was_preface {
            self.pulse.head_since.set(None);
        }
        self.state = NEXT;
    }
}

/// What a frame is called when it asks for work and brings nothing.
const fn burden(kind: u8, flags: u8, length: usize) -> Option<&'static str> {
    match kind {
        DATA if length == 0 && flags & END_STREAM == 0 => Some("empty DATA"),
        DATA | HEADERS => None,
        0x2 => Some("PRIORITY"),
        0x3 => Some("RST_STREAM"),
        0x4 => Some("SETTINGS"),
        0x6 => Some("PING"),
        0x8 => Some("WINDOW_UPDATE"),
        CONTINUATION => Some("CONTINUATION"),
        _ => Some("unknown frames"),
    }
}

fn flooded() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "too many frames that carry nothing")
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        if this.begun.is_empty() {
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        } else {
            let count = this.begun.len().min(buf.remaining());
            buf.put_slice(this.begun.get(..count).unwrap_or_default());
            this.begun.drain(..count);
        }
        this.see(buf.filled().get(before..).unwrap_or_default());
        if this.pulse.flood().is_some() {
            return Poll::Ready(Err(flooded()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> Frames<S> {
    fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(count)) => {
                self.pulse.write_since.set(None);
                self.pulse.budget.borrow_mut().moved(*count);
            }
            Poll::Ready(Err(_)) => self.pulse.write_since.set(None),
            Poll::Pending if self.pulse.write_since.get().is_none() => {
                self.pulse.write_since.set(Some(Instant::now()));
            }
            Poll::Pending => (),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
