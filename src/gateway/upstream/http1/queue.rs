//! What is still to be written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Small pieces are gathered up to this size, so that a head and a small body are one write.
const GATHERED: usize = 16 * 1024;
/// A piece of this size is written from where it is.
const LARGE: usize = 8 * 1024;
/// Room that is kept for the next request.
const KEPT: usize = 16 * 1024;

/// What is still to be written: gathered bytes, then one large piece, then what ends it.
#[derive(Debug, Default)]
pub struct Queue {
    gathered: Vec<u8>,
    /// How much of it is written.
    at: usize,
    piece: Bytes,
    tail: &'static [u8],
    /// Bytes written since the beginning of the request.
    written: u64,
}

impl Queue {
    /// An empty one with the room of this one, in which nothing has been written.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        if self.gathered.capacity() > KEPT {
            self.gathered = Vec::new();
        }
        self.gathered.clear();
        (self.at, self.piece, self.tail, self.written) = (0, Bytes::new(), b"", 0);
        &mut self.gathered
    }

    pub const fn written(&self) -> u64 {
        self.written
    }

    pub fn is_empty(&self) -> bool {
        self.at == self.gathered.len() && self.piece.is_empty() && self.tail.is_empty()
    }

    /// Nothing more may be added before it was written.
    pub fn is_full(&self) -> bool {
        !self.piece.is_empty() || !self.tail.is_empty() || self.gathered.len() >= GATHERED
    }

    /// To be used while it is not full.
    pub fn gather(&mut self) -> &mut Vec<u8> {
        &mut self.gathered
    }

    /// Adds a piece, and what ends it. To be used while it is not full.
    pub fn add(&mut self, piece: Bytes, tail: &'static [u8]) {
        if piece.len() < LARGE {
            self.gathered.extend_from_slice(&piece);
            self.gathered.extend_from_slice(tail);
        } else {
            (self.piece, self.tail) = (piece, tail);
        }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_write<W: AsyncWrite>(
        &mut self,
        mut to: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let count = ready!(self.poll_some(to.as_mut(), cx))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.took(count);
        }
        to.poll_flush(cx)
    }

    fn poll_some<W: AsyncWrite>(
        &self,
        to: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let gathered = self.gathered.get(self.at..).unwrap_or_default();
        let parts = [gathered, &self.piece, self.tail];
        let mut there = parts.iter().filter(|part| !part.is_empty());
        match (there.next(), there.next()) {
            (Some(first), Some(_)) if !to.is_write_vectored() => to.poll_write(cx, first),
            (Some(_), Some(_)) => to.poll_write_vectored(cx, &parts.map(IoSlice::new)),
            (first, _) => to.poll_write(cx, first.copied().unwrap_or_default()),
        }
    }

    fn took(&mut self, count: usize) {
        self.written += count as u64;
        let mut left = count;
        let of_gathered = left.min(self.gathered.len() - self.at);
        self.at += of_gathered;
        left -= of_gathered;
        if self.at == self.gathered.len() {
            self.gathered.clear();
            self.at = 0;
        }
        let of_piece = left.min(self.piece.len());
        self.piece.advance(of_piece);
        left -= of_piece;
        self.tail = self.tail.get(left..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// Takes at most so many bytes at once, and notes how many each time.
    struct Tool {
        most: usize,
        got: Vec<u8>,
        writes: Vec<usize>,
    }

    impl AsyncWrite for Tool {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            let count = all.len().min(self.most);
            self.got.extend_from_slice(&all[..count]);
            self.writes.push(count);
            Poll::Ready(Ok(count))
        }

        fn is_write_vectored(&self) -> bool {
            self.most.is_multiple_of(2)
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn written(piece: &Bytes, most: usize) -> Tool {
        let mut tool = Tool { most, got: Vec::new(), writes: Vec::new() };
        let mut queue = Queue::default();
        queue.begin().extend_from_slice(b"head ");
        queue.add(piece.clone(), b" tail");
        poll_fn(|cx| queue.poll_write(Pin::new(&mut tool), cx)).await.expect("written");
        assert!(queue.is_empty() && !queue.is_full());
        assert_eq!(queue.written(), tool.got.len() as u64);
        assert_eq!(tool.got, [b"head ", &piece[..], b" tail"].concat());
        tool
    }

    #[tokio::test]
    async fn a_head_and_its_body_are_one_write() {
        for length in [0, 1, LARGE - 1, LARGE, 1 << 20] {
            let tool = written(&Bytes::from(vec![b'x'; length]), usize::MAX - 1).await;
            assert_eq!(tool.writes, [length + 10]);
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_whatever_is_taken_at_once() {
        let piece: Bytes = (0..LARGE).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
        for most in [1, 2, 3, 4, 5, 6, 7, 8190, 8191, 8196, 8197, 8198, 8201, 8202, 8203] {
            written(&piece, most).await;
        }
    }
}
