//! The webhook sink: every event in a signed call of its own, in order per partition (and with it
//! per subject), at least once.
//!
//! Each endpoint has a lane for every partition, with the partition's own lease and cursor. A lane
//! tries its oldest event until it is taken or given up; the other lanes go on meanwhile, and so
//! does every other endpoint. What was given up is a dead letter in the store.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;

use crate::clock::SharedClock;
use crate::cloudevents::{CloudEvent, Origin};
use crate::config::{AuditConfig, SinkConfig, WebhookConfig};
use crate::domain::ids::Partition;
use crate::store::SharedStore;
use crate::telemetry::events::outbox::DecisionsDropped;
use crate::telemetry::metrics::{DeliveryLabels, Metrics};

use super::lag::Lag;

mod endpoint;
mod filter;
mod lane;
mod replay;
mod retry;
#[cfg(test)]
mod tests;

use endpoint::{Endpoint, Fault};
use filter::Filter;
use lane::Lane;

/// All partitions of an endpoint together keep so many dead letters.
const DEAD_LETTERS: usize = 10_000;
/// A decision that was not taken is tried again after this, and after twice this.
const DECISION_PAUSE: Duration = Duration::from_secs(1);
const DECISION_TRIES: u32 = 3;

/// The sink's name: the key of its cursors, its metric label, and what the API calls it.
#[must_use]
pub fn name(config: &WebhookConfig) -> String {
    format!("webhook:{}", config.name)
}

/// Those of all endpoints.
#[must_use]
pub fn names(config: &AuditConfig) -> Arc<[Arc<str>]> {
    let name = |sink: &SinkConfig| match sink {
        SinkConfig::Webhook(webhook) => Some(name(webhook).into()),
        SinkConfig::File { .. } | SinkConfig::Stdout => None,
    };
    config.sinks.iter().filter_map(name).collect()
}

/// Every problem of the endpoints that the configuration's reader could not see, with its key.
#[must_use]
pub fn problems(config: &AuditConfig) -> Vec<String> {
    let problem = |(index, sink): (usize, &SinkConfig)| match sink {
        SinkConfig::Webhook(webhook) => {
            let wrong = Endpoint::open(webhook).err()?;
            Some(format!("audit.sinks[{index}].webhook.{wrong}"))
        }
        SinkConfig::File { .. } | SinkConfig::Stdout => None,
    };
    config.sinks.iter().enumerate().filter_map(problem).collect()
}

/// One endpoint, as all its lanes share it.
pub struct Webhook {
    pub name: Arc<str>,
    pub lag: Arc<Lag>,
    endpoint: Endpoint,
    filter: Filter,
    retry_for: Duration,
    store: SharedStore,
    origin: Origin,
    clock: SharedClock,
    metrics: Metrics,
}

/// What endpoints need of the program.
pub struct WebhookContext {
    pub store: SharedStore,
    pub origin: Origin,
    pub clock: SharedClock,
    pub metrics: Metrics,
}

impl Webhook {
    /// # Errors
    /// See [`problems`].
    pub fn open(config: &WebhookConfig, context: WebhookContext) -> Result<Arc<Self>, String> {
        let WebhookContext { store, origin, clock, metrics } = context;
        let name: Arc<str> = name(config).into();
        let lag = Lag::of_lanes(&name, &metrics, store.partitions());
        Ok(Arc::new(Self {
            endpoint: Endpoint::open(config)?,
            filter: Filter::of(config),
            retry_for: config.retry_for,
            name,
            lag,
            store,
            origin,
            clock,
            metrics,
        }))
    }

    /// Starts the lanes. They end after `stop`, when they have tried what there is once more.
    pub fn start(self: &Arc<Self>, stop: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        // Subscribed before the first look, so that nothing falls in between.
        let moved = self.store.moved();
        let partitions: Vec<Partition> = self.store.partitions().all().collect();
        let wakes: Vec<Arc<Notify>> = partitions.iter().map(|_| Arc::default()).collect();
        let lane = |(partition, wake): (&Partition, &Arc<Notify>)| {
            let lane = Lane::new(self, *partition, Arc::clone(wake), stop.clone());
            tokio::spawn(lane.run())
        };
        let mut tasks: Vec<JoinHandle<()>> = partitions.iter().zip(&wakes).map(lane).collect();
        tasks.push(tokio::spawn(wake_lanes(moved, wakes, stop.clone())));
        tasks
    }

    #[must_use]
    pub fn wants_decisions(&self) -> bool {
        self.filter.wants_decisions()
    }

    #[must_use]
    pub fn wants_decision(&self, event_type: &str, subject: Option<&str>) -> bool {
        self.filter.wants_decision(event_type, subject)
    }

    /// Whether it was taken in one of a few tries. A decision has no cursor to come back to.
    pub async fn send_decision(&self, event: &CloudEvent) -> bool {
        for round in 1..=DECISION_TRIES {
            if self.send(event).await.is_ok() {
                return true;
            }
            if round < DECISION_TRIES {
                tokio::time::sleep(DECISION_PAUSE * round).await;
            }
        }
        false
    }

    /// It was tried for as long as a decision is.
    pub fn decision_dropped(&self) {
        DecisionsDropped { sink: &self.name, count: 1 }.emit(&self.metrics);
    }

    async fn send(&self, event: &CloudEvent) -> Result<(), Fault> {
        let sent = self.endpoint.post(event, || self.clock.now()).await;
        self.count(sent.as_ref().map_or_else(|fault| fault.why().word(), |()| "delivered"));
        sent
    }

    fn count(&self, outcome: &'static str) {
        let labels = DeliveryLabels { sink: Arc::clone(&self.name), outcome };
        self.metrics.webhook_calls.get_or_create(&labels).inc();
    }

    fn count_letters(&self, outcome: &'static str, count: usize) {
        if count > 0 {
            let labels = DeliveryLabels { sink: Arc::clone(&self.name), outcome };
            let counter = self.metrics.dead_letters.get_or_create(&labels).clone();
            counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// Of one partition; a store has 10,000 partitions at most by far.
    fn most_letters(&self) -> usize {
        DEAD_LETTERS / usize::from(self.store.partitions().get().max(1))
    }
}

/// Until the order to stop.
async fn wake_lanes(
    mut moved: broadcast::Receiver<Partition>,
    wakes: Vec<Arc<Notify>>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let word = tokio::select! {
            word = moved.recv() => word,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match word {
            Ok(partition) => {
                if let Some(wake) = wakes.get(usize::from(partition.0)) {
                    wake.notify_one();
                }
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {
                for wake in &wakes {
                    wake.notify_one();
                }
            }
            Err(broadcast::error::RecvError::Closed) => {
                // Lanes look by themselves, too.
                let _ = stop.wait_for(|stop| *stop).await;
                return;
            }
        }
    }
}
