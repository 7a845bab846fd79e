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
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Cut, Received, filtered};
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
    /// The tool could take more of it, and the client sends none.
    pub awaits_client: Cell<bool>,
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
    progress: Rc<Progress>,
    /// `None`: there is none. Boxed, as most requests have none, and every one is moved about.
    flow: Option<Box<Flow>>,
}

/// A body, what it is held to, and how it has kept to it so far.
#[derive(Debug)]
struct Flow {
    inner: Received,
    rules: Rules,
    pace: Pace,
    /// Since when the tool could take more of it. What moves meanwhile, the answer too, shortens the wait.
    waits_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ClientBody {
    /// `rules`: there for every body that has not ended.
    #[must_use]
    pub fn new(inner: Received, held: Held, rules: Option<Rules>) -> (Self, Rc<Progress>) {
        let progress = Rc::new(Progress {
            ended: Cell::new(inner.is_end_stream()),
            broken: Cell::new(false),
            awaits_client: Cell::new(false),
            moved_at: Cell::new(held.opened()),
            held,
        });
        let flow = rules.map(|rules| Box::new(Flow::to(inner, rules)));
        (Self { progress: Rc::clone(&progress), flow }, progress)
    }

    /// Of a request that has no body, for a second try.
    #[must_use]
    pub const fn empty(progress: Rc<Progress>) -> Self {
        Self { progress, flow: None }
    }

    /// An empty one of the same exchange.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self::empty(Rc::clone(&self.progress))
    }
}

impl Flow {
    const fn to(inner: Received, rules: Rules) -> Self {
        let pace = Pace::new(rules.rate);
        Self { inner, rules, pace, waits_since: None, timer: None }
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
        let Some(flow) = &mut this.flow else { return Poll::Ready(None) };
        let credential = flow.rules.credential.as_ref();
        let keep = |trailers: &mut _| filter_request_trailers(trailers, credential);
        let frame = Pin::new(&mut flow.inner).poll_frame(cx);
        let Poll::Ready(frame) = filtered(frame, keep) else {
            this.progress.held.waits(Side::Request, cx.waker());
            this.progress.awaits_client.set(true);
            ready!(flow.poll_stalled(this.progress.moved_at.get(), cx));
            this.progress.broken.set(true);
            return Poll::Ready(Some(Err(Cut::Stalled)));
        };
        this.progress.awaits_client.set(false);
        if this.progress.held.has_ended() {
            return Poll::Ready(Some(Err(Cut::AccessEnded)));
        }
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        flow.moved(this.progress.moved_at.get(), data.map_or(0, Bytes::len));
        this.progress.moved_at.set(Instant::now());
        match &frame {
            None => this.progress.ended.set(true),
            Some(Err(_)) => this.progress.broken.set(true),
            Some(Ok(frame)) => {
                this.progress.ended.set(frame.is_trailers() || flow.inner.is_end_stream());
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.flow.as_ref().is_none_or(|flow| flow.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let none = || SizeHint::with_exact(0);
        self.flow.as_ref().map_or_else(none, |flow| flow.inner.size_hint())
    }
}
