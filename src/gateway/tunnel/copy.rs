//! One direction of a tunnel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::close::Close;
use super::frames::{Frames, Malformed};

/// What one direction holds at most. Nothing more is read before it is written.
const BUFFER: usize = 16 * 1024;

/// Bytes on their way from one side to the other.
#[derive(Debug)]
pub struct Direction {
    buffer: Vec<u8>,
    /// What is read: up to `start` written, up to `ready` good to go, up to `end` the beginning of a
    /// header that is not whole.
    start: usize,
    ready: usize,
    end: usize,
    /// As far as it was read, and as far as it was written.
    seen: Frames,
    sent: Frames,
    flow: Flow,
    masked: bool,
    unflushed: bool,
    /// When the last bytes came.
    pub moved_at: Instant,
    /// Since when the other side takes nothing.
    pub stalled_since: Option<Instant>,
    /// Written.
    pub bytes: u64,
}

#[derive(Debug)]
enum Flow {
    /// Came with the handshake, not looked at yet.
    Early,
    Copying,
    /// The frame that has begun goes on to its end, then this.
    Cutting(Close),
    /// What is in the buffer goes out, then the end. `true`: it was cut.
    Finishing(bool),
    /// What still comes is of no use, but a reset would take the last frame away.
    Discarding,
    Done,
}

/// Why a direction cannot go on.
#[derive(Debug)]
pub enum Broken {
    Io,
    Malformed(Malformed),
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

impl Direction {
    /// `masked`: from a client to a tool. `early` has been read already.
    #[must_use]
    pub fn new(masked: bool, extended: bool, early: Vec<u8>) -> Self {
        let (mut buffer, end) = (early, 0);
        let early = buffer.len();
        buffer.resize(BUFFER.max(early), 0);
        let frames = Frames::new(masked, extended);
        Self {
            buffer,
            start: 0,
            ready: end,
            end: early,
            seen: frames,
            sent: frames,
            flow: Flow::Early,
            masked,
            unflushed: false,
            moved_at: Instant::now(),
            stalled_since: None,
            bytes: 0,
        }
    }

    /// From now on only the frame that has begun is finished, then `close` follows, and the end.
    pub fn cut(&mut self, close: Close) {
        match self.flow {
            Flow::Early | Flow::Copying => self.flow = Flow::Cutting(close),
            // Somebody has closed it; what still comes is waited for as after a Close of ours.
            Flow::Finishing(_) => self.flow = Flow::Finishing(true),
            Flow::Cutting(_) | Flow::Discarding | Flow::Done => (),
        }
    }

    /// Moves what can be moved; ready when there is nothing more to come.
    pub fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let most = self.sendable();
            if most > 0 {
                ready!(self.poll_send(cx, to, most))?;
                continue;
            }
            match self.flow {
                Flow::Early => {
                    self.flow = Flow::Copying;
                    self.look(0, self.seen.unfinished())?;
                }
                Flow::Copying => {
                    if !ready!(self.poll_fill(cx, from, to))? {
                        self.flow = Flow::Finishing(false);
                    }
                }
                Flow::Cutting(close) if self.sent.is_at_boundary() => {
                    self.say(if self.sent.is_closed() { None } else { Some(close) });
                    self.flow = Flow::Finishing(true);
                }
                Flow::Cutting(_) => {
                    if !ready!(self.poll_fill(cx, from, to))? {
                        self.flow = Flow::Finishing(true);
                    }
                }
                Flow::Finishing(cut) => {
                    let Poll::Ready(ended) = Pin::new(&mut *to).poll_shutdown(cx) else {
                        // What was written before waits for the other side.
                        self.stalled_since.get_or_insert_with(Instant::now);
                        return Poll::Pending;
                    };
                    ended?;
                    self.stalled_since = None;
                    self.flow = if cut { Flow::Discarding } else { Flow::Done };
                }
                Flow::Discarding => {
                    if ready!(self.poll_discard(cx, from)) {
                        self.flow = Flow::Done;
                    }
                }
                Flow::Done => return Poll::Ready(Ok(())),
            }
        }
    }

    /// How much of what is there may be written.
    fn sendable(&self) -> usize {
        let there = self.buffer.get(self.start..self.ready).unwrap_or_default();
        match self.flow {
            Flow::Cutting(_) => self.sent.rest_of_frame(there),
            Flow::Early | Flow::Copying | Flow::Finishing(_) => there.len(),
            Flow::Discarding | Flow::Done => 0,
        }
    }

    fn poll_send<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        most: usize,
    ) -> Poll<Result<(), Broken>> {
        let bytes = self.buffer.get(self.start..self.start + most).unwrap_or_default();
        let Poll::Ready(written) = Pin::new(to).poll_write(cx, bytes) else {
            self.stalled_since.get_or_insert_with(Instant::now);
            return Poll::Pending;
        };
        let written = written?;
        if written == 0 {
            return Poll::Ready(Err(Broken::Io));
        }
        let bytes = bytes.get(..written).unwrap_or_default();
        self.sent.accept(bytes).map_err(|(_, why)| Broken::Malformed(why))?;
        self.start += written;
        self.bytes += written as u64;
        self.stalled_since = None;
        self.unflushed = true;
        Poll::Ready(Ok(()))
    }

    /// Reads and looks at it; `false` at the end.
    fn poll_fill<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
    ) -> Poll<Result<bool, Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        self.buffer.copy_within(self.ready..self.end, 0);
        let held = self.end - self.ready;
        (self.start, self.ready, self.end) = (0, 0, held);
        let mut room = ReadBuf::new(self.buffer.get_mut(held..).unwrap_or_default());
        if Pin::new(from).poll_read(cx, &mut room)?.is_pending() {
            // Nothing more for now: what was written must not wait in a buffer below.
            if self.unflushed {
                ready!(Pin::new(to).poll_flush(cx))?;
                self.unflushed = false;
            }
            return Poll::Pending;
        }
        let count = room.filled().len();
        if count == 0 {
            return Poll::Ready(Ok(false));
        }
        self.end += count;
        self.moved_at = Instant::now();
        self.look(held, held)?;
        Poll::Ready(Ok(true))
    }

    /// Looks at what is new from `at` on, behind `held` bytes of a header.
    fn look(&mut self, at: usize, held: usize) -> Result<(), Broken> {
        match self.seen.accept(self.buffer.get(at..self.end).unwrap_or_default()) {
            Ok(()) => self.ready = self.end - self.seen.unfinished(),
            Err((good, why)) => {
                self.ready = if good == 0 { at - held } else { at + good };
                self.end = self.ready;
                return Err(Broken::Malformed(why));
            }
        }
        Ok(())
    }

    /// Drops what has not been written, in favour of a last frame.
    fn say(&mut self, close: Option<Close>) {
        let frame = close.map(|close| close.frame(self.masked)).unwrap_or_default();
        (self.start, self.ready, self.end) = (0, frame.len(), frame.len());
        if let Some(room) = self.buffer.get_mut(..frame.len()) {
            room.copy_from_slice(&frame);
        }
    }

    /// Whether nothing more comes.
    fn poll_discard<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
    ) -> Poll<bool> {
        let mut room = ReadBuf::new(&mut self.buffer);
        let read = ready!(Pin::new(from).poll_read(cx, &mut room));
        Poll::Ready(read.is_err() || room.filled().is_empty())
    }
}
