//! The relay of one sink: every partition's events from the store to the sink, in order, at least
//! once. Of several processes one delivers a partition: it holds the partition's lease, and only the
//! holder moves the cursor. The cursor moves only after the sink has taken them, so a crash at any point repeats
//! events (with the same ids) and loses none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

use crate::cloudevents::{CloudEvent, Origin};
use crate::domain::ids::Partition;
use crate::domain::time::Timestamp;
use crate::store::{RELAY_LIFE, SharedStore, StoreFault, StoredEvent};
use crate::telemetry::events::outbox::{RelayStoreFailed, SinkFailed, SinkRecovered};
use crate::telemetry::metrics::Metrics;

use super::backoff::Backoff;
use super::lag::Lag;
use super::sink::{Lines, Promise, SinkFault, SinkHandle};

/// Without a word from the store, this often every partition is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// A partition that is delivered is claimed again after this time.
const RENEW_AFTER: Duration = Duration::from_secs(3);
/// About so many events are held at once.
const EVENTS_AT_ONCE: usize = 2048;

pub struct Relay {
    store: SharedStore,
    sink: SinkHandle,
    origin: Origin,
    metrics: Metrics,
    lag: Arc<Lag>,
    stop: watch::Receiver<bool>,
    moved: Option<broadcast::Receiver<Partition>>,
    /// Partitions that may have events for the sink.
    dirty: BTreeSet<Partition>,
    /// Of the partitions that this process delivers.
    progress: BTreeMap<Partition, Progress>,
}

/// How far the sink is in a partition, and how far its cursor says it is.
#[derive(Clone, Copy, Debug)]
struct Progress {
    delivered: u64,
    saved: u64,
    /// When the partition was claimed last.
    claimed: Instant,
}

/// What one look at the dirty partitions found.
#[derive(Default)]
struct Gathered {
    events: Vec<CloudEvent>,
    /// The last sequence number of each partition in it.
    upto: Vec<(Partition, u64)>,
    oldest: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Moved,
    Idle,
    /// The store could not be asked about some partition.
    StoreFailed,
}

impl Relay {
    #[must_use]
    pub fn new(
        store: SharedStore,
        sink: SinkHandle,
        origin: Origin,
        metrics: Metrics,
        lag: Arc<Lag>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let (moved, dirty) = (Some(store.moved()), store.partitions().all().collect());
        let progress = BTreeMap::new();
        Self { store, sink, origin, metrics, lag, stop, moved, dirty, progress }
    }

    /// Until it is told to stop; then it tries once more to deliver what there is.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut tick = interval(LOOK_AGAIN);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_look = false;
        loop {
            let stopping = *self.stop.borrow() || self.stop.has_changed().is_err();
            if stopping && !std::mem::replace(&mut last_look, true) {
                self.look_everywhere();
            }
            let pause = match self.pass().await {
                Ok(Pass::StoreFailed) => Some(backoff.after_failure()),
                Ok(Pass::Idle) if stopping => return,
                Ok(Pass::Moved) => {
                    self.recovered(backoff.after_success());
                    continue;
                }
                Ok(Pass::Idle) => None,
                Err(fault) => Some(self.failed(&fault, backoff.after_failure())),
            };
            match pause {
                Some(_) if stopping => return,
                Some(pause) => self.pause(pause).await,
                None => self.wait(&mut tick).await,
            }
        }
    }

    /// Delivers what the dirty partitions have, then moves their cursors.
    async fn pass(&mut self) -> Result<Pass, SinkFault> {
        let (gathered, mut readable) = self.gather().await;
        self.lag.transitions(gathered.oldest);
        let found = !gathered.events.is_empty();
        if found {
            self.sink.deliver(Lines::of(&gathered.events)?, Promise::Forced).await?;
            for (partition, seq) in gathered.upto {
                if let Some(progress) = self.progress.get_mut(&partition) {
                    progress.delivered = seq;
                }
            }
            self.lag.transitions(None);
        }
        readable &= self.save().await;
        Ok(match (readable, found) {
            (false, _) => Pass::StoreFailed,
            (true, true) => Pass::Moved,
            (true, false) => Pass::Idle,
        })
    }

    /// A partition stays dirty until a read finds nothing. One that cannot be read does not hold up
    /// the others.
    async fn gather(&mut self) -> (Gathered, bool) {
        let (mut gathered, mut readable) = (Gathered::default(), true);
        for partition in std::mem::take(&mut self.dirty) {
            match self.read(partition).await {
                Ok(events) if events.is_empty() => (),
                Ok(events) => {
                    self.dirty.insert(partition);
                    gathered.add(partition, &events, &self.origin);
                }
                Err(fault) => {
                    self.dirty.insert(partition);
                    self.store_failed(partition, &fault);
                    readable = false;
                }
            }
        }
        (gathered, readable)
    }

    /// Nothing, too, when another process delivers this partition.
    async fn read(&mut self, partition: Partition) -> Result<Vec<StoredEvent>, StoreFault> {
        let Some(after) = self.claim(partition).await? else { return Ok(Vec::new()) };
        let limit = EVENTS_AT_ONCE / usize::from(self.store.partitions().get().max(1));
        self.store.read_events(partition, after, limit.max(1)).await
    }

    /// Up to where this process delivered; `None`: it is another's.
    async fn claim(&mut self, partition: Partition) -> Result<Option<u64>, StoreFault> {
        let known = self.progress.get(&partition).copied();
        if let Some(progress) = known.filter(|known| known.claimed.elapsed() < RENEW_AFTER) {
            return Ok(Some(progress.delivered));
        }
        let claimed = Instant::now();
        if !self.store.claim(self.sink.name(), partition).await? {
            self.progress.remove(&partition);
            return Ok(None);
        }
        // Whoever had it before may have come further, and said so with the cursor.
        let fresh = known.filter(|known| known.claimed.elapsed() < RELAY_LIFE);
        let progress = if let Some(progress) = fresh {
            Progress { claimed, ..progress }
        } else {
            let seq = self.store.cursor(self.sink.name(), partition).await?;
            Progress { delivered: seq, saved: seq, claimed }
        };
        self.progress.insert(partition, progress);
        Ok(Some(progress.delivered))
    }

    /// All cursors at once, so that the store can write them together. Whether it wrote all.
    async fn save(&mut self) -> bool {
        let mut saves = JoinSet::new();
        for (&partition, progress) in &self.progress {
            if progress.saved != progress.delivered {
                let (store, sink) = (Arc::clone(&self.store), Arc::clone(self.sink.name()));
                let seq = progress.delivered;
                saves.spawn(async move {
                    (partition, seq, store.set_cursor(&sink, partition, seq).await)
                });
            }
        }
        let mut all = true;
        while let Some(Ok((partition, seq, answer))) = saves.join_next().await {
            match (answer, self.progress.get_mut(&partition)) {
                (Ok(true), Some(progress)) => progress.saved = seq,
                (Ok(true), None) => (),
                // Another process has it now, and delivers again what it cannot know of.
                (Ok(false), _) => {
                    self.progress.remove(&partition);
                }
                (Err(fault), _) => {
                    self.store_failed(partition, &fault);
                    all = false;
                }
            }
        }
        all
    }

    async fn wait(&mut self, tick: &mut Interval) {
        tokio::select! {
            word = next_word(&mut self.moved) => self.note(&word),
            _ = tick.tick() => self.look_everywhere(),
            _ = self.stop.changed() => (),
        }
        while let Some(moved) = &mut self.moved {
            match moved.try_recv() {
                Ok(partition) => self.note(&Ok(partition)),
                Err(TryRecvError::Lagged(missed)) => self.note(&Err(RecvError::Lagged(missed))),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
    }

    fn note(&mut self, word: &Result<Partition, RecvError>) {
        match word {
            Ok(partition) => {
                self.dirty.insert(*partition);
            }
            Err(RecvError::Lagged(_)) => self.look_everywhere(),
            Err(RecvError::Closed) => self.moved = None,
        }
    }

    fn look_everywhere(&mut self) {
        self.dirty.extend(self.store.partitions().all());
    }

    /// Cut short only by the order to stop: a failing sink is not tried sooner because there is
    /// more for it.
    async fn pause(&mut self, pause: Duration) {
        let _ = timeout(pause, self.stop.changed()).await;
    }

    fn store_failed(&self, partition: Partition, fault: &StoreFault) {
        RelayStoreFailed { sink: self.sink.name(), partition, fault }.emit(&self.metrics);
    }

    fn failed(&self, fault: &SinkFault, retry_in: Duration) -> Duration {
        SinkFailed { sink: self.sink.name(), what: "transitions", fault, retry_in }.emit();
        retry_in
    }

    fn recovered(&self, tries: u32) {
        if tries > 0 {
            SinkRecovered { sink: self.sink.name(), what: "transitions", tries }.emit();
        }
    }
}

impl Gathered {
    fn add(&mut self, partition: Partition, events: &[StoredEvent], origin: &Origin) {
        self.events.extend(events.iter().map(|event| CloudEvent::of_stored(event, origin)));
        self.upto.extend(events.last().map(|last| (partition, last.seq)));
        let oldest = events.iter().map(|event| event.event.at).min();
        self.oldest = self.oldest.into_iter().chain(oldest).min();
    }
}

/// The next word of the store; never, when it has none to give any more.
async fn next_word(
    moved: &mut Option<broadcast::Receiver<Partition>>,
) -> Result<Partition, RecvError> {
    match moved {
        Some(moved) => moved.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
