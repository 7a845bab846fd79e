//! When an event is tried again, and when it is given up.

use std::time::Duration;

use super::endpoint::Fault;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(10);
/// An endpoint that asks for more is asked again all the same.
const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// Also for an event that is old when it is tried first.
const LEAST_TRIES: u32 = 5;
/// So many times an endpoint may say that it will never take an event.
const REFUSALS: u32 = 3;

/// The tries of one event by this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    pub count: u32,
    refused: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    After(Duration),
    GiveUp,
}

impl Tries {
    /// `age` is that of the event, `chance` a random number: pauses are spread over their whole
    /// length, so that what failed together does not come back together.
    pub fn failed(
        &mut self,
        fault: &Fault,
        age: Duration,
        retry_for: Duration,
        chance: u16,
    ) -> Next {
        self.count = self.count.saturating_add(1);
        let (is_final, asked) = match fault {
            Fault::Status { is_final, after, .. } => (*is_final, after.unwrap_or_default()),
            Fault::Unwritable => (true, Duration::ZERO),
            Fault::NoAnswer(_) => (false, Duration::ZERO),
        };
        self.refused = self.refused.saturating_add(u32::from(is_final));
        if self.refused >= REFUSALS || (self.count >= LEAST_TRIES && age >= retry_for) {
            return Next::GiveUp;
        }
        let doubled = FIRST.saturating_mul(1 << self.count.saturating_sub(1).min(12));
        let pause = doubled.min(LONGEST).mul_f64(f64::from(chance) / f64::from(u16::MAX));
        Next::After(pause.max(asked.min(LONGEST_ASKED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::ClientError;

    const DAY: Duration = Duration::from_secs(86_400);

    fn status(status: u16, is_final: bool, after: Option<u64>) -> Fault {
        Fault::Status { status, is_final, after: after.map(Duration::from_secs) }
    }

    #[test]
    fn pauses_double_from_one_second_to_ten_minutes_and_are_spread_from_nothing() {
        let down = Fault::NoAnswer(ClientError::Unreachable("refused".into()));
        let mut tries = Tries::default();
        let longest: Vec<u64> = (0..14)
            .map(|_| match tries.failed(&down, Duration::ZERO, DAY, u16::MAX) {
                Next::After(pause) => pause.as_secs(),
                Next::GiveUp => panic!("too soon"),
            })
            .collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600, 600]);
        assert_eq!(tries.failed(&down, Duration::ZERO, DAY, 0), Next::After(Duration::ZERO));
        let half = tries.failed(&down, Duration::ZERO, DAY, u16::MAX / 2);
        assert!(matches!(half, Next::After(pause) if pause.as_secs() == 299), "{half:?}");
    }

    #[test]
    fn an_event_is_given_up_after_its_time_but_not_before_five_tries() {
        let down = Fault::NoAnswer(ClientError::Deadline(Duration::from_secs(5)));
        let mut old = Tries::default();
        let gave_up = (1..10).find(|_| old.failed(&down, DAY * 2, DAY, 0) == Next::GiveUp);
        assert_eq!(gave_up, Some(5));
        let mut young = Tries::default();
        for _ in 0..200 {
            assert!(matches!(young.failed(&down, DAY / 2, DAY, 0), Next::After(_)));
        }
        assert_eq!(young.failed(&down, DAY, DAY, 0), Next::GiveUp);
    }

    #[test]
    fn three_refusals_are_enough_also_between_other_failures() {
        let mut tries = Tries::default();
        let mut failed = |fault: &Fault| tries.failed(fault, Duration::ZERO, DAY, 0);
        assert!(matches!(failed(&status(404, true, None)), Next::After(_)));
        assert!(matches!(failed(&status(500, false, None)), Next::After(_)));
        assert!(matches!(failed(&status(410, true, None)), Next::After(_)));
        assert_eq!(failed(&status(410, true, None)), Next::GiveUp);
    }

    #[test]
    fn what_the_endpoint_asks_for_is_the_least_up_to_an_hour() {
        let mut tries = Tries::default();
        for (asked, pause) in [(30, 30), (1_000_000, 3600), (0, 0)] {
            let next = tries.failed(&status(429, false, Some(asked)), Duration::ZERO, DAY, 0);
            assert_eq!(next, Next::After(Duration::from_secs(pause)));
        }
    }
}
