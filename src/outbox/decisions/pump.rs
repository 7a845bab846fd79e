//! Delivers one sink's batches, in order; a failing sink is tried until it takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::cloudevents::LineWriter;
use crate::outbox::backoff::Backoff;
use crate::outbox::lag::Lag;
use crate::outbox::sink::{Lines, Promise, SinkFault, SinkHandle};
use crate::telemetry::events::outbox::{SinkFailed, SinkRecovered};

use super::Told;
use super::slots::Batch;

/// So many batches become one write when a sink is slow.
const BATCHES_PER_WRITE: usize = 32;
/// Memory that is kept from one write to the next, in bytes.
const KEPT: usize = 4 * 1024 * 1024;

pub struct Pump {
    pub sink: SinkHandle,
    pub lag: Arc<Lag>,
    pub queued: Arc<AtomicUsize>,
    pub writer: LineWriter,
}

impl Pump {
    pub async fn run(mut self, mut batches: mpsc::UnboundedReceiver<Arc<Batch>>) {
        let (mut batch, mut memory) = (Vec::new(), Vec::new());
        while batches.recv_many(&mut batch, BATCHES_PER_WRITE).await > 0 {
            let records = batch.iter().flat_map(|batch: &Arc<Batch>| &batch.records);
            let count = batch.iter().map(|batch| batch.records.len()).sum();
            self.lag.decisions(records.clone().map(Told::at).min());
            records.for_each(|told| told.write(&mut self.writer, &mut memory));
            let lines = Lines::from(memory);
            self.deliver(&lines).await;
            self.queued.fetch_sub(count, Ordering::Relaxed);
            self.lag.decisions(None);
            batch.clear();
            memory = lines.into_memory().filter(|it| it.capacity() <= KEPT).unwrap_or_default();
        }
    }

    async fn deliver(&self, lines: &Lines) {
        let mut backoff = Backoff::default();
        while let Err(fault) = self.sink.deliver(lines.clone(), Promise::Flushed).await {
            sleep(self.failed(&fault, &mut backoff)).await;
        }
        let tries = backoff.after_success();
        if tries > 0 {
            SinkRecovered { sink: self.sink.name(), what: "decisions", tries }.emit();
        }
    }

    fn failed(&self, fault: &SinkFault, backoff: &mut Backoff) -> Duration {
        let retry_in = backoff.after_failure();
        SinkFailed { sink: self.sink.name(), what: "decisions", fault, retry_in }.emit();
        retry_in
    }
}
