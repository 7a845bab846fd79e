//! Timers: due ones become commands of the system, committed like any other. The commit removes the
//! timer, so it takes effect once, whoever runs it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::execute::{Answer, Named, Order, confirm, execute, failed, nothing_to_do, own_trace};
use super::wake::{Wake, each};
use super::{Api, SharedApi};
use crate::domain::command::{Command, Timer};
use crate::domain::ids::{GrantId, Partition};
use crate::domain::subject::{Actor, Subject};
use crate::store::{DueTimer, Durability};

/// Due timers are looked for this often.
const PRECISION: Duration = Duration::from_secs(1);
/// Timers of one partition that are fetched in one go.
const BATCH: usize = 256;

/// Runs until `stop` turns true (or its sender is gone); what was started is finished.
pub async fn run(api: SharedApi, stop: watch::Receiver<bool>) {
    let mut wake = Wake::new(&api.store, PRECISION, stop);
    while let Some(partitions) = wake.next().await {
        let mut unconfirmed = Vec::new();
        for partition in partitions {
            unconfirmed.extend(run_due(&api, partition, || wake.is_stopping()).await);
        }
        confirm_all(&api, unconfirmed).await;
    }
}

/// Grants of one partition that nobody has confirmed.
pub struct Unconfirmed {
    partition: Partition,
    grants: Vec<(Subject, GrantId)>,
}

/// Asks for each partition, once, whether its commits are kept. Partitions do not wait for each
/// other, and nothing else waits for them: where commits are not kept, asking takes long.
pub async fn confirm_all(api: &SharedApi, unconfirmed: Vec<Unconfirmed>) {
    each(unconfirmed, |unconfirmed| confirm_kept(Arc::clone(api), unconfirmed)).await;
}

async fn confirm_kept(api: Arc<Api>, unconfirmed: Unconfirmed) -> bool {
    match api.store.settle(unconfirmed.partition).await {
        Ok(Durability::Confirmed) => (),
        // The timers stay, and are due again at the next look.
        Ok(Durability::Unconfirmed) => return false,
        Err(fault) => {
            let _logged = failed(&api, fault, "settle");
            return false;
        }
    }
    let mut all = true;
    for (subject, grant) in unconfirmed.grants {
        let _turn = api.turns.take(subject.key()).await;
        all &= confirm(&api, &subject, grant).await;
    }
    all
}

/// Runs the due timers of one partition. What fails is due again a second later; it holds up none
/// of those behind it. What is to be confirmed is only collected, for [`confirm_all`].
pub async fn run_due(
    api: &SharedApi,
    partition: Partition,
    is_stopping: impl Fn() -> bool,
) -> Option<Unconfirmed> {
    let mut grants = Vec::new();
    let now = api.clock.now();
    let mut after = None;
    while !is_stopping() {
        let due = match api.store.due_timers(partition, now, after, BATCH).await {
            Ok(due) => due,
            Err(fault) => {
                let _logged = failed(api, fault, "due-timers");
                break;
            }
        };
        for fault in due.broken {
            let _logged = failed(api, fault, "due-timers");
        }
        let due_now = due.timers.into_iter().filter_map(|due| work(due, &mut grants)).collect();
        each(due_now, |work| fire(Arc::clone(api), work)).await;
        let Some(next) = due.next else { break };
        after = Some(next);
    }
    (!grants.is_empty()).then_some(Unconfirmed { partition, grants })
}

/// What a timer makes happen.
struct Work {
    due: DueTimer,
    target: Named,
    command: Command,
}

/// `None`: a grant to be confirmed, which is put aside.
fn work(due: DueTimer, unconfirmed: &mut Vec<(Subject, GrantId)>) -> Option<Work> {
    let (target, command) = match due.timer {
        Timer::TimeOutRequest(id) => (Named::Request(id), Command::TimeOutRequest { request: id }),
        Timer::ExpireGrant(id) => (Named::Grant(id), Command::ExpireGrant { grant: id }),
        Timer::Escalate(id) => (Named::Request(id), Command::Escalate { request: id }),
        Timer::WarnOfEnd(id) => (Named::Grant(id), Command::WarnOfEnd { grant: id }),
        Timer::ReviewDue(id) => (Named::Request(id), Command::RemindOfReview { request: id }),
        Timer::ConfirmGrant(id) => {
            unconfirmed.push((due.subject, id));
            return None;
        }
    };
    Some(Work { due, target, command })
}

async fn fire(api: Arc<Api>, Work { due, target, command }: Work) -> bool {
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
    nothing_to_do(&api, &order, &refusal).await
}
