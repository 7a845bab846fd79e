//! When the tasks in the background look, and at which partitions: at those that moved at once, at
//! all of them now and then.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use crate::domain::ids::{Partition, PartitionCount};
use crate::store::SharedStore;

/// Subjects and timers of one partition that are worked on at the same time.
const AT_ONCE: usize = 16;

pub struct Wake {
    partitions: PartitionCount,
    moved: broadcast::Receiver<Partition>,
    tick: Interval,
    stop: watch::Receiver<bool>,
    listening: bool,
}

impl Wake {
    /// Looks at all of them `every` so often. `stop` turns true (or its sender is gone) when it is
    /// over. The first look is at once.
    #[must_use]
    pub fn new(store: &SharedStore, every: Duration, stop: watch::Receiver<bool>) -> Self {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (partitions, moved) = (store.partitions(), store.moved());
        Self { partitions, moved, tick, stop, listening: true }
    }

    /// What to look at next; `None` when it is time to stop.
    pub async fn next(&mut self) -> Option<BTreeSet<Partition>> {
        loop {
            let woken = tokio::select! {
                _ = self.stop.wait_for(|stopping| *stopping) => return None,
                _ = self.tick.tick() => return Some(self.partitions.all().collect()),
                woken = self.moved.recv(), if self.listening => woken,
            };
            match woken {
                Ok(partition) => return Some(self.also_moved(partition)),
                Err(RecvError::Lagged(_)) => return Some(self.all()),
                Err(RecvError::Closed) => self.listening = false,
            }
        }
    }

    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    fn all(&self) -> BTreeSet<Partition> {
        self.partitions.all().collect()
    }

    /// Everything that moved meanwhile, once each.
    fn also_moved(&mut self, first: Partition) -> BTreeSet<Partition> {
        let mut partitions = BTreeSet::from([first]);
        loop {
            match self.moved.try_recv() {
                Ok(partition) => {
                    partitions.insert(partition);
                }
                Err(TryRecvError::Lagged(_)) => return self.all(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return partitions,
            }
        }
    }
}

/// Runs `work` for every item, a few at the same time. Whether all of it succeeded.
pub async fn each<T, F>(items: Vec<T>, work: impl Fn(T) -> F) -> bool
where
    F: Future<Output = bool> + Send + 'static,
{
    let (mut running, mut all_done) = (JoinSet::new(), true);
    for item in items {
        if running.len() >= AT_ONCE {
            all_done &= finished(running.join_next().await);
        }
        running.spawn(work(item));
    }
    while let Some(done) = running.join_next().await {
        all_done &= finished(Some(done));
    }
    all_done
}

fn finished(done: Option<Result<bool, tokio::task::JoinError>>) -> bool {
    match done {
        Some(Ok(done)) => done,
        Some(Err(error)) => {
            tracing::error!(%error, "a task in the background failed; it is made again");
            false
        }
        None => true,
    }
}
