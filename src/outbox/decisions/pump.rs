//! Delivers one sink's batches, in order; a failing sink is tried until it takes them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::outbox::backoff::Backoff;
use crate::outbox::lag::Lag;
use crate::outbox::sink::{Lines, Promise, SinkFault, SinkHandle};
use crate::telemetry::events::outbox::{SinkFailed, SinkRecovered};

use super::batch::{Batch, Queued};

/// So many batches become one write when a sink is slow.
const BATCHES_PER_WRITE: usize = 32;

pub struct Pump {
    pub sink: SinkHandle,
    pub lag: Arc<Lag>,
    pub queued: Arc<Queued>,
}

impl Pump {
    pub async fn run(self, mut batches: mpsc::UnboundedReceiver<Arc<Batch>>) {
        let mut batch = Vec::new();
        while batches.recv_many(&mut batch, BATCHES_PER_WRITE).await > 0 {
            self.lag.decisions(batch.iter().filter_map(|batch: &Arc<Batch>| batch.oldest).min());
            self.deliver(joined(&batch)).await;
            for batch in &batch {
                self.queued.sub(batch.size);
            }
            self.lag.decisions(None);
            batch.clear();
        }
    }

    async fn deliver(&self, lines: Lines) {
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

/// One write for many, when a sink is slow.
fn joined(batches: &[Arc<Batch>]) -> Lines {
    match batches {
        [one] => one.lines.clone(),
        several => {
            let lines: Vec<&[u8]> = several.iter().map(|batch| batch.lines.as_ref()).collect();
            lines.concat().into()
        }
    }
}
