//! Retention: what every configured sink has taken, and what is over, leaves the store when it is
//! older than `audit.retention`. One partition after the other, all within about a minute, a
//! bounded piece of work at a time; every gateway does it, and twice is as good as once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::SharedClock;
use crate::domain::ids::Partition;
use crate::domain::time::Timestamp;
use crate::store::{LetterChange, RetainPlace, Retained, Retention, SharedStore, StoreFault};
use crate::telemetry::events::outbox::{LettersExpired, RetentionFailed, Trimmed};
use crate::telemetry::metrics::Metrics;

/// How long one walk over all partitions takes.
pub const ROUND: Duration = Duration::from_secs(60);
/// So many pages of one partition are done before it is the next one's turn.
const PAGES: usize = 16;

pub struct Trimmer {
    pub store: SharedStore,
    /// The names of the sinks that are configured now: no other one holds anything back.
    pub sinks: Vec<Arc<str>>,
    /// Those of them that keep dead letters: these hold the log, too.
    pub with_letters: Vec<Arc<str>>,
    pub retention: Duration,
    /// [`ROUND`].
    pub round: Duration,
    pub clock: SharedClock,
    pub metrics: Metrics,
    pub stop: watch::Receiver<bool>,
    /// Where partitions go on that had more to do.
    pub places: BTreeMap<Partition, RetainPlace>,
}

impl Trimmer {
    /// Until it is told to stop, which it does in the middle of its work: no half of it is harmful.
    pub async fn run(mut self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.walk() => (),
            _ = stop.wait_for(|stop| *stop) => (),
        }
    }

    async fn walk(&mut self) {
        let mut tick = interval(self.round / u32::from(self.store.partitions().get().max(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            for partition in self.store.partitions().all() {
                tick.tick().await;
                if let Err(fault) = self.visit(partition).await {
                    self.places.remove(&partition);
                    RetentionFailed { partition, fault: &fault }.emit(&self.metrics);
                }
            }
        }
    }

    async fn visit(&mut self, partition: Partition) -> Result<(), StoreFault> {
        let before = self.clock.now().minus(self.retention);
        let delivered = self.delivered(partition).await?.min(self.held(partition, before).await?);
        for _ in 0..PAGES {
            let from = self.places.remove(&partition);
            let retention = Retention { before, delivered, from };
            let done = self.store.retain(partition, retention).await?;
            self.tell(partition, &done);
            let Some(next) = done.next else { return Ok(()) };
            self.places.insert(partition, next);
        }
        Ok(())
    }

    /// How far the slowest sink has come. Without any sink the store's log is all there is, and
    /// nobody waits for it.
    async fn delivered(&self, partition: Partition) -> Result<u64, StoreFault> {
        let mut slowest = u64::MAX;
        for sink in &self.sinks {
            slowest = slowest.min(self.store.cursor(sink, partition).await?);
        }
        Ok(slowest)
    }

    /// Up to where no dead letter needs its event. A letter older than the retention is dropped: it
    /// holds the log for that long, and no longer.
    async fn held(&self, partition: Partition, before: Timestamp) -> Result<u64, StoreFault> {
        let mut oldest = u64::MAX;
        for sink in &self.with_letters {
            let expire = LetterChange::Expire { before };
            match self.store.change_dead_letters(sink, partition, expire).await {
                Ok(expired) if expired.dropped > 0 => {
                    let count = expired.dropped;
                    LettersExpired { sink, partition, count }.emit(&self.metrics);
                }
                Ok(_none) => (),
                // A store without memory takes no letter back; what lies below it can go.
                Err(fault) => RetentionFailed { partition, fault: &fault }.emit(&self.metrics),
            }
            let letters = self.store.dead_letters(sink, partition).await?;
            oldest = oldest.min(letters.oldest().map_or(u64::MAX, |seq| seq.saturating_sub(1)));
        }
        Ok(oldest)
    }

    fn tell(&self, partition: Partition, done: &Retained) {
        for fault in &done.broken {
            RetentionFailed { partition, fault }.emit(&self.metrics);
        }
        if !done.is_nothing() {
            let Retained { entries, grants, requests, .. } = *done;
            Trimmed { partition, entries, grants, requests }.emit();
        }
    }
}

#[cfg(test)]
mod tests;
