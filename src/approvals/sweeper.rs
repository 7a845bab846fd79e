//! The sweeper: after a kill switch, marks what it ended. The markers bind before that; the sweep
//! makes records, lists and events say so. Each commit ends everything that is killed of one
//! subject, so it happens once, whoever sweeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::execute::{Answer, Named, Order, execute, failed, own_trace};
use super::wake::{Wake, each};
use super::{Api, SharedApi};
use crate::domain::command::Command;
use crate::domain::ids::{OrderId, Partition};
use crate::domain::markers::Generation;
use crate::domain::subject::{Actor, Subject};

/// Commits say when there is something to sweep; words can be lost.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// A partition with something that cannot be swept is walked again after this, then after twice
/// that, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs until `stop` turns true (or its sender is gone); what was started is finished.
pub async fn run(api: SharedApi, stop: watch::Receiver<bool>) {
    let mut wake = Wake::new(&api.store, LOOK_AGAIN, stop);
    let mut sweeper = Sweeper::new(api);
    while let Some(partitions) = wake.next().await {
        for partition in partitions {
            sweeper.look(partition, Instant::now(), || wake.is_stopping()).await;
        }
    }
}

/// What the markers of a partition say, in short. The generation alone would not do: a store that
/// went back in time and was reconciled may come to the same one by another kill.
type Mark = (Generation, Option<OrderId>);

/// What was swept, by this process. A new one walks once through the open work of every partition
/// that ever saw a kill.
pub struct Sweeper {
    api: SharedApi,
    swept: BTreeMap<Partition, Mark>,
    unfinished: BTreeMap<Partition, Unfinished>,
}

struct Unfinished {
    mark: Mark,
    again: Instant,
    pause: Duration,
}

impl Sweeper {
    #[must_use]
    pub fn new(api: SharedApi) -> Self {
        Self { api, swept: BTreeMap::new(), unfinished: BTreeMap::new() }
    }

    /// Sweeps one partition when its markers are not those that were swept.
    pub async fn look(
        &mut self,
        partition: Partition,
        now: Instant,
        is_stopping: impl Fn() -> bool,
    ) {
        if is_stopping() {
            return;
        }
        let markers = match self.api.store.markers(partition).await {
            Ok(markers) => markers,
            Err(fault) => {
                let _logged = failed(&self.api, fault, "sweep");
                return;
            }
        };
        let mark = (markers.generation, markers.kills.last().map(|kill| kill.order));
        if !self.is_due(partition, mark, now) {
            return;
        }
        if markers.kills.is_empty() || sweep(&self.api, partition, is_stopping).await {
            self.swept.insert(partition, mark);
            self.unfinished.remove(&partition);
        } else {
            self.pause(partition, mark, now);
        }
    }

    fn is_due(&self, partition: Partition, mark: Mark, now: Instant) -> bool {
        if self.swept.get(&partition) == Some(&mark) {
            return false;
        }
        let tried = self.unfinished.get(&partition);
        tried.is_none_or(|tried| tried.mark != mark || tried.again <= now)
    }

    fn pause(&mut self, partition: Partition, mark: Mark, now: Instant) {
        let tried = self.unfinished.get(&partition).filter(|tried| tried.mark == mark);
        let pause = tried.map_or(FIRST_PAUSE, |tried| (tried.pause * 2).min(LONGEST_PAUSE));
        self.unfinished.insert(partition, Unfinished { mark, again: now + pause, pause });
    }
}

/// Whether everything that a kill hit is marked. What cannot be read holds up nothing else.
async fn sweep(api: &SharedApi, partition: Partition, is_stopping: impl Fn() -> bool) -> bool {
    let (mut place, mut all_done) = (None, true);
    while !is_stopping() {
        let page = match api.store.killed(partition, place).await {
            Ok(page) => page,
            Err(fault) => {
                let _logged = failed(api, fault, "sweep");
                return false;
            }
        };
        for fault in page.broken {
            let _logged = failed(api, fault, "sweep");
            all_done = false;
        }
        all_done &= each(page.subjects, |subject| sweep_subject(Arc::clone(api), subject)).await;
        let Some(next) = page.next else { return all_done };
        place = Some(next);
    }
    false
}

async fn sweep_subject(api: Arc<Api>, subject: Subject) -> bool {
    let trace = own_trace();
    let order = Order {
        subject: &subject,
        target: Named::Nothing,
        command: Command::Sweep,
        actor: Actor::System,
        fired: None,
        idempotency: None,
        if_match: None,
        traceparent: trace.as_deref(),
        answer: &|_| Ok(Answer::default()),
    };
    execute(&api, &order).await.is_ok()
}
