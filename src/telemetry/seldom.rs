//! What an outage would say over and over: told a few times, then only counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A number of lines is told of one thing in so long.
const WINDOW: Duration = Duration::from_secs(10);

/// Bounds log lines by what they say; never metrics.
#[derive(Debug, Default)]
pub struct Seldom {
    /// By where it happened and its kind, both of closed sets.
    windows: Mutex<BTreeMap<(&'static str, &'static str), Window>>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    told: u32,
    untold: u64,
}

impl Seldom {
    #[must_use]
    pub const fn new() -> Self {
        Self { windows: Mutex::new(BTreeMap::new()) }
    }

    /// Whether to tell it at `now`, `most` times in a window, and then how many like it were not told since the last one.
    pub fn tell(
        &self,
        (during, kind): (&'static str, &'static str),
        most: u32,
        now: Instant,
    ) -> Option<u64> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Window { since: now, told: 0, untold: 0 };
        let window = windows.entry((during, kind)).or_insert_with(new);
        if now.duration_since(window.since) >= WINDOW {
            (window.since, window.told) = (now, 0);
        }
        if window.told >= most {
            window.untold += 1;
            return None;
        }
        window.told += 1;
        Some(std::mem::take(&mut window.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_ten_times_in_ten_seconds_and_then_counted() {
        let (seldom, start) = (Seldom::new(), Instant::now());
        let told = |at| seldom.tell(("load", "unreachable"), 10, start + at);
        let first: Vec<_> = (0..64).filter_map(|_| told(Duration::ZERO)).collect();
        assert_eq!(first, [0; 10]);
        assert_eq!(told(Duration::from_millis(9999)), None);
        assert_eq!(told(WINDOW), Some(55));
        assert_eq!(told(WINDOW), Some(0));
    }

    #[test]
    fn one_thing_does_not_silence_another() {
        let (seldom, now) = (Seldom::new(), Instant::now());
        for _ in 0..64 {
            let _ = seldom.tell(("load", "unreachable"), 10, now);
        }
        assert_eq!(seldom.tell(("load", "grant-record-invalid"), 10, now), Some(0));
        assert_eq!(seldom.tell(("commit", "unreachable"), 10, now), Some(0));
    }
}
