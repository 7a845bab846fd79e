//! How slowly a body may come or be taken.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// The patience with one side of a message, used up by waiting for the client and won back by the bytes that
/// it moves: a client that stays under the rate has it used up in the end, whatever its pauses. More
/// than was used up is never won back, so that nobody saves up for a trickle.
#[derive(Debug, Default)]
pub struct Pace {
    /// Bytes per second. `None`: only each pause is bounded.
    rate: Option<NonZeroU32>,
    spent: Cell<Duration>,
}

impl Pace {
    #[must_use]
    pub const fn new(rate: Option<NonZeroU32>) -> Self {
        Self { rate, spent: Cell::new(Duration::ZERO) }
    }

    /// A wait is over that began then.
    pub fn waited(&self, since: Instant) {
        if self.rate.is_some() {
            self.spent.set(self.spent.get().saturating_add(since.elapsed()));
        }
    }

    pub fn moved(&self, bytes: usize) {
        let (Some(rate), spent) = (self.rate, self.spent.get()) else { return };
        if !spent.is_zero() {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let earned = Duration::from_secs(bytes) / rate.get();
            self.spent.set(spent.saturating_sub(earned));
        }
    }

    /// Another message begins.
    pub fn restart(&self) {
        self.spent.set(Duration::ZERO);
    }

    /// When a wait that began then has lasted too long.
    #[must_use]
    pub fn ends(&self, since: Instant, patience: Duration) -> Instant {
        since + patience.saturating_sub(self.spent.get())
    }
}
