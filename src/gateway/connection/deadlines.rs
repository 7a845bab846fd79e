//! How long a client of HTTP/1.1 may keep its connection waiting.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep};

use crate::gateway::core::Core;
use crate::gateway::framing::{Violation, Watch};
use crate::gateway::ports::Ports;

/// What is to happen to a connection whose deadline came.
pub(super) enum Due {
    Nothing(Instant),
    /// Finish what runs, then end.
    End,
    /// Drop it: the client keeps us waiting in the middle of a message.
    Abort,
}

/// Before this nothing can be due: a connection that is busy, or waits for its next request, is not
/// looked at for as long as that. What is due earlier is told by [`sooner`].
pub(super) fn first_check<P: Ports>(core: &Core<P>) -> Duration {
    core.shared.limits.idle_timeout
}

/// A deadline that began since the connection was looked at; asked whenever it moved.
pub(super) fn sooner<P: Ports>(core: &Core<P>, seen: &Watch) -> Option<Instant> {
    let limits = &core.shared.limits;
    let head = seen.head_since().map(|begun| begun + limits.header_timeout);
    seen.stall_ends(limits.idle_timeout).or(head)
}

/// The first deadline that has come, or when to look again.
pub(super) fn due<P: Ports>(core: &Core<P>, seen: &Watch, now: Instant) -> Due {
    let limits = &core.shared.limits;
    if let Some(at) = seen.stall_ends(limits.idle_timeout) {
        return if at <= now { Due::Abort } else { Due::Nothing(at) };
    }
    if let Some(begun) = seen.head_since() {
        let at = begun + limits.header_timeout;
        if at > now {
            return Due::Nothing(at);
        }
        seen.violated(Violation::HeadTooSlow);
        return Due::End;
    }
    if seen.is_idle() {
        let at = seen.idle_since() + limits.idle_timeout;
        if at <= now {
            return Due::End;
        }
        return Due::Nothing(at);
    }
    Due::Nothing(now + first_check(core))
}

/// A future that is polled once, so that it wakes the task, and then only when it may be ready. To be used
/// in one task.
pub(super) struct Asked<'a, F> {
    future: Pin<&'a mut F>,
    is_awaited: bool,
}

impl<'a, F: Future> Asked<'a, F> {
    pub(super) const fn new(future: Pin<&'a mut F>) -> Self {
        Self { future, is_awaited: false }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        may_be_ready: impl FnOnce() -> bool,
    ) -> Poll<F::Output> {
        if self.is_awaited && !may_be_ready() {
            return Poll::Pending;
        }
        // Whatever else the task has done must not keep it from being noted.
        let polled = pin!(unconstrained(self.future.as_mut())).poll(cx);
        self.is_awaited = polled.is_pending();
        polled
    }
}

/// When to look at the deadlines.
pub(super) struct Alarm<'a>(Asked<'a, Sleep>);

impl<'a> Alarm<'a> {
    pub(super) const fn new(sleep: Pin<&'a mut Sleep>) -> Self {
        Self(Asked::new(sleep))
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_elapsed = self.0.future.is_elapsed();
        self.0.poll(cx, || is_elapsed)
    }

    pub(super) fn reset(&mut self, at: Instant) {
        self.0.future.as_mut().reset(at);
        self.0.is_awaited = false;
    }

    pub(super) fn bring_forward(&mut self, sooner: Option<Instant>) {
        if let Some(at) = sooner.filter(|at| *at < self.0.future.deadline()) {
            self.reset(at);
        }
    }
}
