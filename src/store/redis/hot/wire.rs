//! One open connection: writes batches, takes replies, watches the time.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::super::StoreFault;
use super::super::Shared;
use super::super::connect::Stream;
use super::codec::{Broken, measure};
use super::link::Link;
use super::session::Session;
use super::vitals;

/// A server that owes replies and says nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(1);
const READ_AT_ONCE: usize = 32 << 10;

pub struct Wire<'a> {
    link: &'a Link,
    session: Session<'a>,
    stream: Stream,
    inbound: BytesMut,
    outbound: Vec<u8>,
    written: usize,
    unflushed: bool,
    /// Since when the server owes replies and has sent nothing.
    silent_since: Option<Instant>,
    next_round: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<'a> Wire<'a> {
    /// On a stream on which nothing was said yet.
    pub fn new(link: &'a Link, shared: &'a Shared, stream: Stream) -> Self {
        let now = Instant::now();
        Self {
            link,
            session: Session::new(link, shared),
            stream,
            inbound: BytesMut::with_capacity(READ_AT_ONCE),
            outbound: Vec::new(),
            written: 0,
            unflushed: false,
            silent_since: None,
            next_round: now + vitals::EVERY,
            timer: Box::pin(sleep_until(now)),
        }
    }

    /// Until the connection cannot be used any more: why, and since when it had served.
    pub async fn serve(mut self) -> (StoreFault, Option<Instant>) {
        self.session.begin();
        let fault = poll_fn(|context| match self.poll(context) {
            Ok(()) => Poll::Pending,
            Err(fault) => Poll::Ready(fault),
        });
        let fault = fault.await;
        (fault, self.session.served_since())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Result<(), StoreFault> {
        self.link.queue.borrow_mut().is_polled_by(context.waker());
        while let Poll::Ready(read) = self.poll_read(context) {
            read?;
        }
        let now = Instant::now();
        self.mind_the_time(now)?;
        if let Poll::Ready(written) = self.poll_write(context) {
            written?;
        }
        self.arm(now, context);
        Ok(())
    }

    /// Reads what is there and passes on every whole reply.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StoreFault>> {
        if self.inbound.capacity() - self.inbound.len() < READ_AT_ONCE / 4 {
            self.inbound.reserve(READ_AT_ONCE);
        }
        let read = {
            let reading = pin!(self.stream.read_buf(&mut self.inbound));
            ready!(reading.poll(context))
        };
        match read {
            Ok(0) => return Poll::Ready(Err(gone("the server closed the connection"))),
            Ok(_) => self.silent_since = None,
            Err(error) => return Poll::Ready(Err(broke(&error))),
        }
        let now = Instant::now();
        loop {
            let length = match measure(&self.inbound) {
                Ok(Some(length)) => length,
                Ok(None) => return Poll::Ready(Ok(())),
                Err(Broken) => return Poll::Ready(Err(gone("not a reply"))),
            };
            let reply = self.inbound.split_to(length).freeze();
            if let Err(fault) = self.session.take(reply, now) {
                return Poll::Ready(Err(fault));
            }
        }
    }

    /// Fails what is late, gives up a silent server, and asks about its health.
    fn mind_the_time(&mut self, now: Instant) -> Result<(), StoreFault> {
        let (due, idle) = {
            let queue = self.link.queue.borrow();
            (queue.due(), queue.is_idle())
        };
        if due.is_some_and(|due| due <= now) {
            self.link.expire(now);
        }
        self.silent_since = if idle { None } else { self.silent_since.or(Some(now)) };
        if self.silent_since.is_some_and(|since| since + SILENCE <= now) {
            return Err(gone("the server is silent"));
        }
        if self.next_round <= now {
            self.session.ask_for_health();
            self.next_round = now + vitals::EVERY;
        }
        Ok(())
    }

    /// Writes batch after batch, each at once as far as the stream takes it.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StoreFault>> {
        loop {
            if self.written == self.outbound.len() {
                self.written = 0;
                self.outbound.clear();
                self.link.queue.borrow_mut().take_batch(&mut self.outbound);
                if self.outbound.is_empty() {
                    break;
                }
            }
            let rest = self.outbound.get(self.written..).unwrap_or_default();
            match ready!(Pin::new(&mut *self.stream).poll_write(context, rest)) {
                Ok(0) => return Poll::Ready(Err(gone("the server takes nothing any more"))),
                Ok(count) => (self.written, self.unflushed) = (self.written + count, true),
                Err(error) => return Poll::Ready(Err(broke(&error))),
            }
        }
        if self.unflushed {
            let flushed = ready!(Pin::new(&mut *self.stream).poll_flush(context));
            if let Err(error) = flushed {
                return Poll::Ready(Err(broke(&error)));
            }
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// One timer for everything. It is moved only to be earlier or after it fired, so that a read
    /// costs no registration.
    fn arm(&mut self, now: Instant, context: &mut Context<'_>) {
        let silent = self.silent_since.map(|since| since + SILENCE);
        let due = self.link.queue.borrow().due();
        let moments = [Some(self.next_round), silent, due];
        let wanted = moments.into_iter().flatten().min().unwrap_or(self.next_round);
        if wanted < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(wanted.max(now + Duration::from_millis(1)));
        }
        while self.timer.as_mut().poll(context).is_ready() {
            self.timer.as_mut().reset(wanted.max(Instant::now() + Duration::from_millis(1)));
        }
    }
}

fn gone(why: &str) -> StoreFault {
    StoreFault::Unreachable(why.into())
}

fn broke(error: &std::io::Error) -> StoreFault {
    StoreFault::Unreachable(format!("the connection broke: {}", error.kind()))
}
