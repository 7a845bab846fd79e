//! A stream whose small writes wait for the end of the turn.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::turn::{self, Ask, Place, State};

/// What is larger is written at once: it is worth a system call of its own, and no copy.
const LARGE: usize = 16 * 1024;

/// A stream that has a socket of its own.
pub trait Outlet {
    /// The socket, if what is written to the stream now leaves it as it is: the same one as long as there
    /// is the stream. `None`: the stream has to be asked itself.
    ///
    /// # Errors
    /// Nothing may be written.
    fn socket(&self) -> io::Result<Option<BorrowedFd<'_>>>;

    /// So many bytes were written to the socket.
    fn wrote(&mut self, _bytes: usize) {}
}

/// A stream whose small writes wait for the end of the turn, if its thread has turns.
#[derive(Debug)]
pub struct Batched<S> {
    // Before the stream: nothing may wait for a socket that is closed.
    place: Mine,
    pub(crate) io: S,
    quiet: bool,
    way: Way,
}

/// How it is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// What is small waits.
    Waiting,
    /// The socket was full: the stream itself is asked until it has taken something.
    Alone,
    /// Nothing waits, ever again.
    AtOnce,
}

/// Dropped, it takes back what waits.
#[derive(Debug, Default)]
struct Mine(Option<Rc<Place>>);

impl Drop for Mine {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            place.clear();
        }
    }
}

impl<S> Batched<S> {
    pub fn new(io: S) -> Self {
        Self { place: Mine::default(), io, quiet: false, way: Way::Waiting }
    }

    pub const fn get_ref(&self) -> &S {
        &self.io
    }

    /// The stream alone; what waits is not written.
    pub fn into_inner(self) -> S {
        self.io
    }

    /// Whether writers that come have something else to wait for: they are woken only when something was not
    /// taken.
    pub const fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Takes back what waits. Whether nothing of the last write has left, as far as its writer has not been
    /// told.
    pub fn takes_back(&mut self) -> bool {
        match self.state() {
            State::Free | State::Waits(_) => {
                self.place = Mine::default();
                true
            }
            State::Told(result) => result <= 0,
        }
    }

    /// From now on nothing waits, and what does is not written.
    pub fn writes_at_once(&mut self) {
        self.place = Mine::default();
        self.way = Way::AtOnce;
    }

    fn state(&self) -> State {
        self.place.0.as_ref().map_or(State::Free, |place| place.state())
    }

    fn clear(&self) {
        if let Some(place) = &self.place.0 {
            place.clear();
        }
    }
}

impl<S: Outlet> Batched<S> {
    /// What became of the write that was under way, of at most `length` bytes. `None`: there is none.
    fn poll_told(&mut self, cx: &Context<'_>, length: usize) -> Poll<Option<io::Result<usize>>> {
        match self.state() {
            State::Free => Poll::Ready(None),
            State::Waits(_) => {
                if let Some(place) = &self.place.0 {
                    place.waits_by(cx.waker(), self.quiet);
                }
                Poll::Pending
            }
            State::Told(result) => {
                self.clear();
                Poll::Ready(match usize::try_from(result) {
                    Ok(count) if count <= length => {
                        self.io.wrote(count);
                        Some(Ok(count))
                    }
                    // Whoever writes something else now must not take it for written.
                    Ok(_) => Some(Err(io::ErrorKind::InvalidInput.into())),
                    Err(_) if is_again(result) => {
                        self.way = Way::Alone;
                        None
                    }
                    Err(_) => Some(Err(io::Error::from_raw_os_error(-result))),
                })
            }
        }
    }

    /// The stream was asked itself.
    fn asked(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match (self.way, polled.is_pending()) {
            (Way::Waiting, true) => self.way = Way::Alone,
            (Way::Alone, false) => self.way = Way::Waiting,
            (Way::Waiting, false) | (Way::Alone, true) | (Way::AtOnce, _) => (),
        }
        polled
    }

    /// Whether it waits for the end of the turn.
    fn waits(&mut self, parts: &[IoSlice<'_>], cx: &Context<'_>) -> io::Result<bool> {
        if self.way != Way::Waiting || !(1..=LARGE).contains(&length(parts)) {
            return Ok(false);
        }
        let Some(socket) = self.io.socket()? else { return Ok(false) };
        let ask = Ask { socket, parts, waker: cx.waker(), quiet: self.quiet };
        Ok(turn::add(&ask, self.place.0.get_or_insert_default()))
    }
}

fn length(parts: &[IoSlice<'_>]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

fn is_again(result: i32) -> bool {
    io::Error::from_raw_os_error(-result).kind() == io::ErrorKind::WouldBlock
}

impl<S: AsyncRead + Unpin> AsyncRead for Batched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Outlet + Unpin> AsyncWrite for Batched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(told) = ready!(self.poll_told(cx, bytes.len())) {
            return Poll::Ready(told);
        }
        if self.waits(&[IoSlice::new(bytes)], cx)? {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.asked(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(told) = ready!(self.poll_told(cx, length(parts))) {
            return Poll::Ready(told);
        }
        if self.waits(parts, cx)? {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, parts);
        self.asked(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_under_way(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_under_way(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<S> Batched<S> {
    /// A write waits whose writer has turned away. It is handed over first.
    fn is_under_way(&self, cx: &Context<'_>) -> bool {
        let Some(place) = &self.place.0 else { return false };
        place.waits_by(cx.waker(), false);
        matches!(place.state(), State::Waits(_))
    }
}
