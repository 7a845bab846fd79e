//! Connections of HTTP/2, each shared by many exchanges of one core.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use hyper::client::conn::http2::SendRequest;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::gateway::body::{ClientBody, Progress};

use super::names::Reached;

/// Streams at once on one connection, if the backend allows as many.
pub const MOST_STREAMS: u32 = 100;

/// However short a tool's time-out is, uploads are not looked at more often.
const SHORTEST: Duration = Duration::from_millis(10);

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
    /// What reads and writes its bytes.
    driver: Option<AbortHandle>,
    pub reached: Reached,
}

/// One stream of a connection.
#[derive(Debug)]
pub struct Stream {
    sender: SendRequest<ClientBody>,
    connection: Rc<Shared>,
    /// Gone when the exchange is over.
    is_open: Rc<()>,
}

impl Shared {
    pub fn new(
        sender: SendRequest<ClientBody>,
        allowed: Rc<Cell<usize>>,
        driver: Option<AbortHandle>,
        reached: Reached,
    ) -> Rc<Self> {
        Rc::new(Self {
            sender,
            streams: Cell::new(0),
            allowed,
            retired: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
            driver,
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

    /// Once an exchange is over, an upload of it that does not move for `patience` ends the connection,
    /// which may have no window left for others: nothing more begins on it, and when all other
    /// exchanges are over it is closed.
    async fn after_upload(
        self: Rc<Self>,
        open: Weak<()>,
        upload: Weak<Progress>,
        patience: Duration,
    ) {
        let mut since = Instant::now();
        loop {
            sleep(patience).await;
            let Some(upload) = upload.upgrade().filter(|it| !it.ended.get()) else { return };
            // Its client is waited for, and has a deadline of its own.
            if open.strong_count() > 0 || upload.awaits_client.get() {
                since = Instant::now();
            } else if upload.moved_at.get().max(since).elapsed() >= patience {
                break;
            }
        }
        self.retired.set(true);
        while self.streams.get() > 0 {
            sleep(patience).await;
        }
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }

    pub fn begin(self: &Rc<Self>) -> Stream {
        self.streams.set(self.streams.get() + 1);
        let (sender, connection) = (self.sender.clone(), Rc::clone(self));
        Stream { sender, connection, is_open: Rc::default() }
    }
}

impl Stream {
    /// Bounds what is left of a request whose answer has begun. hyper sends it on its own, and looks
    /// at nothing else while the backend takes none of it.
    pub(super) fn bounds_upload(&self, upload: &Rc<Progress>, patience: Duration) {
        let connection = Rc::clone(&self.connection);
        let (open, upload) = (Rc::downgrade(&self.is_open), Rc::downgrade(upload));
        tokio::task::spawn_local(connection.after_upload(open, upload, patience.max(SHORTEST)));
    }

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
