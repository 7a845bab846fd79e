//! Bytes from a tool, bounded until the head of its response has come: hyper reads interim responses
//! (RFC 9110, section 15.2) for as long as they come, and hands none of them on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Much more than a head and what may already have been read behind it.
const UNTIL_HEAD: usize = 4 << 20;

/// How much may still come.
#[derive(Clone, Debug)]
pub struct Room(Arc<AtomicUsize>);

/// A stream under a bound.
pub struct Bounded<S> {
    inner: S,
    room: Room,
}

impl Room {
    pub fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(UNTIL_HEAD)))
    }

    /// A request is sent.
    pub fn until_head(&self) {
        self.0.store(UNTIL_HEAD, Ordering::Relaxed);
    }

    /// Its response has begun.
    pub fn without_bound(&self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }

    fn take(&self, count: usize) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed);
        if left == usize::MAX {
            return Ok(());
        }
        let Some(left) = left.checked_sub(count) else {
            return Err(io::Error::other("too much came before the head of a response"));
        };
        self.0.store(left, Ordering::Relaxed);
        Ok(())
    }
}

impl<S> Bounded<S> {
    pub fn new(inner: S, room: Room) -> Self {
        Self { inner, room }
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
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
