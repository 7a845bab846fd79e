//! The real thing: two gateways on one store, the only write path, timers and sweepers, a clock in
//! hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::super::super::SharedApi;
use super::super::super::execute::{Answer, Named, Order, execute};
use super::super::super::sweeper::Sweeper;
use super::super::super::timers;
use super::super::harness::{self, Policy};
use super::reference::{HOLDERS, TEMPLATES};
use crate::clock::{Clock, ManualClock};
use crate::domain::command::Command;
use crate::domain::ids::{GrantId, OrderId, RequestId};
use crate::domain::markers::{KillOrder, KillTarget};
use crate::domain::subject::{Actor, Person, Subject};
use crate::domain::template::Catalog;
use crate::entropy;
use crate::store::contract::{Process, World};
use crate::store::{LiveReader, StoredEvent};

struct Replica<W: World> {
    api: SharedApi,
    sweeper: Sweeper,
    reader: crate::store::contract::ReaderOf<W>,
}

pub struct Real<W: World> {
    world: Option<W>,
    pub clock: Arc<ManualClock>,
    catalog: Catalog,
    replicas: Vec<Replica<W>>,
    at: usize,
}

impl<W: World> Real<W> {
    pub async fn new(catalog: Catalog) -> Self {
        let world = W::fresh().await;
        let clock = world.clock();
        let mut real = Self { world: Some(world), clock, catalog, replicas: Vec::new(), at: 0 };
        real.start();
        real
    }

    fn start(&mut self) {
        let world = self.world.as_ref().expect("a world");
        self.replicas =
            (0..2).map(|_| replica(world.process(), &self.clock, &self.catalog)).collect();
    }

    /// Every process ends, and others begin.
    pub async fn restart(&mut self) {
        self.replicas.clear();
        let world = self.world.take().expect("a world").reopened().await;
        self.world = Some(world);
        self.start();
    }

    /// From now on it is the other gateway that is asked.
    pub fn switch(&mut self) {
        self.at = 1 - self.at;
    }

    pub fn api(&self) -> &SharedApi {
        &self.replicas[self.at].api
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
        let replica = &mut self.replicas[self.at];
        for partition in replica.api.store.partitions().all() {
            replica.sweeper.look(partition, Instant::now(), || false).await;
        }
    }

    pub async fn live(&self, who: usize, what: usize) -> BTreeSet<GrantId> {
        let reader = &self.replicas[self.at].reader;
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

fn replica<W: World>(
    process: Process<W>,
    clock: &Arc<ManualClock>,
    catalog: &Catalog,
) -> Replica<W> {
    let Process { store, reader, .. } = process;
    let api = harness::api(Arc::new(store), clock.clone(), Arc::new(Policy::default()));
    api.catalog.store(Arc::new(catalog.clone()));
    Replica { sweeper: Sweeper::new(api.clone()), api, reader }
}

pub fn subject(name: &str) -> Subject {
    Subject::new("https://idp.test", name)
}
