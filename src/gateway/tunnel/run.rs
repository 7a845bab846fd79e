//! Both directions, and what ends them.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use super::close::Close;
use super::copy::{Broken, Direction};
use super::frames::Malformed;
use super::handshake::Agreed;
use crate::gateway::lease::Lease;
use crate::telemetry::events::tunnel::TunnelEnd;

/// What a tunnel has from its cut to its end: for the frame that has begun, for the Close, and for
/// the other side to read it.
const CLOSING: Duration = Duration::from_millis(800);

#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Without a byte in either direction.
    pub idle: Duration,
    /// With bytes that a side does not take.
    pub stalled: Duration,
}

/// A tunnel between two sides, whatever they are made of.
#[derive(Debug)]
pub struct Tunnel<'a, C, T> {
    pub client: C,
    pub tool: T,
    to_tool: Direction,
    to_client: Direction,
    lease: Option<&'a mut Lease>,
    patience: Patience,
    /// Why it is being cut, and when that is over.
    cut: Option<(TunnelEnd, Instant)>,
    malformed: Option<Malformed>,
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub end: TunnelEnd,
    pub malformed: Option<Malformed>,
    pub to_tool: u64,
    pub to_client: u64,
}

impl<'a, C, T> Tunnel<'a, C, T>
where
    C: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    /// `early`: what the client sent behind its handshake.
    pub fn new(
        (client, early): (C, Vec<u8>),
        tool: T,
        agreed: Agreed,
        lease: Option<&'a mut Lease>,
        patience: Patience,
    ) -> Self {
        Self {
            client,
            tool,
            to_tool: Direction::new(true, agreed.extended, early),
            to_client: Direction::new(false, agreed.extended, Vec::new()),
            lease,
            patience,
            cut: None,
            malformed: None,
        }
    }

    /// Runs until both sides have ended, or `closing` is ready and they were told.
    pub async fn run(mut self, closing: impl Future<Output = ()>) -> Ended {
        let mut closing = pin!(closing);
        let mut timer = pin!(sleep_until(self.next_look()));
        let mut told = false;
        let end = poll_fn(|cx| {
            loop {
                if !told && closing.as_mut().poll(cx).is_ready() {
                    told = true;
                    self.cut(TunnelEnd::Shutdown, Close::going_away("going away"));
                }
                if let Some(end) = self.poll_step(cx, timer.as_mut()) {
                    return end.map(|end| self.cut.map_or(end, |(cut, _)| cut));
                }
            }
        })
        .await;
        let (to_tool, to_client) = (self.to_tool.bytes, self.to_client.bytes);
        Ended { end, malformed: self.malformed, to_tool, to_client }
    }

    /// `None`: something has changed, and it is to be asked again.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
    ) -> Option<Poll<TunnelEnd>> {
        if self.cut.is_none()
            && let Some(lease) = self.lease.as_deref_mut()
            && lease.poll_ended(cx).is_ready()
        {
            let code = lease.code();
            self.cut(TunnelEnd::AccessEnded, Close::access_ended(code));
        }
        let up = self.to_tool.poll(cx, &mut self.client, &mut self.tool);
        let down = self.to_client.poll(cx, &mut self.tool, &mut self.client);
        match (up, down) {
            (Poll::Ready(Err(Broken::Malformed(why))), _)
            | (_, Poll::Ready(Err(Broken::Malformed(why)))) => {
                self.malformed.get_or_insert(why);
                if self.cut.is_some() {
                    return Some(Poll::Ready(TunnelEnd::Malformed));
                }
                self.cut(TunnelEnd::Malformed, Close::malformed());
                return None;
            }
            (Poll::Ready(Err(Broken::Io)), _) | (_, Poll::Ready(Err(Broken::Io))) => {
                return Some(Poll::Ready(TunnelEnd::Broken));
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => {
                return Some(Poll::Ready(TunnelEnd::Closed));
            }
            (Poll::Pending | Poll::Ready(Ok(())), Poll::Pending | Poll::Ready(Ok(()))) => (),
        }
        let next = self.next_look();
        if next < timer.deadline() {
            timer.as_mut().reset(next);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Some(Poll::Pending);
        }
        let over = self.overdue(Instant::now());
        timer.reset(self.next_look());
        over.map(Poll::Ready)
    }

    fn cut(&mut self, end: TunnelEnd, close: Close) {
        if self.cut.is_none() {
            self.cut = Some((end, Instant::now() + CLOSING));
            self.to_tool.cut(close);
            self.to_client.cut(close);
        }
    }

    /// Cuts an idle tunnel; the end of one that no longer moves.
    fn overdue(&mut self, now: Instant) -> Option<TunnelEnd> {
        if let Some((end, at)) = self.cut {
            return (at <= now).then_some(end);
        }
        if self.stalled_since().is_some_and(|since| since + self.patience.stalled <= now) {
            return Some(TunnelEnd::Stalled);
        }
        if self.moved_at() + self.patience.idle <= now {
            self.cut(TunnelEnd::Idle, Close::going_away("idle"));
        }
        None
    }

    /// A stall may begin at any moment.
    fn next_look(&self) -> Instant {
        if let Some((_, at)) = self.cut {
            return at;
        }
        let stalled = self.stalled_since().unwrap_or_else(Instant::now) + self.patience.stalled;
        stalled.min(self.moved_at() + self.patience.idle)
    }

    fn moved_at(&self) -> Instant {
        self.to_tool.moved_at.max(self.to_client.moved_at)
    }

    fn stalled_since(&self) -> Option<Instant> {
        match (self.to_tool.stalled_since, self.to_client.stalled_since) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}
