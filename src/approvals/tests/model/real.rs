//! The real thing: the embedded store, the only write path, timers and sweeper, a clock in hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::super::super::SharedApi;
use super::super::super::execute::{Answer, Named, Order, execute};
use super::super::super::sweeper::Sweeper;
use super::super::super::timers;
use super::super::harness::{self, Policy, START};
use super::{EXTENSIONS, HALF, HOLDERS, TEMPLATES};
use crate::clock::{Clock, ManualClock};
use crate::config::SealKey;
use crate::domain::command::Command;
use crate::domain::ids::{GrantId, OrderId, PartitionCount, RequestId};
use crate::domain::markers::{KillOrder, KillTarget};
use crate::domain::rules::{Escalation, Extension, Rules};
use crate::domain::subject::{Actor, Person, Subject};
use crate::entropy;
use crate::store::embedded::Embedded;
use crate::store::{LiveReader, StoredEvent};

struct Running {
    embedded: Embedded,
    api: SharedApi,
    sweeper: Sweeper,
}

pub struct Real {
    directory: tempfile::TempDir,
    pub clock: Arc<ManualClock>,
    running: Option<Running>,
}

impl Real {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut real = Self { directory, clock: ManualClock::at(START), running: None };
        real.restart();
        real
    }

    pub fn restart(&mut self) {
        self.running = None;
        let keys = [SealKey { id: "k1".into(), bytes: vec![7; 32].into() }];
        let partitions = PartitionCount::new(2).expect("a count");
        let path = self.directory.path();
        let embedded =
            Embedded::open(path, &keys, partitions, self.clock.clone()).expect("a store");
        let policy = Arc::new(Policy::default());
        let api = harness::api(embedded.store(), self.clock.clone(), policy);
        offer(&api);
        self.running = Some(Running { embedded, sweeper: Sweeper::new(api.clone()), api });
    }

    pub fn api(&self) -> &SharedApi {
        &self.running.as_ref().expect("running").api
    }

    /// The ids of the requests and grants that the command changed; `None`: refused.
    pub async fn run(
        &self,
        who: usize,
        actor: Person,
        target: Named,
        command: Command,
    ) -> Option<(Vec<RequestId>, Vec<GrantId>)> {
        let order = Order {
            subject: &subject(HOLDERS[who]),
            target,
            command,
            actor: Actor::Person(actor),
            fired: None,
            idempotency: None,
            if_match: None,
            traceparent: None,
            answer: &|outcome| {
                let requests: Vec<_> = outcome.transition.requests.iter().map(|r| r.id).collect();
                let grants: Vec<_> = outcome.transition.grants.iter().map(|g| g.id).collect();
                let body = serde_json::to_string(&(requests, grants)).expect("ids");
                Ok(Answer { body, ..Answer::default() })
            },
        };
        let done = execute(self.api(), &order).await.ok()?;
        Some(serde_json::from_str(&done.answer.body).expect("ids"))
    }

    pub async fn kill(&self, target: KillTarget) {
        let id = OrderId(entropy::bytes().expect("entropy"));
        let (at, by, reason) = (self.clock.now(), subject("root"), "drill".into());
        let order = KillOrder { id, target, at, by, reason };
        for partition in self.api().store.partitions().all() {
            self.api().store.kill(partition, order.clone()).await.expect("killed");
        }
    }

    pub async fn timers(&self) {
        for partition in self.api().store.partitions().all() {
            timers::run_due(self.api(), partition, || false).await;
        }
    }

    pub async fn sweep(&mut self) {
        let running = self.running.as_mut().expect("running");
        for partition in running.api.store.partitions().all() {
            running.sweeper.look(partition, Instant::now(), || false).await;
        }
    }

    pub async fn live(&self, who: usize, what: usize) -> BTreeSet<GrantId> {
        let reader = self.running.as_ref().expect("running").embedded.reader();
        let view = reader.read(subject(HOLDERS[who]).key()).await.expect("it reads");
        view.counting(TEMPLATES[what].0, self.clock.now()).map(|grant| grant.id).collect()
    }

    pub async fn events(&self) -> Vec<StoredEvent> {
        let mut events = Vec::new();
        for partition in self.api().store.partitions().all() {
            let read = self.api().store.read_events(partition, 0, 10_000).await;
            events.extend(read.expect("events"));
        }
        events
    }
}

/// Every template has what makes timers: each end of a grant is announced, each request escalated.
fn offer(api: &SharedApi) {
    let groups = vec!["nobody-has-it".into()];
    let rules = Rules {
        escalation: Some(Escalation { after: HALF, groups }),
        extension: Some(Extension { max: EXTENSIONS, steps: vec![HALF] }),
        warn_before_end: Some(HALF / 3),
        ..Rules::default()
    };
    let mut catalog = (**api.catalog.load()).clone();
    for template in catalog.templates.values_mut() {
        Arc::make_mut(template).rules = rules.clone();
    }
    api.catalog.store(Arc::new(catalog));
}

pub fn subject(name: &str) -> Subject {
    Subject::new("https://idp.test", name)
}

pub fn person(name: &str, group: &str) -> Person {
    Person { groups: vec![group.into()], ..Person::named(subject(name)) }
}
