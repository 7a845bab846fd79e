//! How much may be tried again: a share of what is asked, so that trying again never makes a backend's
//! trouble worse, and a few in any case.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// Hundredths of a retry.
const ONE: u32 = 100;
/// What quiet times save up.
const MOST: u32 = 100 * ONE;
/// So many are there whatever the share, each window anew.
const RESERVE: u32 = 3;
const WINDOW: Duration = Duration::from_secs(1);

/// Of one tool on one core.
#[derive(Debug)]
pub struct Budget {
    /// Percent of requests.
    share: u32,
    saved: Cell<u32>,
    reserve: Cell<(u32, Instant)>,
}

impl Budget {
    pub fn new(share: u32) -> Self {
        Self { share, saved: Cell::new(0), reserve: Cell::new((RESERVE, Instant::now())) }
    }

    /// A request was made.
    pub fn earn(&self) {
        self.saved.set(self.saved.get().saturating_add(self.share).min(MOST));
    }

    /// Whether something may be tried again now.
    pub fn spend(&self) -> bool {
        self.spend_at(Instant::now())
    }

    fn spend_at(&self, now: Instant) -> bool {
        if self.share == 0 {
            return false;
        }
        if let Some(left) = self.saved.get().checked_sub(ONE) {
            self.saved.set(left);
            return true;
        }
        let (mut left, mut since) = self.reserve.get();
        if now.saturating_duration_since(since) >= WINDOW {
            (left, since) = (RESERVE, now);
        }
        let Some(rest) = left.checked_sub(1) else { return false };
        self.reserve.set((rest, since));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_requests_may_be_tried_again() {
        let budget = Budget::new(20);
        let now = Instant::now();
        for _ in 0..100 {
            budget.earn();
        }
        let granted = (0..100).filter(|_| budget.spend_at(now)).count();
        assert_eq!(granted, 20 + RESERVE as usize);
    }

    #[test]
    fn a_few_may_be_tried_again_in_every_window_of_a_quiet_time() {
        let budget = Budget::new(1);
        let mut now = Instant::now();
        for _ in 0..3 {
            assert_eq!((0..10).filter(|_| budget.spend_at(now)).count(), RESERVE as usize);
            now += WINDOW;
        }
    }

    #[test]
    fn what_is_saved_up_is_bounded_and_nothing_is_nothing() {
        let budget = Budget::new(100);
        for _ in 0..10_000 {
            budget.earn();
        }
        let now = Instant::now();
        assert_eq!((0..10_000).filter(|_| budget.spend_at(now)).count(), 100 + RESERVE as usize);
        let none = Budget::new(0);
        none.earn();
        assert!(!none.spend_at(now));
    }
}
