use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::ManualClock;
use crate::config::{AuditConfig, Glob, OnFull, SinkConfig, WebhookConfig, WebhookSecret};
use crate::domain::ids::Partition;
use crate::domain::time::Timestamp;
use crate::outbox::testing::{EventStore, SOURCE, eventually, record, sequences};
use crate::outbox::{Outbox, OutboxParts};
use crate::store::{DeadLetter, LetterChange, LetterWhy, Store};
use crate::telemetry::metrics::{DeliveryLabels, Metrics, SinkLabel};

mod lanes;
mod letters;
mod receiver;

pub use receiver::{Call, Receiver, Reply};

const SECRET: [u8; 32] = [7; 32];
const OLD_SECRET: [u8; 24] = [8; 24];
/// All events of the fake store happened then.
const HAPPENED: Timestamp = Timestamp::from_millis(1_000);
const DAY: Duration = Duration::from_secs(86_400);

pub fn config(name: &str, receiver: &Receiver) -> WebhookConfig {
    WebhookConfig {
        name: name.into(),
        url: receiver.url.parse().expect("an address"),
        secrets: [&SECRET[..], &OLD_SECRET].map(|it| WebhookSecret(it.into())).to_vec(),
        types: None,
        subjects: None,
        timeout: Duration::from_secs(30),
        retry_for: DAY,
        ca: None,
        max_in_flight: 8,
    }
}

/// A gateway process: it ends with the scene.
pub struct Scene {
    pub store: Arc<EventStore>,
    pub clock: Arc<ManualClock>,
    pub metrics: Metrics,
    pub outbox: Outbox,
}

impl Scene {
    pub fn start(store: &Arc<EventStore>, hooks: &[WebhookConfig]) -> Self {
        let sinks = hooks.iter().map(|it| SinkConfig::Webhook(Box::new(it.clone()))).collect();
        let config = AuditConfig { retention: DAY, on_full: OnFull::Refuse, sinks };
        let clock = ManualClock::at(HAPPENED);
        let (metrics, store) = (Metrics::unregistered(), Arc::clone(store));
        let parts = OutboxParts {
            config: &config,
            source: SOURCE.into(),
            public_url: "http://api.test".into(),
            store: store.clone(),
            metrics: &metrics,
            clock: clock.clone(),
            cores: 1,
        };
        let outbox = Outbox::start(parts).expect("starts");
        Self { store, clock, metrics, outbox }
    }

    /// Time passes, and every lane looks whether its pause is over.
    pub fn pass(&self, span: Duration) {
        self.clock.advance(span);
        for partition in 0..4 {
            self.store.append(partition, 0);
        }
    }

    /// Lets time pass until `done`.
    pub async fn pass_until(&self, what: &str, done: impl Fn() -> bool) {
        eventually(what, || {
            let is_done = done();
            if !is_done {
                self.pass(Duration::from_mins(1));
            }
            is_done
        })
        .await;
    }

    pub fn calls(&self, sink: &str, outcome: &'static str) -> u64 {
        let labels = DeliveryLabels { sink: format!("webhook:{sink}").into(), outcome };
        self.metrics.webhook_calls.get_or_create(&labels).get()
    }

    pub fn letters_counted(&self, sink: &str, outcome: &'static str) -> u64 {
        let labels = DeliveryLabels { sink: format!("webhook:{sink}").into(), outcome };
        self.metrics.dead_letters.get_or_create(&labels).get()
    }

    pub fn age(&self, sink: &str) -> f64 {
        let label = SinkLabel { sink: format!("webhook:{sink}").into() };
        self.metrics.outbox_age.get_or_create(&label).get()
    }
}

/// The sequences that each partition arrived with, each once, in the order of their first call.
pub fn order(calls: &[Call]) -> BTreeMap<u16, Vec<String>> {
    let mut all: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for call in calls {
        let seen = all.entry(call.partition()).or_default();
        let sequence = call.event["sequence"].as_str().expect("a sequence").to_owned();
        if !seen.contains(&sequence) {
            seen.push(sequence);
        }
    }
    all
}
