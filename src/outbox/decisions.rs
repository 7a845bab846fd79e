//! The decision log: a bounded buffer that the data plane pushes records into, and the tasks that
//! take them to every sink within [`GATHER`] and the sink's own time.
//!
//! A record is pushed before its request is forwarded and is on its way to the sinks 20 ms later;
//! a crash of the process in between loses it (100 ms are allowed). Without any sink records are
//! discarded: `tidegate_requests_total` still counts every decision.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::config::OnFull;
use crate::telemetry::decision::{DecisionLog, DecisionLogFull, DecisionRecord, LeaseCut};
use crate::telemetry::events::outbox::{DecisionLogFilled, DecisionsDropped};
use crate::telemetry::metrics::Metrics;

use super::lag::Lag;
use super::sink::SinkHandle;
use super::webhook::Webhook;
use batch::{Batch, Home, Queued, batches};
use block::Block;
use buffers::{Buffers, Wants};
use hooks::ToHook;
use pump::Pump;
use slots::{BYTES_EACH, Slots, Ticket};
use told::{Telling, Told};

mod batch;
mod block;
mod buffers;
mod hooks;
mod pump;
mod slots;
mod told;

/// How many records wait at most (about 1 KiB each, and 2 KiB each altogether).
pub const CAPACITY: usize = 65_536;
/// How long records are gathered, so that one wake-up and one write serve many of them.
const GATHER: Duration = Duration::from_millis(20);

/// The front of the log: what the gateway holds.
pub struct BufferedDecisionLog {
    /// `None` without sinks.
    buffers: Option<Arc<Buffers>>,
    slots: Arc<Slots>,
    /// What is in each pump.
    queued: Vec<Arc<Queued>>,
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
    /// How many cores record decisions.
    pub cores: usize,
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
            let log = Self { buffers: None, slots, queued: Vec::new(), on_full, dropped };
            return (Arc::new(log), Vec::new());
        }
        let wants = Wants {
            lines: (!sinks.is_empty()).then_some(&*context.source),
            told: hooks.clone().next().is_some(),
        };
        let buffers = Arc::new(Buffers::new(context.cores, wants));
        let mut tasks = Vec::new();
        let mut pumps = Vec::new();
        for (sink, lag) in sinks {
            let (pump, batches) = mpsc::unbounded_channel();
            let queued = Arc::new(Queued::default());
            let name = Arc::clone(sink.name());
            pumps.push(ToPump { name, queue: pump, queued: Arc::clone(&queued) });
            let (sink, lag) = (sink.clone(), Arc::clone(lag));
            let pump = Pump { sink, lag, queued };
            tasks.push(tokio::spawn(pump.run(batches)));
        }
        let queued = pumps.iter().map(|pump| Arc::clone(&pump.queued)).collect();
        let hooks = hooks.map(|hook| ToHook::start(hook, &context.source, &mut tasks)).collect();
        let collector = Collector {
            buffers: Arc::clone(&buffers),
            pumps,
            hooks,
            home: Home::new(Arc::clone(&slots)),
            context: context.clone(),
        };
        tasks.push(tokio::spawn(collector.run()));
        (Arc::new(Self { buffers: Some(buffers), slots, queued, on_full, dropped }), tasks)
    }

    /// How many records some sink has not taken yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let taken = self.slots.taken();
        let queued = self.queued.iter().map(|queued| queued.size().records).max();
        match self.on_full {
            OnFull::Refuse => taken,
            OnFull::Drop => taken.saturating_add(queued.unwrap_or(0)),
        }
    }

    /// Whether requests are being refused because the buffer is full.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.on_full == OnFull::Refuse && self.waiting() >= self.slots.capacity()
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
        if self.slots.first_full() {
            DecisionLogFilled { capacity: self.slots.capacity(), refusing }.emit();
        }
    }
}

impl DecisionLog for BufferedDecisionLog {
    fn record(&self, core: usize, record: &Arc<DecisionRecord>) -> Result<(), DecisionLogFull> {
        let Some(buffers) = &self.buffers else { return Ok(()) };
        let taken = buffers.push(core, Telling::Decision(record), &self.slots);
        taken.or_else(|_no_room| self.full())
    }

    fn cut(&self, cut: Arc<LeaseCut>) {
        let Some(buffers) = &self.buffers else { return };
        if buffers.push(0, Telling::Cut(&cut), &self.slots).is_err() {
            self.dropped_one();
        }
    }
}

struct ToPump {
    name: Arc<str>,
    queue: mpsc::UnboundedSender<Arc<Batch>>,
    queued: Arc<Queued>,
}

/// Takes lines out of the buffers and hands each batch to every sink's pump.
struct Collector {
    buffers: Arc<Buffers>,
    pumps: Vec<ToPump>,
    hooks: Vec<ToHook>,
    home: Arc<Home>,
    context: LogContext,
}

/// However the collector ends: what nobody would take is refused.
impl Drop for Collector {
    fn drop(&mut self) {
        self.buffers.close();
    }
}

impl Collector {
    async fn run(self) {
        let mut stop = self.context.stop.clone();
        let (mut blocks, mut is_idle) = (Vec::new(), true);
        loop {
            if is_idle {
                tokio::select! {
                    biased;
                    () = stopped(&mut stop) => break,
                    () = self.buffers.filled() => (),
                }
            }
            // Waiting here, and not for the next record, keeps the cores from waking this task
            // once for every record.
            if timeout(GATHER, stopped(&mut stop)).await.is_ok() {
                break;
            }
            is_idle = !self.drain(&mut blocks);
        }
        self.buffers.close();
        self.drain(&mut blocks);
    }

    /// Whether there was anything.
    fn drain(&self, blocks: &mut Vec<Block>) -> bool {
        let any = self.buffers.take_all(blocks);
        self.tell_hooks(blocks);
        // A dropping log frees the slots here and bounds each pump's queue instead, so that one
        // dead sink costs the others nothing.
        let holds = match self.context.on_full {
            OnFull::Refuse => true,
            OnFull::Drop => false,
        };
        batches(blocks, &self.home, holds, |batch| self.hand_on(&Arc::new(batch), holds));
        blocks.iter_mut().for_each(Block::clear);
        any
    }

    fn tell_hooks(&self, blocks: &[Block]) {
        let mut told: Vec<&(Ticket, Told)> = blocks.iter().flat_map(|block| &block.told).collect();
        told.sort_by_key(|(ticket, _)| *ticket);
        for hook in &self.hooks {
            hook.hand_on(told.iter().map(|(_, told)| told), &self.context.metrics);
        }
    }

    fn hand_on(&self, batch: &Arc<Batch>, holds: bool) {
        let capacity = self.context.capacity;
        for pump in &self.pumps {
            let (queued, size) = (pump.queued.size(), batch.size);
            let is_full = queued.records.saturating_add(size.records) > capacity
                || queued.bytes.saturating_add(size.bytes) > capacity.saturating_mul(BYTES_EACH);
            if !holds && is_full {
                let count = size.records;
                DecisionsDropped { sink: &pump.name, count }.emit(&self.context.metrics);
                continue;
            }
            pump.queued.add(size);
            let _ = pump.queue.send(Arc::clone(batch));
        }
    }
}

/// Returns at once when the order to stop was given, or nobody is left to give it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
