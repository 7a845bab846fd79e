//! How far a sink is behind: `tidegate_outbox_oldest_event_age_seconds`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::ids::{Partition, PartitionCount};
use crate::domain::time::Timestamp;
use crate::telemetry::metrics::{FloatGauge, Metrics, SinkLabel};

/// When the oldest events happened that a sink has not taken; 0 for none.
#[derive(Debug)]
pub struct Lag {
    /// One, or one for each lane.
    transitions: Box<[AtomicU64]>,
    decisions: AtomicU64,
    gauge: FloatGauge,
}

impl Lag {
    #[must_use]
    pub fn new(sink: &Arc<str>, metrics: &Metrics) -> Arc<Self> {
        Self::with(sink, metrics, 1)
    }

    /// Of a sink that takes each partition by itself.
    #[must_use]
    pub fn of_lanes(sink: &Arc<str>, metrics: &Metrics, partitions: PartitionCount) -> Arc<Self> {
        Self::with(sink, metrics, partitions.get())
    }

    fn with(sink: &Arc<str>, metrics: &Metrics, count: u16) -> Arc<Self> {
        let label = SinkLabel { sink: Arc::clone(sink) };
        let gauge = metrics.outbox_age.get_or_create(&label).clone();
        let transitions = (0..count).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { transitions, decisions: AtomicU64::new(0), gauge })
    }

    pub fn transitions(&self, oldest: Option<Timestamp>) {
        self.lane(Partition(0), oldest);
    }

    pub fn lane(&self, partition: Partition, oldest: Option<Timestamp>) {
        if let Some(lane) = self.transitions.get(usize::from(partition.0)) {
            lane.store(oldest.map_or(0, Timestamp::millis), Ordering::Relaxed);
        }
    }

    pub fn decisions(&self, oldest: Option<Timestamp>) {
        self.decisions.store(oldest.map_or(0, Timestamp::millis), Ordering::Relaxed);
    }

    /// Sets the gauge; called by a task of its own, so that the age also grows while a sink hangs.
    pub fn show(&self, now: Timestamp) {
        let waiting = self
            .transitions
            .iter()
            .chain([&self.decisions])
            .map(|oldest| oldest.load(Ordering::Relaxed))
            .filter(|oldest| *oldest != 0);
        let oldest = waiting.min().map_or(now, Timestamp::from_millis);
        self.gauge.set(now.since(oldest).as_secs_f64());
    }
}
