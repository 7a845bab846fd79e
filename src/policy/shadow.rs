//! Shadow mode: a second engine is asked about a share of what was decided, beside the request. It
//! never delays or changes an answer: what does not fit into the queue, or into the memory for it,
//! is dropped, and counted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

use super::watch::{Answer, Comparison, PolicyWatch};
use super::{Attributes, Decision, PolicyEngine, Principal, Query, RawToken, Reason, Resource};
use crate::json_weight;

/// So many questions wait at most.
const WAITING: usize = 1024;
/// Kibibytes that the waiting questions, and those that are asked, take at most.
const ROOM: usize = 32 << 10;
/// So many are asked at once.
const WORKERS: usize = 8;
/// An odd number that scatters a count over all values.
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;

pub struct Shadow {
    /// A scattered count up to here is compared.
    sampled: u64,
    count: AtomicU64,
    queue: mpsc::Sender<Waiting>,
    /// [`ROOM`], as far as it is free.
    room: Arc<Semaphore>,
    watch: Arc<dyn PolicyWatch>,
}

/// A question with the room that it takes.
type Waiting = (Asked, OwnedSemaphorePermit);

impl Shadow {
    /// Asks `engine` about a share of the decisions, with tasks on `runtime` that end with the shadow.
    pub fn start<E: PolicyEngine>(
        engine: &Arc<E>,
        sample: f64,
        watch: Arc<dyn PolicyWatch>,
        runtime: &Handle,
    ) -> Self {
        let (queue, asked) = mpsc::channel(WAITING);
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..WORKERS {
            runtime.spawn(work(Arc::clone(&asked), Arc::clone(engine), Arc::clone(&watch)));
        }
        let (sampled, room) = (threshold(sample), Arc::new(Semaphore::new(ROOM)));
        Self { sampled, count: AtomicU64::new(0), queue, room, watch }
    }

    /// Takes a decided question for comparison when it is its turn. `decided` has one decision for each of the
    /// first actions.
    pub fn offer(&self, query: &Query<'_>, decided: &[Decision]) {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        if count.wrapping_mul(SCATTER) > self.sampled {
            return;
        }
        let Ok(place) = self.queue.try_reserve() else {
            return self.watch.compared(&Comparison::Dropped);
        };
        match catch_unwind(AssertUnwindSafe(|| Asked::new(query, decided))) {
            Ok(asked) => match self.room_for(&asked) {
                Some(room) => place.send((asked, room)),
                None => self.watch.compared(&Comparison::Dropped),
            },
            Err(_) => self.watch.compared(&Comparison::Unreachable),
        }
    }

    fn room_for(&self, asked: &Asked) -> Option<OwnedSemaphorePermit> {
        let kibibytes = u32::try_from(asked.bytes() >> 10).ok()?.saturating_add(1);
        Arc::clone(&self.room).try_acquire_many_owned(kibibytes).ok()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of all numbers; casts from floats keep within the range"
)]
fn threshold(sample: f64) -> u64 {
    (sample * u64::MAX as f64) as u64
}

async fn work<E: PolicyEngine>(
    queue: Arc<Mutex<mpsc::Receiver<Waiting>>>,
    engine: Arc<E>,
    watch: Arc<dyn PolicyWatch>,
) {
    loop {
        let Some((asked, _room)) = queue.lock().await.recv().await else { return };
        let others = asked.ask(&*engine).await;
        asked.compare(&others, &*watch);
    }
}

/// A question with everything that it needs, and how it was decided.
struct Asked {
    principal: String,
    roles: Vec<String>,
    principal_attr: Attributes,
    kind: String,
    id: String,
    scope: String,
    resource_attr: Attributes,
    claims: Option<Attributes>,
    actions: Vec<String>,
    decision: String,
    token: Option<String>,
    decided: Vec<Decision>,
}

impl Asked {
    fn new(query: &Query<'_>, decided: &[Decision]) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Self {
            principal: query.principal.id.to_owned(),
            roles: owned(query.principal.roles),
            principal_attr: query.principal.attr.attributes(),
            kind: query.resource.kind.to_owned(),
            id: query.resource.id.to_owned(),
            scope: query.resource.scope.to_owned(),
            resource_attr: query.resource.attr.attributes(),
            claims: query.claims.cloned(),
            actions: query.actions.iter().take(decided.len()).map(|&it| it.to_owned()).collect(),
            decision: query.decision.to_owned(),
            token: query.token.map(|RawToken(token)| token.to_owned()),
            decided: decided.to_vec(),
        }
    }

    /// About how many bytes this takes, rather more than less.
    fn bytes(&self) -> usize {
        let texts = [&self.principal, &self.kind, &self.id, &self.scope, &self.decision];
        let texts = texts.into_iter().chain(&self.token).chain(&self.roles).chain(&self.actions);
        let attributes =
            [&self.principal_attr, &self.resource_attr].into_iter().chain(&self.claims);
        let details = self.decided.iter().map(|it| it.detail.len() + it.policy.len());
        let texts = texts.map(|it| it.len() + 32).chain(details).sum::<usize>();
        size_of::<Self>() + texts + attributes.map(json_weight::object).sum::<usize>()
    }

    async fn ask(&self, engine: &impl PolicyEngine) -> Vec<Decision> {
        let roles: Vec<&str> = self.roles.iter().map(String::as_str).collect();
        let actions: Vec<&str> = self.actions.iter().map(String::as_str).collect();
        let query = Query {
            principal: Principal { id: &self.principal, roles: &roles, attr: &self.principal_attr },
            resource: Resource {
                kind: &self.kind,
                id: &self.id,
                scope: &self.scope,
                attr: &self.resource_attr,
            },
            claims: self.claims.as_ref(),
            actions: &actions,
            decision: &self.decision,
            token: self.token.as_deref().map(RawToken),
        };
        engine.check(&query).await
    }

    fn compare(&self, others: &[Decision], watch: &dyn PolicyWatch) {
        if others.len() != self.decided.len() {
            return watch.compared(&Comparison::Unreachable);
        }
        for ((action, decided), other) in self.actions.iter().zip(&self.decided).zip(others) {
            let failed = [decided, other].iter().any(|it| it.reason == Reason::Unreachable);
            let same = decided.allowed == other.allowed && decided.policy == other.policy;
            watch.compared(&match (failed, same) {
                (true, _) => Comparison::Unreachable,
                (false, true) => Comparison::Same,
                (false, false) => Comparison::Differs {
                    decision: &self.decision,
                    kind: &self.kind,
                    action,
                    decided: answer(decided),
                    other: answer(other),
                },
            });
        }
    }
}

fn answer(decision: &Decision) -> Answer<'_> {
    Answer {
        allowed: decision.allowed,
        reason: decision.reason,
        policy: &decision.policy,
        scope: &decision.scope,
    }
}
