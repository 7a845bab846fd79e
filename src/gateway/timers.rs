//! Timers of one core that are used again. To set one anew, later than it was, costs nothing of what
//! making and dropping one does: the runtime notes it when the old time has come.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// Timers that are kept. One in the drawer may still wake the task that used it last, for nothing.
const MOST: usize = 256;

type Kept = Pin<Box<Sleep>>;

/// The timers of one core.
#[derive(Debug, Default)]
pub struct Timers(RefCell<Vec<Kept>>);

/// One in use; back among the others when it is dropped.
#[derive(Debug)]
pub struct Timer<'a> {
    kept: &'a Timers,
    /// Always there until it is dropped.
    sleep: Option<Kept>,
}

impl Timers {
    /// A timer that is due then.
    pub fn until(&self, due: Instant) -> Timer<'_> {
        let used = self.0.borrow_mut().pop();
        let sleep = match used {
            Some(mut sleep) => {
                sleep.as_mut().reset(due);
                sleep
            }
            None => Box::pin(sleep_until(due)),
        };
        Timer { kept: self, sleep: Some(sleep) }
    }
}

impl Timer<'_> {
    /// Ready when it is due.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().map_or(Poll::Ready(()), |sleep| sleep.as_mut().poll(cx))
    }

    pub fn reset(&mut self, due: Instant) {
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(due);
        }
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let mut kept = self.kept.0.borrow_mut();
        if kept.len() < MOST {
            kept.extend(self.sleep.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_timer_that_was_used_is_not_due_before_the_time_it_is_asked_for() {
        let timers = Timers::default();
        // Later than the one before, earlier, and one that is due already.
        for milliseconds in [30, 5, 40, 0, 1, 60] {
            let due = Instant::now() + Duration::from_millis(milliseconds);
            let mut timer = timers.until(due);
            poll_fn(|cx| timer.poll(cx)).await;
            assert!(Instant::now() >= due);
        }
        assert_eq!(timers.0.borrow().len(), 1, "one timer did for all of them");
        drop((timers.until(Instant::now()), timers.until(Instant::now())));
        assert_eq!(timers.0.borrow().len(), 2);
    }

    #[tokio::test]
    async fn one_that_is_set_later_is_not_due_at_its_old_time() {
        let timers = Timers::default();
        let begun = Instant::now();
        let after = |milliseconds| begun + Duration::from_millis(milliseconds);
        drop(timers.until(after(10)));
        let mut timer = timers.until(after(20));
        poll_fn(|cx| timer.poll(cx)).await;
        assert!(Instant::now() >= after(20));
        timer.reset(after(90));
        poll_fn(|cx| timer.poll(cx)).await;
        assert!(Instant::now() >= after(90));
    }
}
