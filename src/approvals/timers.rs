//! Timers: due ones become commands of the system, committed like any other. The commit removes the
//! timer, so it takes effect once, whoever runs it.

use std::sync::Arc;

use tokio::sync::watch;

use super::execute::{Answer, Named, Order, execute, failed, own_trace, settle};
use super::wake::{Wake, each};
use super::{Api, SharedApi};
use crate::domain::command::{Command, Timer};
use crate::domain::ids::Partition;
use crate::domain::subject::Actor;
use crate::problem::ProblemCode;
use crate::store::DueTimer;

/// Timers of one partition that are fetched in one go.
const BATCH: usize = 256;

/// Runs until `stop` turns true (or its sender is gone); what was started is finished.
pub async fn run(api: SharedApi, stop: watch::Receiver<bool>) {
    let mut wake = Wake::new(&api.store, stop);
    while let Some(partitions) = wake.next().await {
        for partition in partitions {
            run_due(&api, partition, || wake.is_stopping()).await;
        }
    }
}

/// Runs the due timers of one partition. What fails is due again a second later; it holds up none
/// of those behind it.
pub async fn run_due(api: &SharedApi, partition: Partition, is_stopping: impl Fn() -> bool) {
    let now = api.clock.now();
    let mut after = None;
    while !is_stopping() {
        let due = match api.store.due_timers(partition, now, after, BATCH).await {
            Ok(due) => due,
            Err(fault) => {
                let _logged = failed(api, fault, "due-timers");
                return;
            }
        };
        for fault in due.broken {
            let _logged = failed(api, fault, "due-timers");
        }
        each(due.timers, |timer| fire(Arc::clone(api), timer)).await;
        let Some(next) = due.next else { return };
        after = Some(next);
    }
}

async fn fire(api: Arc<Api>, due: DueTimer) -> bool {
    let (target, command) = match due.timer {
        Timer::TimeOutRequest(id) => (Named::Request(id), Command::TimeOutRequest { request: id }),
        Timer::ExpireGrant(id) => (Named::Grant(id), Command::ExpireGrant { grant: id }),
    };
    let trace = own_trace();
    let order = Order {
        subject: &due.subject,
        target,
        command,
        actor: Actor::System,
        fired: Some(due.timer),
        idempotency: None,
        if_match: None,
        traceparent: trace.as_deref(),
        answer: &|_| Ok(Answer::default()),
    };
    let Err(refusal) = execute(&api, &order).await else { return true };
    // Nothing to do (any more): the timer itself goes, or moves to when it is due.
    let over = matches!(refusal.code, ProblemCode::Conflict | ProblemCode::NotFound);
    if over && let Err(refusal) = settle(&api, &order, due.timer).await {
        tracing::warn!(code = refusal.code.code(), "a timer could not be settled; it is due again");
        return false;
    }
    over
}
