//! How many requests run at once: a share per core, refused cheaply beyond it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::sleep;

use super::admit::Permit;
use super::refusal::Refusal;
use super::upstream::{Place, Upstreams};
use crate::problem::ProblemCode;

/// How long a refusal for want of a place is held back, and how many of them at once.
const PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSED: usize = 16_384;

/// The places of one core.
#[derive(Debug)]
pub struct Slots {
    taken: Rc<Taken>,
    paused: Cell<usize>,
    limit: usize,
}

#[derive(Debug)]
struct Taken {
    count: Cell<usize>,
    active: Gauge,
}

/// One request's place, until its response has been sent or given up.
#[derive(Debug)]
pub struct Slot {
    taken: Rc<Taken>,
    /// Where its tool has a limit of its own.
    place: Option<Place>,
}

impl Slots {
    #[must_use]
    pub fn new(limit: usize, active: Gauge) -> Self {
        let taken = Rc::new(Taken { count: Cell::new(0), active });
        Self { taken, paused: Cell::new(0), limit }
    }

    /// `None`: all places are taken.
    #[must_use]
    pub fn take(&self) -> Option<Slot> {
        let Taken { count, active } = &*self.taken;
        if count.get() >= self.limit {
            return None;
        }
        count.set(count.get() + 1);
        active.inc();
        Some(Slot { taken: Rc::clone(&self.taken), place: None })
    }

    /// To be waited for before a refusal. Clients that ask again at once would otherwise take the time
    /// of those that are served: a refusal costs most of what an answer costs.
    pub async fn pause(&self) {
        if self.paused.get() < MOST_PAUSED {
            self.paused.set(self.paused.get() + 1);
            let _one_less = Paused(&self.paused);
            sleep(PAUSE).await;
        }
    }
}

struct Paused<'a>(&'a Cell<usize>);

impl Drop for Paused<'_> {
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
        let Taken { count, active } = &*self.taken;
        count.set(count.get().saturating_sub(1));
        active.dec();
    }
}
