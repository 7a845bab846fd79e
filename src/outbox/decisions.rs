//! The decision log: a bounded buffer that the data plane pushes records into, and the tasks that
//! take them to every sink within [`GATHER`] and the sink's own time.
//!
//! A record is pushed before its request is forwarded and is on its way to the sinks 20 ms later;
//! a crash of the process in between loses it (100 ms are allowed). Without any sink records are
//! discarded: `tidegate_requests_total` still counts every decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::cloudevents::{self, CloudEvent};
use crate::config::OnFull;
use crate::domain::time::Timestamp;
use crate::telemetry::decision::{DecisionLog, DecisionLogFull, DecisionRecord, LeaseCut};
use crate::telemetry::events::outbox::{
    DecisionLogFilled, DecisionsDropped, SinkFailed, SinkRecovered,
};
use crate::telemetry::metrics::Metrics;

use super::backoff::Backoff;
use super::lag::Lag;
use super::sink::{Events, Promise, SinkFault, SinkHandle};
use super::webhook::Webhook;
use hooks::ToHook;

/// How many records wait at most (about 1 KiB each).
pub const CAPACITY: usize = 65_536;
/// How long records are gathered, so that one wake-up and one write serve many of them.
const GATHER: Duration = Duration::from_millis(20);
/// A batch that is handed to the sinks has at most so many.
const BATCH: usize = 2048;
/// So many batches become one write when a sink is slow.
const BATCHES_PER_WRITE: usize = 32;

/// What the data plane tells.
#[derive(Clone)]
enum Told {
    Decision(Arc<DecisionRecord>),
    Cut(Arc<LeaseCut>),
}

impl Told {
    fn at(&self) -> Timestamp {
        match self {
            Self::Decision(record) => record.at,
            Self::Cut(cut) => cut.at,
        }
    }

    fn event_type(&self) -> &'static str {
        match self {
            Self::Decision(record) => cloudevents::decision_type(record.allowed),
            Self::Cut(_) => cloudevents::CUT_TYPE,
        }
    }

    fn subject(&self) -> Option<&str> {
        match self {
            Self::Decision(record) => record.subject.as_deref(),
            Self::Cut(cut) => cut.record.subject.as_deref(),
        }
    }

    fn event(&self, source: &str) -> CloudEvent {
        match self {
            Self::Decision(record) => CloudEvent::of_decision(record, source),
            Self::Cut(cut) => CloudEvent::of_cut(cut, source),
        }
    }
}

/// The front of the log: what the gateway holds.
pub struct BufferedDecisionLog {
    /// `None` without sinks.
    queue: Option<mpsc::UnboundedSender<Told>>,
    slots: Arc<Slots>,
    /// The records in each pump.
    queued: Vec<Arc<AtomicUsize>>,
    on_full: OnFull,
    dropped: Counter,
}

/// What every part of the log needs.
#[derive(Clone)]
pub struct LogContext {
    pub source: Arc<str>,
    pub metrics: Metrics,
    pub on_full: OnFull,
    pub capacity: usize,
    pub stop: watch::Receiver<bool>,
}

impl BufferedDecisionLog {
    /// Starts the log's tasks. They end after `stop`, when every record was taken by every sink.
    #[must_use]
    pub fn start(
        context: &LogContext,
        sinks: &[(SinkHandle, Arc<Lag>)],
        hooks: &[Arc<Webhook>],
    ) -> (Arc<Self>, Vec<tokio::task::JoinHandle<()>>) {
        let slots = Arc::new(Slots::new(context.capacity));
        let dropped = context.metrics.decisions_dropped.clone();
        let on_full = context.on_full;
        let hooks = hooks.iter().filter(|hook| hook.wants_decisions());
        if sinks.is_empty() && hooks.clone().next().is_none() {
            let log = Self { queue: None, slots, queued: Vec::new(), on_full, dropped };
            return (Arc::new(log), Vec::new());
        }
        let (queue, records) = mpsc::unbounded_channel();
        let mut tasks = Vec::new();
        let mut pumps = Vec::new();
        for (sink, lag) in sinks {
            let (pump, batches) = mpsc::unbounded_channel();
            let queued = Arc::new(AtomicUsize::new(0));
            let name = Arc::clone(sink.name());
            pumps.push(ToPump { name, queue: pump, queued: Arc::clone(&queued) });
            let (sink, lag) = (sink.clone(), Arc::clone(lag));
            let pump = Pump { sink, lag, queued, source: Arc::clone(&context.source) };
            tasks.push(tokio::spawn(pump.run(batches)));
        }
        let queued = pumps.iter().map(|pump| Arc::clone(&pump.queued)).collect();
        let hooks = hooks.map(|hook| ToHook::start(hook, &context.source, &mut tasks)).collect();
        let collector =
            Collector { pumps, hooks, slots: Arc::clone(&slots), context: context.clone() };
        tasks.push(tokio::spawn(collector.run(records)));
        (Arc::new(Self { queue: Some(queue), slots, queued, on_full, dropped }), tasks)
    }

    /// How many records some sink has not taken yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let taken = self.slots.taken.load(Ordering::Relaxed);
        let queued = self.queued.iter().map(|queued| queued.load(Ordering::Relaxed)).max();
        match self.on_full {
            OnFull::Refuse => taken,
            OnFull::Drop => taken.saturating_add(queued.unwrap_or(0)),
        }
    }

    /// Whether requests are being refused because the buffer is full.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.on_full == OnFull::Refuse && self.waiting() >= self.slots.capacity
    }

    fn full(&self) -> Result<(), DecisionLogFull> {
        match self.on_full {
            OnFull::Refuse => {
                self.tell_full();
                Err(DecisionLogFull)
            }
            OnFull::Drop => {
                self.dropped_one();
                Ok(())
            }
        }
    }

    fn dropped_one(&self) {
        self.tell_full();
        self.dropped.inc();
    }

    fn tell_full(&self) {
        let refusing = self.on_full == OnFull::Refuse;
        if !self.slots.told_full.swap(true, Ordering::Relaxed) {
            DecisionLogFilled { capacity: self.slots.capacity, refusing }.emit();
        }
    }
}

impl DecisionLog for BufferedDecisionLog {
    fn record(&self, record: Arc<DecisionRecord>) -> Result<(), DecisionLogFull> {
        let Some(queue) = &self.queue else { return Ok(()) };
        if !self.slots.take() {
            return self.full();
        }
        queue.send(Told::Decision(record)).or_else(|_closed| {
            self.slots.free(1);
            self.full()
        })
    }

    fn cut(&self, cut: Arc<LeaseCut>) {
        let Some(queue) = &self.queue else { return };
        if !self.slots.take() {
            return self.dropped_one();
        }
        if queue.send(Told::Cut(cut)).is_err() {
            self.slots.free(1);
            self.dropped_one();
        }
    }
}

/// The room in the buffer.
struct Slots {
    taken: AtomicUsize,
    capacity: usize,
    told_full: AtomicBool,
}

impl Slots {
    const fn new(capacity: usize) -> Self {
        Self { taken: AtomicUsize::new(0), capacity, told_full: AtomicBool::new(false) }
    }

    fn take(&self) -> bool {
        let free = self.taken.fetch_add(1, Ordering::Relaxed) < self.capacity;
        if !free {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
        free
    }

    fn free(&self, count: usize) {
        let before = self.taken.fetch_sub(count, Ordering::Relaxed);
        if before.saturating_sub(count) < self.capacity / 4 * 3 {
            self.told_full.store(false, Ordering::Relaxed);
        }
    }
}

/// Records on their way to the sinks. Their slots are free again when the last of them is gone.
struct Batch {
    records: Vec<Told>,
    slots: Arc<Slots>,
    /// How many slots they still hold.
    held: usize,
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.slots.free(self.held);
    }
}

struct ToPump {
    name: Arc<str>,
    queue: mpsc::UnboundedSender<Arc<Batch>>,
    queued: Arc<AtomicUsize>,
}

/// Takes records out of the buffer and hands each batch to every sink's pump.
struct Collector {
    pumps: Vec<ToPump>,
    hooks: Vec<ToHook>,
    slots: Arc<Slots>,
    context: LogContext,
}

impl Collector {
    async fn run(mut self, mut records: mpsc::UnboundedReceiver<Told>) {
        let mut stop = self.context.stop.clone();
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                found = records.recv_many(&mut batch, 1) => if found == 0 { break },
            }
            // Waiting here, and not for the next record, keeps the cores from waking this task
            // once for every record.
            let _ = timeout(GATHER, stopped(&mut stop)).await;
            self.drain(batch, &mut records);
        }
        records.close();
        let mut rest = Vec::new();
        while records.recv_many(&mut rest, BATCH).await > 0 {
            self.hand_on(std::mem::take(&mut rest));
        }
    }

    fn drain(&mut self, mut batch: Vec<Told>, records: &mut mpsc::UnboundedReceiver<Told>) {
        while let Ok(record) = records.try_recv() {
            batch.push(record);
            if batch.len() >= BATCH {
                self.hand_on(std::mem::take(&mut batch));
            }
        }
        if !batch.is_empty() {
            self.hand_on(batch);
        }
    }

    fn hand_on(&self, records: Vec<Told>) {
        for hook in &self.hooks {
            hook.hand_on(&records, &self.context.metrics);
        }
        let count = records.len();
        // A dropping log frees the slots here and bounds each pump's queue instead, so that one
        // dead sink costs the others nothing.
        let held = match self.context.on_full {
            OnFull::Refuse => count,
            OnFull::Drop => {
                self.slots.free(count);
                0
            }
        };
        let batch = Arc::new(Batch { records, slots: Arc::clone(&self.slots), held });
        for pump in &self.pumps {
            let queued = pump.queued.load(Ordering::Relaxed);
            if held == 0 && queued.saturating_add(count) > self.context.capacity {
                DecisionsDropped { sink: &pump.name, count }.emit(&self.context.metrics);
                continue;
            }
            pump.queued.fetch_add(count, Ordering::Relaxed);
            let _ = pump.queue.send(Arc::clone(&batch));
        }
    }
}

/// Returns at once when the order to stop was given, or nobody is left to give it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Delivers one sink's batches, in order; a failing sink is tried until it takes them.
struct Pump {
    sink: SinkHandle,
    lag: Arc<Lag>,
    queued: Arc<AtomicUsize>,
    source: Arc<str>,
}

impl Pump {
    async fn run(self, mut batches: mpsc::UnboundedReceiver<Arc<Batch>>) {
        let mut batch = Vec::new();
        while batches.recv_many(&mut batch, BATCHES_PER_WRITE).await > 0 {
            let records = batch.iter().flat_map(|batch: &Arc<Batch>| &batch.records);
            let count = records.clone().count();
            self.lag.decisions(records.clone().map(Told::at).min());
            let events: Events = records.map(|record| record.event(&self.source)).collect();
            self.deliver(&events).await;
            self.queued.fetch_sub(count, Ordering::Relaxed);
            self.lag.decisions(None);
            batch.clear();
        }
    }

    async fn deliver(&self, events: &Events) {
        let mut backoff = Backoff::default();
        while let Err(fault) = self.sink.deliver(Arc::clone(events), Promise::Flushed).await {
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

mod hooks;
#[cfg(test)]
mod tests;
