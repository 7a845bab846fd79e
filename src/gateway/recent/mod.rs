//! Recent decisions, so that they can be explained: bounded rings for each core.
//!
//! The hot path pays for one slot under a lock that nobody else wants; what an explanation says is
//! worked out when somebody asks for it.

mod explain;
mod facts;
mod grants;
mod policy;
mod ring;
mod roles;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::explain::WhoseRefusals;
use crate::telemetry::decision::DecisionRecord;

pub use explain::Explainer;
pub use ring::Entry;
use ring::Rings;

/// The rings of all cores.
#[derive(Debug)]
pub struct Recent {
    instance: Arc<str>,
    cores: Vec<Mutex<Rings>>,
}

impl Recent {
    /// `instance` is what the ids of this process begin with.
    #[must_use]
    pub fn new(instance: Arc<str>, cores: usize) -> Arc<Self> {
        let cores = (0..cores.max(1)).map(|_| Mutex::default()).collect();
        Arc::new(Self { instance, cores })
    }

    #[must_use]
    pub fn instance(&self) -> &Arc<str> {
        &self.instance
    }

    /// Keeps a decision; the oldest of its core and its kind make room.
    pub fn put(&self, core: usize, entry: Entry) {
        if let Some(ring) = self.cores.get(core) {
            let displaced = lock(ring).put(entry);
            drop(displaced);
        }
    }

    /// The decision with this id, while it is kept.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Entry> {
        let rest = id.strip_prefix(&*self.instance)?.strip_prefix('-')?;
        let (core, number) = rest.split_once('-')?;
        let ring = self.cores.get(core.parse::<usize>().ok()?)?;
        let found = lock(ring).get(number.parse().ok()?).cloned();
        // Other spellings of a number are other ids.
        found.filter(|entry| *entry.record.id == *id)
    }

    /// What somebody was refused, in no order.
    #[must_use]
    pub fn refusals(&self, whose: &WhoseRefusals<'_>) -> Vec<Arc<DecisionRecord>> {
        let is_theirs = |record: &DecisionRecord| {
            let subject = whose.subject;
            record.subject.as_ref() == Some(&subject.name)
                && record.issuer.as_ref() == Some(&subject.issuer)
                && record.tool.as_ref().is_some_and(|tool| whose.tools.contains(tool))
        };
        let mut found = Vec::new();
        for ring in &self.cores {
            let ring = lock(ring);
            let records = ring.refused().map(|entry| &entry.record);
            let theirs = records.filter(|it| it.at >= whose.since && is_theirs(it));
            found.extend(theirs.map(Arc::clone));
        }
        found
    }

    /// How many of the kept decisions had which reason.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for ring in &self.cores {
            for entry in lock(ring).entries() {
                *counts.entry(entry.record.reason).or_default() += 1;
            }
        }
        counts
    }
}

fn lock(ring: &Mutex<Rings>) -> MutexGuard<'_, Rings> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}
