//! How many requests run at once: a share per core. Beyond it they wait a little, then they are
//! refused cheaply.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::admit::Permit;
use super::refusal::Refusal;
use super::upstream::{Place, Upstreams};
use crate::problem::ProblemCode;

/// How long a request waits for a place, and how many of them at once.
const PATIENCE: Duration = Duration::from_millis(100);
const MOST_WAITING: usize = 16_384;

/// The places of one core.
#[derive(Debug)]
pub struct Slots {
    places: Rc<Places>,
}

#[derive(Debug)]
struct Places {
    limit: usize,
    active: Gauge,
    taken: Cell<usize>,
    waiting: Cell<usize>,
    /// Wakes whoever waits longest.
    freed: Notify,
}

/// One request's place, until its response has been sent or given up.
#[derive(Debug)]
pub struct Slot {
    places: Rc<Places>,
    /// Where its tool has a limit of its own.
    place: Option<Place>,
}

impl Slots {
    #[must_use]
    pub fn new(limit: usize, active: Gauge) -> Self {
        let (taken, waiting) = (Cell::new(0), Cell::new(0));
        let places = Places { limit, active, taken, waiting, freed: Notify::new() };
        Self { places: Rc::new(places) }
    }

    /// `None`: all places are taken, or others wait for one.
    #[must_use]
    pub fn take(&self) -> Option<Slot> {
        if self.places.waiting.get() > 0 { None } else { self.free() }
    }

    fn free(&self) -> Option<Slot> {
        let places = &self.places;
        if places.taken.get() >= places.limit {
            return None;
        }
        places.taken.set(places.taken.get() + 1);
        places.active.inc();
        Some(Slot { places: Rc::clone(places), place: None })
    }

    /// A place as soon as one comes free, in the order of asking; `None`: none did. A refusal costs most
    /// of what an answer costs, and clients that are refused ask again at once: to wait is cheaper for
    /// both, and whoever is refused at last was held back.
    pub async fn wait(&self) -> Option<Slot> {
        if self.places.waiting.get() >= MOST_WAITING {
            return None;
        }
        let _one_less = Waiting::new(&self.places.waiting);
        let freed = async {
            loop {
                self.places.freed.notified().await;
                if let Some(slot) = self.free() {
                    return slot;
                }
            }
        };
        timeout(PATIENCE, freed).await.ok()
    }
}

struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Slot {
    /// Takes a place at the tool, too.
    ///
    /// # Errors
    /// `overloaded`: the tool has as many requests as it may.
    pub fn at(&mut self, permit: Box<Permit>) -> Result<Box<Permit>, Refusal> {
        let tool: &Arc<Upstreams> = &permit.tool().upstreams;
        let full = |_full| {
            let detail = format!("{} has as many requests at once as it may", tool.tool);
            Refusal::new(ProblemCode::Overloaded, detail)
        };
        self.place = tool.take_place().map_err(full)?;
        Ok(permit)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.places.taken.set(self.places.taken.get().saturating_sub(1));
        self.places.active.dec();
        if self.places.waiting.get() > 0 {
            self.places.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn slots(limit: usize) -> Slots {
        Slots::new(limit, Gauge::default())
    }

    fn now<T>(waits: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        waits.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_place_that_comes_free_goes_to_whoever_waits_longest() {
        let slots = slots(1);
        let taken = slots.take().expect("a place");
        let (mut first, mut second) = (pin!(slots.wait()), pin!(slots.wait()));
        assert!(now(first.as_mut()).is_pending() && now(second.as_mut()).is_pending());
        drop(taken);
        assert!(slots.take().is_none(), "nobody passes those that wait");
        assert!(now(second.as_mut()).is_pending());
        let Poll::Ready(Some(held)) = now(first.as_mut()) else { panic!("it waits") };
        assert!(now(second.as_mut()).is_pending());
        drop(held);
        assert!(matches!(now(second.as_mut()), Poll::Ready(Some(_))));
    }

    #[tokio::test]
    async fn whoever_stops_waiting_keeps_no_place_from_others() {
        let slots = slots(1);
        let taken = slots.take().expect("a place");
        let (mut gone, mut next) = (Box::pin(slots.wait()), pin!(slots.wait()));
        assert!(now(gone.as_mut()).is_pending() && now(next.as_mut()).is_pending());
        drop(taken);
        drop(gone);
        let Poll::Ready(Some(held)) = now(next.as_mut()) else { panic!("it waits") };
        drop(held);
        // It is over, but has not been dropped: it counts no more.
        assert!(slots.take().is_some());
    }

    #[tokio::test]
    async fn whoever_gets_no_place_is_let_go() {
        let slots = slots(1);
        let taken = slots.take().expect("a place");
        assert!(slots.wait().await.is_none());
        drop(taken);
        assert!(slots.take().is_some());
    }
}
