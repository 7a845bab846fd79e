//! Timers: due ones become commands of the system, committed like any other. The commit removes the
//! timer, so it takes effect once, whoever runs it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::execute::{Answer, Named, Order, execute, failed, settle};
use super::{Api, SharedApi};
use crate::domain::command::{Command, Timer};
use crate::domain::ids::Partition;
use crate::domain::subject::Actor;
use crate::problem::ProblemCode;
use crate::store::DueTimer;

const INTERVAL: Duration = Duration::from_secs(1);
/// Timers of one partition that are run in one go.
const BATCH: usize = 256;
const AT_ONCE: usize = 16;

/// Runs until `stop` turns true (or its sender is gone); what was started is finished.
pub async fn run(api: SharedApi, mut stop: watch::Receiver<bool>) {
    let mut moved = api.store.moved();
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut listening = true;
    loop {
        let look = tokio::select! {
            _ = stop.wait_for(|stopping| *stopping) => return,
            _ = tick.tick() => all(&api),
            woken = moved.recv(), if listening => match woken {
                Ok(partition) => also_moved(&api, partition, &mut moved),
                Err(RecvError::Lagged(_)) => all(&api),
                Err(RecvError::Closed) => { listening = false; continue }
            },
        };
        for partition in look {
            if *stop.borrow() {
                return;
            }
            run_due(&api, partition).await;
        }
    }
}

fn all(api: &Api) -> BTreeSet<Partition> {
    api.store.partitions().all().collect()
}

/// Everything that moved meanwhile, once each.
fn also_moved(
    api: &Api,
    first: Partition,
    moved: &mut broadcast::Receiver<Partition>,
) -> BTreeSet<Partition> {
    let mut partitions = BTreeSet::from([first]);
    loop {
        match moved.try_recv() {
            Ok(partition) => {
                partitions.insert(partition);
            }
            Err(TryRecvError::Lagged(_)) => return all(api),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return partitions,
        }
    }
}

/// Runs the due timers of one partition; what fails is due again a second later.
pub async fn run_due(api: &SharedApi, partition: Partition) {
    let due = match api.store.due_timers(partition, api.clock.now(), BATCH).await {
        Ok(due) => due,
        Err(fault) => {
            let _logged = failed(api, fault, "due-timers");
            return;
        }
    };
    let mut running = JoinSet::new();
    for timer in due {
        if running.len() >= AT_ONCE {
            finished(running.join_next().await);
        }
        let api = Arc::clone(api);
        running.spawn(async move { fire(&api, timer).await });
    }
    while let Some(done) = running.join_next().await {
        finished(Some(done));
    }
}

fn finished(done: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = done {
        tracing::error!(%error, "a timer's task failed; it is due again in a second");
    }
}

async fn fire(api: &Api, due: DueTimer) {
    let (target, command) = match due.timer {
        Timer::TimeOutRequest(id) => (Named::Request(id), Command::TimeOutRequest { request: id }),
        Timer::ExpireGrant(id) => (Named::Grant(id), Command::ExpireGrant { grant: id }),
    };
    let order = Order {
        subject: &due.subject,
        target,
        command,
        actor: Actor::System,
        fired: Some(due.timer),
        idempotency: None,
        if_match: None,
        traceparent: None,
        answer: &|_| Ok(Answer::default()),
    };
    let Err(refusal) = execute(api, &order).await else { return };
    // Nothing to do (any more): the timer itself goes, or moves to when it is due.
    let over = matches!(refusal.code, ProblemCode::Conflict | ProblemCode::NotFound);
    if over && let Err(refusal) = settle(api, &order, due.timer).await {
        tracing::warn!(code = refusal.code.code(), "a timer could not be settled; it is due again");
    }
}
