//! How long to wait before a sink is tried again.

use std::time::Duration;

use crate::entropy;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles with every failure in a row; the second half of each pause is left to chance, so that
/// many gateways do not come back at once.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    pub fn after_failure(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let [chance] = entropy::bytes().unwrap_or([u8::MAX]);
        whole / 2 + whole / 2 * u32::from(chance) / u32::from(u8::MAX)
    }

    /// How many failures came before this success.
    pub fn after_success(&mut self) -> u32 {
        std::mem::take(&mut self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..50).map(|_| backoff.after_failure()).collect();
        assert!(pauses[0] >= FIRST / 2 && pauses[0] <= FIRST);
        assert!(pauses[20..].iter().all(|p| *p >= LONGEST / 2 && *p <= LONGEST));
        assert_eq!(backoff.after_success(), 50);
        assert!(backoff.after_failure() <= FIRST);
    }
}
