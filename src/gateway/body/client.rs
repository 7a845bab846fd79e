//! The client's body on its way to the tool.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Cut, next_frame};
use crate::gateway::headers::filter_request_trailers;
use crate::gateway::lease::{Held, Side};
use crate::gateway::pace::Pace;

/// How far the client's body has got, seen from beside it, and what binds the exchange.
#[derive(Debug)]
pub struct Progress {
    pub held: Held,
    pub ended: Cell<bool>,
    /// The client's side broke: a framing violation, an abort, or too long a silence.
    pub broken: Cell<bool>,
    /// When the body, or the answer that comes meanwhile, last moved.
    pub moved_at: Cell<Instant>,
}

/// What a client's body is held to.
#[derive(Debug, Default)]
pub struct Rules {
    /// The header that carries the credential, if it is none of the usual: no trailer may be called
    /// like it.
    pub credential: Option<HeaderName>,
    /// How long neither it nor the answer may move. `None`: the connection has that deadline itself.
    pub patience: Option<Duration>,
    /// How slow it may be. `None`: only each pause is bounded.
    pub rate: Option<NonZeroU32>,
}

/// The client's body on its way to the tool.
#[derive(Debug)]
pub struct ClientBody {
    /// `None`: there is none.
    inner: Option<Incoming>,
    progress: Rc<Progress>,
    /// `None`: there was no body when it began. Boxed, as most requests have none.
    kept: Option<Box<Kept>>,
}

/// What a body is held to, and how it has kept to it so far.
#[derive(Debug)]
struct Kept {
    rules: Rules,
    pace: Pace,
    /// Since when the tool could take more of it. What moves meanwhile, the answer too, shortens the wait.
    waits_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ClientBody {
    #[must_use]
    pub fn new(inner: Incoming, held: Held, rules: Option<Rules>) -> (Self, Rc<Progress>) {
        let progress = Rc::new(Progress {
            ended: Cell::new(inner.is_end_stream()),
            broken: Cell::new(false),
            moved_at: Cell::new(held.opened()),
            held,
        });
        let kept = rules.map(|rules| Box::new(Kept::to(rules)));
        (Self { inner: Some(inner), progress: Rc::clone(&progress), kept }, progress)
    }

    /// Of a request that has no body, for a second try.
    #[must_use]
    pub const fn empty(progress: Rc<Progress>) -> Self {
        Self { inner: None, progress, kept: None }
    }
}

impl Kept {
    const fn to(rules: Rules) -> Self {
        let pace = Pace::new(rules.rate);
        Self { rules, pace, waits_since: None, timer: None }
    }

    /// Ready when nothing has moved for too long.
    fn poll_stalled(&mut self, moved_at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let Some(patience) = self.rules.patience else { return Poll::Pending };
        let waits_since = *self.waits_since.get_or_insert_with(Instant::now);
        loop {
            let end = self.pace.ends(waits_since.max(moved_at), patience);
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
            if timer.is_elapsed() {
                timer.as_mut().reset(end);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }

    fn moved(&mut self, moved_at: Instant, bytes: usize) {
        if let Some(since) = self.waits_since.take() {
            self.pace.waited(since.max(moved_at));
        }
        self.pace.moved(bytes);
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = &mut *self;
        // A tool may have answered long before the body's end: nobody else looks then.
        if this.progress.held.cause().is_some() {
            return Poll::Ready(Some(Err(Cut::AccessEnded)));
        }
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let credential = this.kept.as_ref().and_then(|it| it.rules.credential.as_ref());
        let keep = |trailers: &mut _| filter_request_trailers(trailers, credential);
        let Poll::Ready(frame) = next_frame(inner, cx, keep) else {
            this.progress.held.waits(Side::Request, cx.waker());
            let Some(kept) = &mut this.kept else { return Poll::Pending };
            ready!(kept.poll_stalled(this.progress.moved_at.get(), cx));
            this.progress.broken.set(true);
            return Poll::Ready(Some(Err(Cut::Stalled)));
        };
        if this.progress.held.has_ended() {
            return Poll::Ready(Some(Err(Cut::AccessEnded)));
        }
        if let Some(kept) = &mut this.kept {
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            kept.moved(this.progress.moved_at.get(), data.map_or(0, Bytes::len));
        }
        this.progress.moved_at.set(Instant::now());
        match &frame {
            None => this.progress.ended.set(true),
            Some(Err(_)) => this.progress.broken.set(true),
            Some(Ok(frame)) => {
                this.progress.ended.set(frame.is_trailers() || inner.is_end_stream());
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Cut::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
