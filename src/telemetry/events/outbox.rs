//! Facts of the outbox and the decision log.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::Partition;
use crate::store::{DeadLetter, StoreFault};
use crate::telemetry::events::store_failed;
use crate::telemetry::metrics::{DeliveryLabels, Metrics};

/// A sink did not take a batch; it is tried again.
pub struct SinkFailed<'a> {
    pub sink: &'a str,
    pub what: &'static str,
    pub fault: &'a dyn Display,
    pub retry_in: Duration,
}

impl SinkFailed<'_> {
    pub fn emit(&self) {
        let (sink, what, fault) = (self.sink, self.what, self.fault);
        let retry_in_ms = u64::try_from(self.retry_in.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(sink, what, %fault, retry_in_ms, "a sink did not take its events");
    }
}

/// A sink that had failed took a batch again.
pub struct SinkRecovered<'a> {
    pub sink: &'a str,
    pub what: &'static str,
    pub tries: u32,
}

impl SinkRecovered<'_> {
    pub fn emit(&self) {
        let (sink, what, tries) = (self.sink, self.what, self.tries);
        tracing::info!(sink, what, tries, "a sink takes its events again");
    }
}

/// An event is a dead letter now.
pub struct EventGivenUp<'a> {
    pub sink: &'a str,
    pub letter: &'a DeadLetter,
    pub fault: &'a dyn Display,
    /// Older letters that made room.
    pub dropped: usize,
}

impl EventGivenUp<'_> {
    pub fn emit(&self) {
        let Self { sink, letter, fault, dropped } = self;
        let (id, event_type, tries) = (&letter.id, &letter.event_type, letter.tries);
        tracing::error!(sink, id, event_type, tries, %fault, dropped, "an event became a dead letter");
    }
}

/// A dead letter was tried again, because somebody asked for it.
pub struct LetterReplayed<'a> {
    pub sink: &'a str,
    pub letter: &'a DeadLetter,
    /// `delivered`, `gone`, or why it was not taken.
    pub outcome: &'static str,
}

impl LetterReplayed<'_> {
    pub fn emit(&self) {
        let (sink, id, outcome) = (self.sink, &self.letter.id, self.outcome);
        tracing::info!(sink, id, outcome, "a dead letter was tried again");
    }
}

/// Somebody asked for dead letters to be sent again.
pub struct ReplayAsked<'a> {
    pub sink: &'a str,
    pub actor: &'a str,
    pub count: usize,
}

impl ReplayAsked<'_> {
    pub fn emit(&self) {
        let Self { sink, actor, count } = self;
        tracing::info!(sink, actor, count, "dead letters are to be sent again");
    }
}

/// Dead letters that nobody asked for within the retention.
pub struct LettersExpired<'a> {
    pub sink: &'a Arc<str>,
    pub partition: Partition,
    pub count: usize,
}

impl LettersExpired<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        let labels = DeliveryLabels { sink: Arc::clone(self.sink), outcome: "expired" };
        let count = u64::try_from(self.count).unwrap_or(u64::MAX);
        metrics.dead_letters.get_or_create(&labels).inc_by(count);
        let (sink, partition) = (&**self.sink, self.partition);
        tracing::warn!(sink, %partition, count, "dead letters past the retention are gone");
    }
}

/// The relay could not read a partition's events, or not note how far a sink has come.
pub struct RelayStoreFailed<'a> {
    pub sink: &'a str,
    pub partition: Partition,
    pub fault: &'a StoreFault,
}

impl RelayStoreFailed<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        let Some(untold) = store_failed(metrics, self.fault, "outbox") else { return };
        let (sink, partition, fault) = (self.sink, self.partition, self.fault);
        tracing::warn!(sink, %partition, %fault, untold, "the outbox could not use the store");
    }
}

/// What was old and everybody had is gone from a partition.
pub struct Trimmed {
    pub partition: Partition,
    /// Entries of the log.
    pub entries: usize,
    pub grants: usize,
    pub requests: usize,
}

impl Trimmed {
    pub fn emit(&self) {
        let Self { partition, entries, grants, requests } = self;
        tracing::debug!(%partition, entries, grants, requests, "history past the retention is gone");
    }
}

/// The store could not be asked to forget, or something that it keeps cannot be trusted.
pub struct RetentionFailed<'a> {
    pub partition: Partition,
    pub fault: &'a StoreFault,
}

impl RetentionFailed<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        let Some(untold) = store_failed(metrics, self.fault, "retention") else { return };
        let (partition, fault) = (self.partition, self.fault);
        tracing::warn!(%partition, %fault, untold, "history past the retention could not be removed");
    }
}

/// The buffer of the decision log has become full (told once until it has room again).
pub struct DecisionLogFilled {
    pub capacity: usize,
    /// Whether requests are refused until there is room; else records are dropped and counted.
    pub refusing: bool,
}

impl DecisionLogFilled {
    pub fn emit(&self) {
        let (capacity, refusing) = (self.capacity, self.refusing);
        tracing::error!(capacity, refusing, "the decision log is full: a sink does not keep up");
    }
}

/// Records that one sink will never see, because it was too far behind.
pub struct DecisionsDropped<'a> {
    pub sink: &'a str,
    pub count: usize,
}

impl DecisionsDropped<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        metrics.decisions_dropped.inc_by(u64::try_from(self.count).unwrap_or(u64::MAX));
        let (sink, count) = (self.sink, self.count);
        tracing::warn!(sink, count, "decision records were dropped for a sink that lags");
    }
}

/// The program ends while sinks have not taken everything.
pub struct ShutdownLeftBehind {
    pub decisions: usize,
}

impl ShutdownLeftBehind {
    pub fn emit(&self) {
        let decisions = self.decisions;
        tracing::error!(decisions, "sinks did not take everything before the end");
    }
}
