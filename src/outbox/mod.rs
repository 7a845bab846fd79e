//! The outbox: from the store's events and the gateway's decisions to the sinks.
//!
//! ```text
//! store --- relay, one per sink ------------+
//!                                           +--> sink's task --> file, standard output
//! gateway --- decision log --- pump, -------+
//!                              one per sink
//! store --- lanes, one per partition -----------> webhook
//! ```
//!
//! Transitions are in the store before anybody is told of them; a relay delivers them at least
//! once, in order per partition (and with it per subject), and only then moves its cursor. Each
//! sink has its own relay, pump and task: a slow or broken one holds up no other, and nothing of
//! this is on the way of an approval. A sink that stays broken fills the decision log, which then
//! refuses requests or drops records, as configured.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::clock::SharedClock;
use crate::cloudevents::Origin;
use crate::config::{AuditConfig, SinkConfig};
use crate::store::SharedStore;
use crate::telemetry::decision::SharedDecisionLog;
use crate::telemetry::events::outbox::ShutdownLeftBehind;
use crate::telemetry::metrics::Metrics;

mod backoff;
pub mod decisions;
mod lag;
mod relay;
mod sink;
pub mod sinks;
#[cfg(test)]
pub(crate) mod testing;
mod trimmer;
pub mod webhook;

pub use decisions::{BufferedDecisionLog, CAPACITY};
pub use sink::{Delivered, Lines, Promise, Sink, SinkFault, SinkHandle};

use lag::Lag;
use relay::Relay;
use sinks::BatchSink;
use trimmer::Trimmer;
use webhook::{Webhook, WebhookContext};

const SHOW_LAG: Duration = Duration::from_secs(1);

/// The running outbox.
pub struct Outbox {
    log: Arc<BufferedDecisionLog>,
    /// Relays, pumps, the collector and the trimmer: they end by themselves when told to stop.
    tasks: Vec<JoinHandle<()>>,
    lag_task: AbortHandle,
    health: OutboxHealth,
    stop: watch::Sender<bool>,
}

/// What the outbox is made from.
pub struct OutboxParts<'a> {
    pub config: &'a AuditConfig,
    /// `/tidegate/<deployment>`, see [`crate::cloudevents::source`].
    pub source: Arc<str>,
    /// Where the links of notices lead.
    pub public_url: Arc<str>,
    pub store: SharedStore,
    pub metrics: &'a Metrics,
    pub clock: SharedClock,
    /// How many cores record decisions.
    pub cores: usize,
}

impl Outbox {
    /// Starts everything on the current runtime. A sink that cannot be opened now is tried until
    /// it can: nothing is lost meanwhile, and the log refuses when its buffer is full.
    ///
    /// # Errors
    /// Every webhook that cannot be called at all, see [`webhook::problems`].
    pub fn start(parts: OutboxParts<'_>) -> Result<Self, Vec<String>> {
        let hooks = hooks(&parts)?;
        let mut sinks: Vec<SinkHandle> = Vec::new();
        for config in parts.config.sinks.iter().filter_map(BatchSink::of) {
            // The same sink twice would be one cursor for two.
            if sinks.iter().all(|sink| **sink.name() != *config.name()) {
                sinks.push(config.start());
            }
        }
        Ok(Self::over(parts, sinks, &hooks, CAPACITY))
    }

    fn over(
        parts: OutboxParts<'_>,
        sinks: Vec<SinkHandle>,
        hooks: &[Arc<Webhook>],
        capacity: usize,
    ) -> Self {
        let OutboxParts { config, source, public_url, store, metrics, clock, cores } = parts;
        let (stop, stopped) = watch::channel(false);
        let tasks_of_sinks: Vec<(Arc<str>, AbortHandle)> =
            sinks.iter().map(|sink| (Arc::clone(sink.name()), sink.task())).collect();
        let sinks: Vec<(SinkHandle, Arc<Lag>)> = sinks
            .into_iter()
            .map(|sink| {
                let lag = Lag::new(sink.name(), metrics);
                (sink, lag)
            })
            .collect();
        let context = decisions::LogContext {
            source: Arc::clone(&source),
            metrics: metrics.clone(),
            on_full: config.on_full,
            capacity,
            cores,
            stop: stopped.clone(),
        };
        let (log, mut tasks) = BufferedDecisionLog::start(&context, &sinks, hooks);
        for (sink, lag) in &sinks {
            let (store, sink, lag) = (Arc::clone(&store), sink.clone(), Arc::clone(lag));
            let (source, public_url) = (Arc::clone(&source), Arc::clone(&public_url));
            let (origin, stop) = (Origin { source, public_url }, stopped.clone());
            let relay = Relay::new(store, sink, origin, metrics.clone(), lag, stop);
            tasks.push(tokio::spawn(relay.run()));
        }
        tasks.extend(hooks.iter().flat_map(|hook| hook.start(&stopped)));
        let of_hooks = hooks.iter().map(|hook| Arc::clone(&hook.name));
        let trimmer = Trimmer {
            store,
            sinks: sinks
                .iter()
                .map(|(sink, _)| Arc::clone(sink.name()))
                .chain(of_hooks.clone())
                .collect(),
            with_letters: of_hooks.collect(),
            retention: config.retention,
            round: trimmer::ROUND,
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
            stop: stopped,
            places: BTreeMap::new(),
        };
        tasks.push(tokio::spawn(trimmer.run()));
        let of_hooks = hooks.iter().map(|hook| Arc::clone(&hook.lag));
        let lags = sinks.into_iter().map(|(_, lag)| lag).chain(of_hooks).collect();
        let lag_task = tokio::spawn(show_lags(lags, clock)).abort_handle();
        let relays = tasks.iter().map(JoinHandle::abort_handle).collect();
        let health =
            OutboxHealth { log: Arc::clone(&log), sinks: tasks_of_sinks.into(), tasks: relays };
        Self { log, tasks, lag_task, health, stop }
    }

    /// What the gateway records its decisions in.
    #[must_use]
    pub fn decision_log(&self) -> SharedDecisionLog {
        Arc::clone(&self.log) as SharedDecisionLog
    }

    /// For `/readyz`.
    #[must_use]
    pub fn health(&self) -> OutboxHealth {
        self.health.clone()
    }

    /// Delivers everything, but takes no longer than `within`. Call it when the gateway has drained
    /// and nothing commits any more: a record made afterwards is refused. Returns how many decision
    /// records some sink did not take; transitions that are left are in the store and go out after
    /// the next start.
    pub async fn shutdown(self, within: Duration) -> usize {
        let deadline = Instant::now() + within;
        self.stop.send_replace(true);
        let mut late = Vec::new();
        for mut task in self.tasks {
            if timeout_at(deadline, &mut task).await.is_err() {
                late.push(task);
            }
        }
        let decisions = self.log.waiting();
        for task in late {
            task.abort();
        }
        self.lag_task.abort();
        if decisions > 0 {
            ShutdownLeftBehind { decisions }.emit();
        }
        decisions
    }
}

fn hooks(parts: &OutboxParts<'_>) -> Result<Vec<Arc<Webhook>>, Vec<String>> {
    let problems = webhook::problems(parts.config);
    if !problems.is_empty() {
        return Err(problems);
    }
    let hook = |config: &SinkConfig| match config {
        SinkConfig::Webhook(config) => {
            let context = WebhookContext {
                store: Arc::clone(&parts.store),
                origin: Origin {
                    source: Arc::clone(&parts.source),
                    public_url: Arc::clone(&parts.public_url),
                },
                clock: Arc::clone(&parts.clock),
                metrics: parts.metrics.clone(),
            };
            Some(Webhook::open(config, context).map_err(|wrong| vec![wrong]))
        }
        SinkConfig::File { .. } | SinkConfig::Stdout => None,
    };
    parts.config.sinks.iter().filter_map(hook).collect()
}

/// Whether the outbox can do its work.
#[derive(Clone)]
pub struct OutboxHealth {
    log: Arc<BufferedDecisionLog>,
    sinks: Arc<[(Arc<str>, AbortHandle)]>,
    tasks: Arc<[AbortHandle]>,
}

impl OutboxHealth {
    /// # Errors
    /// For people: a sink's task has ended, or requests are refused because the log is full.
    pub fn check(&self) -> Result<(), String> {
        if let Some((name, _)) = self.sinks.iter().find(|(_, task)| task.is_finished()) {
            return Err(format!("the sink {name} has stopped"));
        }
        if self.tasks.iter().any(AbortHandle::is_finished) {
            return Err("a task that delivers events has stopped".to_owned());
        }
        if self.log.refuses() {
            return Err("the decision log is full, requests are refused".to_owned());
        }
        Ok(())
    }
}

async fn show_lags(lags: Vec<Arc<Lag>>, clock: SharedClock) {
    let mut tick = interval(SHOW_LAG);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for lag in &lags {
            lag.show(clock.now());
        }
    }
}

#[cfg(test)]
mod tests;
