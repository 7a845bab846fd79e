//! Bytes from a tool, bounded until the head of its response has come: hyper reads interim responses
//! (RFC 9110, section 15.2) for as long as they come, and hands none of them on. And bytes to a tool
//! that takes none, bounded once its response is over: nobody else waits for them then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Much more than a head and what may already have been read behind it.
const UNTIL_HEAD: usize = 4 << 20;

/// How much may still come.
#[derive(Clone, Debug)]
pub struct Room(Arc<Bounds>);

#[derive(Debug)]
struct Bounds {
    left: AtomicUsize,
    /// No exchange is on the connection, and none will be.
    is_over: AtomicBool,
}

/// A stream under a bound.
pub struct Bounded<S> {
    inner: S,
    room: Room,
    /// How long the tool may take nothing once no exchange is left.
    patience: Duration,
    stalled_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Room {
    pub fn new() -> Self {
        let (left, is_over) = (AtomicUsize::new(UNTIL_HEAD), AtomicBool::new(false));
        Self(Arc::new(Bounds { left, is_over }))
    }

    /// A request is sent.
    pub fn until_head(&self) {
        self.0.left.store(UNTIL_HEAD, Ordering::Relaxed);
    }

    /// Its response has begun.
    pub fn without_bound(&self) {
        self.0.left.store(usize::MAX, Ordering::Relaxed);
    }

    /// What is still to be written belongs to an exchange whose response is over.
    pub fn is_over(&self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }

    fn take(&self, count: usize) -> io::Result<()> {
        let left = self.0.left.load(Ordering::Relaxed);
        if left == usize::MAX {
            return Ok(());
        }
        let Some(left) = left.checked_sub(count) else {
            return Err(io::Error::other("too much came before the head of a response"));
        };
        self.0.left.store(left, Ordering::Relaxed);
        Ok(())
    }
}

impl<S> Bounded<S> {
    pub fn new(inner: S, room: Room, patience: Duration) -> Self {
        Self { inner, room, patience, stalled_since: None, timer: None }
    }

    /// What became of a write, or that it was waited for too long.
    fn waited<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled_since = None;
            return written;
        }
        ready!(self.poll_stalled(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Ready when nothing was taken for too long of what nobody waits for.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut end = *self.stalled_since.get_or_insert_with(Instant::now) + self.patience;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if end <= now {
                if self.room.0.is_over.load(Ordering::Relaxed) {
                    return Poll::Ready(());
                }
                end = now + self.patience;
            }
            timer.as_mut().reset(end);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = read {
            return Poll::Ready(self.room.take(buf.filled().len() - before));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.waited(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.waited(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.waited(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
