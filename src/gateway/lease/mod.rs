//! An exchange that is still open when the grants that permitted it end is cut.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::domain::time::Timestamp;
use crate::problem::ProblemCode;
use crate::telemetry::events::gateway::StreamCut;

use crate::gateway::core::Shared;

/// The wall clock may be moved: it is looked at again at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// When the grants behind a request end.
#[derive(Clone)]
pub struct AccessEnd {
    at: Timestamp,
    shared: Arc<Shared>,
}

impl AccessEnd {
    #[must_use]
    pub const fn new(at: Timestamp, shared: Arc<Shared>) -> Self {
        Self { at, shared }
    }

    /// Whether the access has ended by now.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.clock.now() >= self.at
    }
}

/// The end of an access, as a future that is only armed while its exchange waits.
pub struct Lease {
    end: AccessEnd,
    timer: Option<Pin<Box<Sleep>>>,
    cut: bool,
}

impl Lease {
    #[must_use]
    pub fn new(end: AccessEnd) -> Self {
        end.shared.metrics.open_leases.inc();
        Self { end, timer: None, cut: false }
    }

    /// Whether the access has ended by now; counted as cut the first time.
    pub fn has_ended(&mut self) -> bool {
        let ended = self.end.is_over();
        if ended && !self.cut {
            self.cut = true;
            StreamCut.emit(&self.end.shared.metrics);
        }
        ended
    }

    /// What a client is told when it has ended.
    #[must_use]
    #[expect(clippy::unused_self, reason = "the one cause that there is: its time came")]
    pub const fn code(&self) -> ProblemCode {
        ProblemCode::GrantExpired
    }

    /// When to ask [`Lease::has_ended`] again, for whoever waits with a timer of its own.
    #[must_use]
    pub fn look_again(&self) -> Instant {
        Instant::now() + self.end.at.since(self.end.shared.clock.now()).min(LOOK_AGAIN)
    }

    /// Ready once the access has ended. To be asked when the exchange has nothing to do: short ones
    /// never come here and cost no timer.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.has_ended() {
                return Poll::Ready(());
            }
            let next = self.look_again();
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if timer.is_elapsed() {
                timer.as_mut().reset(next);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end.shared.metrics.open_leases.dec();
    }
}

impl fmt::Debug for AccessEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccessEnd").field(&self.at).finish()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("ends_at", &self.end.at).finish_non_exhaustive()
    }
}
