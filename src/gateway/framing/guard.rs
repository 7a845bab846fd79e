//! The byte stream under the server: what [`Framing`] accepts passes, without a copy when a read brings
//! whole units.

use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use smallvec::SmallVec;
use tidegate_turn::Outlet;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::{Framing, HeadLimits, Violation, Watch};
use crate::gateway::socket::Socket;

/// How long, and for how many bytes, a closed connection is read on, so that the client gets to
/// see the last response instead of a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;
const HELD_READ: usize = 4 * 1024;
/// How much is held behind a request for an upgrade until its answer is there.
const HELD_UNDECIDED: usize = 64 * 1024;
/// Responses up to this size, head and body, are written in one piece.
const SMALL: usize = 1024;
/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug)]
pub struct Guard<S> {
    // Before the stream: whoever sees its end sees the exchanges over.
    _last: Closes,
    io: S,
    framing: Framing,
    watch: Rc<Watch>,
    /// Bytes read but not handed on: `ready` of them may pass, the rest is an incomplete unit.
    held: Vec<u8>,
    ready: usize,
    at_end: bool,
    /// The first bytes are still awaited, and may be the preface of HTTP/2.
    opening: bool,
    closing: Closing,
}

/// Lets go of the exchanges whose responses were written.
#[derive(Debug)]
struct Closes(Rc<Watch>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.closes();
    }
}

#[derive(Debug)]
enum Closing {
    LastWords(usize),
    Shutdown,
    Linger { until: Pin<Box<Sleep>>, left: usize },
    Done,
}

impl<S> Guard<S> {
    pub fn new(io: S, limits: HeadLimits, watch: Rc<Watch>) -> Self {
        Self {
            _last: Closes(Rc::clone(&watch)),
            io,
            framing: Framing::new(limits),
            watch,
            held: Vec::new(),
            ready: 0,
            at_end: false,
            opening: false,
            closing: Closing::LastWords(0),
        }
    }

    /// A connection that begins with the preface of HTTP/2 is held there: nothing of it passes.
    #[must_use]
    pub fn or_http2(mut self) -> Self {
        self.opening = true;
        self
    }

    /// Whether the first bytes are the preface of HTTP/2, as far as they go.
    fn may_be_http2(opening: &mut bool, watch: &Watch, bytes: &[u8]) -> bool {
        let length = bytes.len().min(PREFACE.len());
        *opening = bytes.get(..length) == PREFACE.get(..length);
        if *opening && length == PREFACE.len() {
            watch.http2.set(true);
        } else if *opening && watch.head_since.get().is_none() {
            watch.head_since.set(Some(Instant::now()));
        }
        *opening
    }

    /// The byte stream as it is, and what was read of it but not handed on.
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.io, self.held)
    }

    /// Whether what follows is, or may become, a tunnel's. Once it is known to be none, it is read
    /// as the next request.
    fn must_hold(&mut self) -> bool {
        if !self.framing.is_undecided() {
            return false;
        }
        if self.watch.has_switched() {
            return true;
        }
        if self.watch.all_answered() {
            self.framing.refuse_upgrade();
            self.ready = Self::judge(&mut self.framing, &self.watch, &self.held);
            return false;
        }
        self.held.len() >= HELD_UNDECIDED
    }

    /// Notes what the newest bytes meant; returns how many of them may pass.
    fn judge(framing: &mut Framing, watch: &Watch, bytes: &[u8]) -> usize {
        let passed = match framing.accept(bytes) {
            Ok(passed) => passed,
            Err((passed, violation)) => {
                watch.violated(violation);
                passed
            }
        };
        watch.came(passed);
        watch.passed_heads(framing.heads());
        if watch.violation().is_some() || !framing.is_in_partial_head() {
            watch.head_since.set(None);
        } else if watch.head_since.get().is_none() {
            watch.head_since.set(Some(Instant::now()));
        }
        passed
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.ready.min(buf.remaining());
        buf.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.drain(..count);
        self.ready -= count;
    }

    fn refused(&self) -> Option<Poll<io::Result<()>>> {
        if self.watch.is_http2() {
            // The connection's task takes it from here.
            return Some(Poll::Pending);
        }
        let violation = self.watch.violation()?;
        if violation.is_in_body() {
            return Some(Poll::Ready(Err(broken_body(violation))));
        }
        // The connection's task sees the violation, lets the requests before it finish and ends
        // the connection; until then there is nothing more to read.
        Some(Poll::Pending)
    }
}

fn broken_body(violation: Violation) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, violation.detail())
}

fn access_ended() -> io::Error {
    io::Error::other("the access has ended")
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Reads what nothing is held of straight into the server's buffer.
    fn poll_fresh(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            self.at_end = true;
            return Poll::Ready(Ok(true));
        }
        if self.opening && Self::may_be_http2(&mut self.opening, &self.watch, fresh) {
            self.held.extend_from_slice(fresh);
            buf.set_filled(before);
            return Poll::Ready(Ok(false));
        }
        let passed = Self::judge(&mut self.framing, &self.watch, fresh);
        if self.watch.violation().is_none() {
            self.held.extend_from_slice(fresh.get(passed..).unwrap_or_default());
        }
        buf.set_filled(before + passed);
        Poll::Ready(Ok(passed > 0))
    }

    /// Reads more of a unit whose beginning is held.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.held.len();
        self.held.resize(before + HELD_READ, 0);
        let mut buf = ReadBuf::new(self.held.get_mut(before..).unwrap_or_default());
        let polled = Pin::new(&mut self.io).poll_read(cx, &mut buf);
        let count = buf.filled().len();
        self.held.truncate(before + count);
        ready!(polled)?;
        self.at_end = count == 0;
        if self.opening && Self::may_be_http2(&mut self.opening, &self.watch, &self.held) {
            return Poll::Ready(Ok(()));
        }
        self.ready = Self::judge(&mut self.framing, &self.watch, &self.held);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.must_hold() {
                this.watch.wake_with_the_answer(cx.waker());
                return Poll::Pending;
            }
            if this.ready > 0 {
                this.hand_on(buf);
                return Poll::Ready(Ok(()));
            }
            if let Some(refused) = this.refused() {
                return refused;
            }
            if this.at_end {
                return Poll::Ready(Ok(()));
            }
            let polled = if this.held.is_empty() {
                this.poll_fresh(cx, buf)
            } else {
                this.poll_held(cx).map_ok(|()| false)
            };
            match polled {
                Poll::Ready(Ok(true)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(false)) => (),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if this.framing.is_undecided() {
                        this.watch.wake_with_the_answer(cx.waker());
                    } else if !this.framing.is_in_head() && this.watch.body_since.get().is_none() {
                        this.watch.body_since.set(Some(Instant::now()));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.may_write()?;
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.note_write(&polled, cx);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = bytes.iter().map(|part| part.len()).sum::<usize>();
        if total <= SMALL {
            // Cheaper copied together than handed to the system in pieces.
            let mut whole = SmallVec::<[u8; SMALL]>::new();
            for part in bytes {
                whole.extend_from_slice(part);
            }
            return self.poll_write(cx, &whole);
        }
        self.may_write()?;
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.note_write(&polled, cx);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.watch.must_not_flush() {
            return Poll::Ready(Err(access_ended()));
        }
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        match polled {
            Poll::Ready(Ok(())) => self.watch.flushed(),
            Poll::Ready(Err(_)) => (),
            Poll::Pending => self.watch.wake_at_the_cut(cx.waker()),
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_close(cx)
    }
}

impl<S> Guard<S> {
    /// # Errors
    /// Something that is still to be written may not be any more.
    fn may_write(&self) -> io::Result<()> {
        if self.watch.must_not_write() {
            return Err(access_ended());
        }
        Ok(())
    }

    fn note_write(&self, polled: &Poll<io::Result<usize>>, cx: &Context<'_>) {
        match polled {
            Poll::Pending => {
                self.watch.waits_to_write();
                self.watch.wake_at_the_cut(cx.waker());
            }
            Poll::Ready(written) => self.watch.wrote(*written.as_ref().unwrap_or(&0)),
        }
    }
}

/// What goes with the other writes of a turn is written as good as at once: nobody waits for the client.
impl<S: Socket> Outlet for Guard<S> {
    fn socket(&self) -> io::Result<Option<BorrowedFd<'_>>> {
        self.may_write()?;
        Ok(self.io.socket())
    }

    fn wrote(&mut self, bytes: usize) {
        self.watch.wrote(bytes);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// Says the last words, sends FIN, and reads on for a moment.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.closing = match &mut self.closing {
                Closing::LastWords(written) => {
                    let words = self.watch.last_words.borrow();
                    let rest = words.get(*written..).unwrap_or_default();
                    if rest.is_empty() {
                        Closing::Shutdown
                    } else {
                        match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                            0 => Closing::Shutdown,
                            count => Closing::LastWords(*written + count),
                        }
                    }
                }
                Closing::Shutdown => {
                    ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
                    if self.at_end {
                        Closing::Done
                    } else {
                        let until = Box::pin(tokio::time::sleep(LINGER));
                        Closing::Linger { until, left: LINGER_BYTES }
                    }
                }
                Closing::Linger { until, left } => {
                    if until.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    let mut scratch = [0; 4096];
                    let mut buf = ReadBuf::new(&mut scratch);
                    ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
                    *left = left.saturating_sub(buf.filled().len());
                    if *left > 0 && !buf.filled().is_empty() {
                        continue;
                    }
                    Closing::Done
                }
                Closing::Done => return Poll::Ready(Ok(())),
            };
        }
    }
}
