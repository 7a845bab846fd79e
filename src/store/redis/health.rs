//! What the process says about its Redis: the clock and what was refused.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::reply::Refusal;

/// No server was asked for its time yet.
const NEVER: i64 = i64::MIN;

/// Shared by all connections of the process.
#[derive(Debug)]
pub struct Health {
    skew_millis: AtomicI64,
    refusals: [AtomicU64; Refusal::ALL.len()],
}

impl Default for Health {
    fn default() -> Self {
        Self { skew_millis: AtomicI64::new(NEVER), refusals: Default::default() }
    }
}

impl Health {
    /// How far the server's clock is ahead, in milliseconds, by the last answer of any server;
    /// 0 when it lies between question and answer.
    #[must_use]
    pub fn skew(&self) -> Option<i64> {
        Some(self.skew_millis.load(Ordering::Relaxed)).filter(|&millis| millis != NEVER)
    }

    pub fn saw_skew(&self, millis: i64) {
        self.skew_millis.store(millis, Ordering::Relaxed);
    }

    pub fn saw_refusal(&self, refusal: Refusal) {
        if let Some(count) = self.refusals.get(refusal as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Error replies so far, by their first word.
    pub fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> {
        let counts = self.refusals.iter().map(|count| count.load(Ordering::Relaxed));
        Refusal::ALL.into_iter().zip(counts)
    }
}
