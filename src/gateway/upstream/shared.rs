//! Connections of HTTP/2, each shared by many exchanges of one core.

use std::cell::Cell;
use std::rc::Rc;

use hyper::client::conn::http2::SendRequest;
use tokio::time::Instant;

use crate::gateway::body::ClientBody;

use super::names::Reached;

/// Streams at once on one connection, if the backend allows as many.
pub const MOST_STREAMS: u32 = 100;

/// A connection.
#[derive(Debug)]
pub struct Shared {
    sender: SendRequest<ClientBody>,
    streams: Cell<usize>,
    /// As many streams as the backend allows at once (RFC 9113, section 6.5.2).
    allowed: Rc<Cell<usize>>,
    /// Nothing new begins on it.
    retired: Cell<bool>,
    idle_since: Cell<Instant>,
    pub reached: Reached,
}

/// One stream of a connection.
#[derive(Debug)]
pub struct Stream {
    sender: SendRequest<ClientBody>,
    connection: Rc<Shared>,
}

impl Shared {
    pub fn new(
        sender: SendRequest<ClientBody>,
        allowed: Rc<Cell<usize>>,
        reached: Reached,
    ) -> Rc<Self> {
        Rc::new(Self {
            sender,
            streams: Cell::new(0),
            allowed,
            retired: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
            reached,
        })
    }

    /// Whether a request may begin on it. It is closed for new ones once the backend said GOAWAY.
    pub fn is_open(&self) -> bool {
        !self.retired.get() && !self.sender.is_closed()
    }

    pub fn streams(&self) -> usize {
        self.streams.get()
    }

    pub fn has_room(&self) -> bool {
        self.streams.get() < self.allowed.get().clamp(1, MOST_STREAMS as usize)
    }

    /// Since when no stream is open on it.
    pub fn idle_since(&self) -> Option<Instant> {
        (self.streams.get() == 0).then(|| self.idle_since.get())
    }

    pub fn begin(self: &Rc<Self>) -> Stream {
        self.streams.set(self.streams.get() + 1);
        Stream { sender: self.sender.clone(), connection: Rc::clone(self) }
    }
}

impl Stream {
    pub(super) fn sender(&mut self) -> &mut SendRequest<ClientBody> {
        &mut self.sender
    }

    /// Other streams go on, but no new one begins on the connection.
    pub(super) fn retire(&self) {
        self.connection.retired.set(true);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let left = self.connection.streams.get().saturating_sub(1);
        self.connection.streams.set(left);
        if left == 0 {
            self.connection.idle_since.set(Instant::now());
        }
    }
}
