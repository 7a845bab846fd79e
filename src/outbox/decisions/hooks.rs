//! Decisions for webhooks that name them. They come by the thousand and a call takes milliseconds:
//! what does not fit into a small buffer is dropped and counted, and holds up nobody.

use std::sync::Arc;

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::{JoinHandle, JoinSet};

use crate::cloudevents::CloudEvent;
use crate::outbox::webhook::Webhook;
use crate::telemetry::events::outbox::DecisionsDropped;
use crate::telemetry::metrics::Metrics;

use super::told::Told;

/// How many decisions wait for an endpoint at most.
const WAITING: usize = 4096;
/// So many are on their way at once, within what the endpoint is called with at once.
const AT_ONCE: usize = 8;

pub struct ToHook {
    hook: Arc<Webhook>,
    queue: mpsc::Sender<Told>,
}

impl ToHook {
    pub fn start(hook: &Arc<Webhook>, source: &Arc<str>, tasks: &mut Vec<JoinHandle<()>>) -> Self {
        let (queue, records) = mpsc::channel(WAITING);
        tasks.push(tokio::spawn(send_all(Arc::clone(hook), Arc::clone(source), records)));
        Self { hook: Arc::clone(hook), queue }
    }

    pub fn hand_on<'a>(&self, records: impl Iterator<Item = &'a Told>, metrics: &Metrics) {
        let mut dropped = 0;
        for told in records {
            if !self.hook.wants_decision(told.event_type(), told.subject()) {
                continue;
            }
            match self.queue.try_send(told.clone()) {
                Ok(()) => (),
                Err(TrySendError::Full(_) | TrySendError::Closed(_)) => dropped += 1,
            }
        }
        if dropped > 0 {
            DecisionsDropped { sink: &self.hook.name, count: dropped }.emit(metrics);
        }
    }
}

/// Until nobody can send any more.
async fn send_all(hook: Arc<Webhook>, source: Arc<str>, mut records: mpsc::Receiver<Told>) {
    let mut under_way = JoinSet::new();
    while let Some(told) = records.recv().await {
        if under_way.len() >= AT_ONCE {
            let _ = under_way.join_next().await;
        }
        let (hook, event) = (Arc::clone(&hook), told.event(&source));
        under_way.spawn(async move { send(&hook, &event).await });
    }
    while under_way.join_next().await.is_some() {}
}

async fn send(hook: &Webhook, event: &CloudEvent) {
    if !hook.send_decision(event).await {
        hook.decision_dropped();
    }
}
