//! A response on its way to the client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    HOST, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::response::{Framing, Unsendable, add_number};
use super::server::Broken;
use super::spare;
use crate::gateway::body::Cut;
use crate::gateway::upstream::{Queue, add_field};

/// What a receiver could take for a part of the head is no trailer (RFC 9110, section 6.5.1).
const OF_HEADS: [HeaderName; 12] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HOST,
    MAX_FORWARDS,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
];

/// A response on its way to the client.
#[derive(Debug)]
pub struct Download<B> {
    queue: Queue,
    framing: Framing,
    /// `None`: only what is in the queue is left.
    body: Option<B>,
    /// A write is under way.
    waits: bool,
}

impl<B> Default for Download<B> {
    fn default() -> Self {
        Self { queue: Queue::default(), framing: Framing::default(), body: None, waits: false }
    }
}

impl<B> Download<B> {
    /// Where a head is written to. To be used while there is no body.
    pub fn head(&mut self) -> &mut Vec<u8> {
        let out = self.queue.gather();
        if out.capacity() == 0 {
            *out = spare::room();
        }
        out
    }

    /// The body behind the head.
    pub fn begin(&mut self, framing: Framing, body: B) {
        self.body = Some(body).filter(|_| framing != Framing::Nothing);
        self.framing = framing;
    }

    /// Whether everything was sent.
    pub fn is_over(&self) -> bool {
        self.body.is_none() && self.queue.is_empty()
    }

    #[cfg(test)]
    pub fn held(&mut self) -> usize {
        self.queue.gather().capacity()
    }

    /// Nothing is to be sent for now.
    pub fn lend(&mut self) {
        if self.is_over() {
            spare::keep_room(std::mem::take(self.queue.gather()));
        }
    }
}

impl<B: Body<Data = Bytes, Error = Cut> + Unpin> Download<B> {
    /// Ready when all of it was sent.
    ///
    /// # Errors
    /// The connection broke, or the body did.
    pub fn poll<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        if self.waits {
            // Before the body is asked for more: what ends it may depend on what was sent.
            let _later = self.poll_write(to, cx)?;
        }
        loop {
            let waits = self.poll_gather(cx)?.is_pending();
            // Also when nothing is there: whoever follows the writes learns that the body is gone.
            ready!(self.poll_write(to, cx))?;
            if self.body.is_none() {
                return Poll::Ready(Ok(()));
            }
            if waits {
                return Poll::Pending;
            }
        }
    }

    fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = self.queue.poll_write(Pin::new(to), cx);
        self.waits = polled.is_pending();
        polled
    }

    /// Ready when no more can be gathered before it was written.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while let Some(body) = &mut self.body
            && !self.queue.is_full()
        {
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            // The end goes out with the last piece.
            let is_last = body.is_end_stream();
            match frame {
                Some(Ok(frame)) => self.take(frame, is_last)?,
                Some(Err(cut)) => return Poll::Ready(Err(cut.into())),
                None => self.end(&HeaderMap::new())?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, frame: Frame<Bytes>, is_last: bool) -> Result<(), Unsendable> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return self.end(&frame.into_trailers().unwrap_or_default()),
        };
        if data.is_empty() {
            return if is_last { self.end(&HeaderMap::new()) } else { Ok(()) };
        }
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Unsendable)?;
                self.queue.add(data, b"");
            }
            Framing::Chunked(_) => {
                let out = self.queue.gather();
                add_number::<16>(out, data.len() as u64);
                out.extend_from_slice(b"\r\n");
                if is_last {
                    self.queue.add(data, b"\r\n0\r\n\r\n");
                    self.body = None;
                    return Ok(());
                }
                self.queue.add(data, b"\r\n");
            }
            Framing::UntilClose => self.queue.add(data, b""),
            Framing::Nothing => return Err(Unsendable),
        }
        if is_last { self.end(&HeaderMap::new()) } else { Ok(()) }
    }

    fn end(&mut self, trailers: &HeaderMap) -> Result<(), Unsendable> {
        match &self.framing {
            Framing::Nothing | Framing::Length(0) | Framing::UntilClose => (),
            // The client sees that it is not whole.
            Framing::Length(_) => return Err(Unsendable),
            Framing::Chunked(announced) => {
                let out = self.queue.gather();
                out.extend_from_slice(b"0\r\n");
                let passes = |name| announced.contains(name) && !OF_HEADS.contains(name);
                for (name, value) in trailers.iter().filter(|(name, _)| passes(name)) {
                    add_field(out, name, value.as_bytes());
                }
                out.extend_from_slice(b"\r\n");
            }
        }
        self.body = None;
        Ok(())
    }
}
