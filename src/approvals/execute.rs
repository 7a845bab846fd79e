//! The only write path: load, apply, commit; again when somebody was faster.

use std::sync::Arc;

use super::Api;
use super::draw;
use super::error::Refusal;
use super::extract::{Call, IfMatch};
use crate::domain::apply::{apply, due_at};
use crate::domain::command::{Command, SubjectState, Timer, TimerChange, Transition};
use crate::domain::hash::{length, sha256};
use crate::domain::ids::{GrantId, OrderId, Partition, RequestId};
use crate::domain::notices::{self, Draw};
use crate::domain::subject::{Actor, Subject};
use crate::entropy;
use crate::problem::ProblemCode;
use crate::store::{
    Commit, Committed, Durability, IdempotencyKey, Load, Loaded, StoreFault, StoredAnswer,
};
use crate::telemetry::events::approvals::{StoreFailed, Transitioned};
use crate::telemetry::trace::Place;

/// How often a command is applied anew after somebody else changed its subject.
const RELOADS: usize = 8;

/// What shall happen to one subject, and how to tell the caller.
pub struct Order<'a> {
    pub subject: &'a Subject,
    pub target: Named,
    pub command: Command,
    pub actor: Actor,
    pub fired: Option<Timer>,
    pub idempotency: Option<Idempotency>,
    pub if_match: Option<&'a IfMatch>,
    pub traceparent: Option<&'a str>,
    /// Makes the answer before the commit, so that both are stored together.
    pub answer: &'a (dyn Fn(&Outcome<'_>) -> Result<Answer, Refusal> + Sync),
}

/// The object that a command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Nothing,
    Request(RequestId),
    Grant(GrantId),
    Template(Arc<str>),
}

/// What the commit is about to make true.
pub struct Outcome<'a> {
    pub before: &'a SubjectState,
    pub transition: &'a Transition,
    pub now: crate::domain::time::Timestamp,
}

/// Status, JSON body, and what stands in `ETag` and `Location`.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub etag: Option<String>,
    pub location: Option<String>,
}

impl Answer {
    /// As it is kept with the body's `fingerprint`.
    #[must_use]
    pub fn stored(self, fingerprint: [u8; 32]) -> StoredAnswer {
        let Self { status, body, etag, location } = self;
        StoredAnswer { fingerprint, status, body, etag, location }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Idempotency {
    key: IdempotencyKey,
    fingerprint: [u8; 32],
}

impl Idempotency {
    /// The key that the call carries, scoped to actor, route (with its ids) and target subject.
    #[must_use]
    pub fn of(call: &Call, target: &Subject, body: &[u8]) -> Option<Self> {
        let key = call.idempotency_key.as_deref()?;
        let (actor, target) = (call.subject().key(), target.key());
        let (route, key) = (call.route.as_bytes(), key.as_bytes());
        // The keys of subjects all have one length.
        let scoped = sha256(&[&actor.0, &target.0, &length(route), route, key]);
        Some(Self { key: IdempotencyKey(scoped), fingerprint: sha256(&[body]) })
    }

    #[must_use]
    pub const fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// Of the body.
    #[must_use]
    pub const fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// The order that this key stands for, with another body another one.
    #[must_use]
    pub fn order_id(&self) -> OrderId {
        let sum = sha256(&[&self.key.0, &self.fingerprint]);
        OrderId(sum.first_chunk().copied().unwrap_or_default())
    }
}

/// A trace that begins here, for what nobody called: a timer, a sweep. Without random bytes there is
/// none, and no commit either.
pub(super) fn own_trace() -> Option<String> {
    let (span_id, trace_id) = (entropy::bytes().ok()?, entropy::bytes().ok()?);
    Some(Place::new(None, span_id, || trace_id).context.to_string())
}

/// What was done. `durability` is `Unconfirmed` when the acknowledgement level was not met.
#[derive(Clone, Debug)]
pub struct Done {
    pub answer: StoredAnswer,
    pub durability: Durability,
}

/// # Errors
/// Whatever the domain refuses; `precondition-failed`; `idempotency-mismatch`; `conflict` after
/// eight reloads; `store-unreachable` when the store failed twice.
pub async fn execute(api: &Api, order: &Order<'_>) -> Result<Done, Refusal> {
    let draw = draw::draw(api, &order.command).await?;
    let _turn = api.turns.take(order.subject.key()).await;
    for _attempt in 0..=RELOADS {
        if let Some(done) = attempt(api, order, draw).await? {
            return Ok(done);
        }
    }
    let detail = "others keep changing this subject; repeat the call";
    Err(Refusal::new(ProblemCode::Conflict, detail))
}

/// Confirms a grant whose commit is kept. Whether it counts now, or will never: `false` when somebody
/// has to try again. Its timer goes with it.
pub(super) async fn confirm(api: &Api, subject: &Subject, grant: GrantId) -> bool {
    let trace = own_trace();
    let order = Order {
        subject,
        target: Named::Grant(grant),
        command: Command::ConfirmGrant { grant },
        actor: Actor::System,
        fired: Some(Timer::ConfirmGrant(grant)),
        idempotency: None,
        if_match: None,
        traceparent: trace.as_deref(),
        answer: &|_| Ok(Answer::default()),
    };
    let Ok(seed) = entropy::seed() else { return false };
    for _attempt in 0..=RELOADS {
        match attempt(api, &order, draw::without_turn(seed)).await {
            Ok(Some(_confirmed)) => return true,
            Ok(None) => (),
            Err(refusal) => return nothing_to_do(api, &order, &refusal).await,
        }
    }
    false
}

/// A timer that had nothing to do goes, or moves to when it is due.
pub(super) async fn nothing_to_do(api: &Api, order: &Order<'_>, refusal: &Refusal) -> bool {
    let over = matches!(refusal.code, ProblemCode::Conflict | ProblemCode::NotFound);
    let Some(timer) = order.fired.filter(|_| over) else { return false };
    if let Err(refusal) = settle(api, order, timer).await {
        tracing::warn!(code = refusal.code.code(), "a timer could not be settled; it is due again");
        return false;
    }
    true
}

/// What to tell of a commit: one that gave grants is confirmed when they are.
async fn activate(
    api: &Api,
    subject: &Subject,
    inert: &[GrantId],
    durability: Durability,
) -> Durability {
    if durability == Durability::Unconfirmed {
        return durability;
    }
    for grant in inert {
        if !confirm(api, subject, *grant).await {
            return Durability::Unconfirmed;
        }
    }
    durability
}

/// `None`: somebody was faster.
async fn attempt(api: &Api, order: &Order<'_>, draw: Draw) -> Result<Option<Done>, Refusal> {
    let Loaded { state, answer } = load(api, order).await?;
    if let Some(stored) = answer {
        return replay(api, order, state.partition, stored).await.map(Some);
    }
    check_if_match(order, &state)?;
    let now = api.clock.now();
    let mut transition = apply(&state, &order.command, &order.actor, draw.seed, now)?;
    notices::address(&state, &mut transition, &api.people.load(), draw);
    let outcome = Outcome { before: &state, transition: &transition, now };
    let answer = (order.answer)(&outcome)?;
    let fingerprint = order.idempotency.map_or([0; 32], |idempotency| idempotency.fingerprint);
    let answer = answer.stored(fingerprint);
    if transition.is_empty() {
        let durability = settled(api, state.partition).await;
        return Ok(Some(Done { answer, durability }));
    }
    let commit = Commit {
        id: entropy::commit_id()?,
        subject: order.subject.clone(),
        expected_version: state.version,
        generation: state.markers.generation,
        transition,
        fired: order.fired,
        answer: order.idempotency.map(|idempotency| (idempotency.key, answer.clone())),
        traceparent: order.traceparent.map(Into::into),
        now,
    };
    let inert = commit.transition.inert_grants();
    let Some(durability) = commit_once(api, order, commit).await? else { return Ok(None) };
    let durability = Box::pin(activate(api, order.subject, &inert, durability)).await;
    Ok(Some(Done { answer, durability }))
}

async fn load(api: &Api, order: &Order<'_>) -> Result<Loaded, Refusal> {
    let (request, grant) = match order.target {
        Named::Nothing | Named::Template(_) => (None, None),
        Named::Request(id) => (Some(id), None),
        Named::Grant(id) => (None, Some(id)),
    };
    let idempotency = order.idempotency.as_ref().map(|idempotency| &idempotency.key);
    let load = Load { subject: order.subject, request, grant, idempotency };
    api.store.load(load).await.map_err(|fault| failed(api, fault, "load"))
}

async fn replay(
    api: &Api,
    order: &Order<'_>,
    partition: Partition,
    stored: StoredAnswer,
) -> Result<Done, Refusal> {
    let same = order.idempotency.is_some_and(|sent| sent.fingerprint == stored.fingerprint);
    if !same {
        return Err(super::kept::mismatch());
    }
    let durability = settled(api, partition).await;
    Ok(Done { answer: stored, durability })
}

/// Whether what an earlier call committed is kept by now: that call may have been told that it was
/// not, and this one must not be told otherwise unless it is.
async fn settled(api: &Api, partition: Partition) -> Durability {
    if !api.store.can_lose_commits() {
        return Durability::Confirmed;
    }
    match api.store.settle(partition).await {
        Ok(durability) => durability,
        Err(fault) => {
            let _logged = failed(api, fault, "settle");
            Durability::Unconfirmed
        }
    }
}

fn check_if_match(order: &Order<'_>, state: &SubjectState) -> Result<(), Refusal> {
    let Some(wanted) = order.if_match else { return Ok(()) };
    let revision = match &order.target {
        Named::Nothing => return Ok(()),
        Named::Request(id) => state.requests.get(id).map(|request| request.revision),
        Named::Grant(id) => state.grants.get(id).map(|grant| grant.revision),
        Named::Template(name) => {
            let there = state.templates.get(name).filter(|made| !made.is_deleted());
            there.map(|made| made.version)
        }
    };
    if revision.is_some_and(|revision| wanted.fits(&super::wire::etag(revision))) {
        return Ok(());
    }
    let detail = "the object has another version than If-Match names; read it again";
    Err(Refusal::new(ProblemCode::PreconditionFailed, detail))
}

/// A fault may hide a commit that happened: the same commit is sent once more, and the store finds
/// it by its id. `None`: somebody was faster.
async fn commit_once(
    api: &Api,
    order: &Order<'_>,
    commit: Commit,
) -> Result<Option<Durability>, Refusal> {
    let transition = commit.transition.clone();
    let committed = match api.store.commit(commit.clone()).await {
        Ok(committed) => committed,
        Err(fault) => {
            StoreFailed { metrics: &api.metrics, fault: &fault, during: "commit" }.emit();
            api.store.commit(commit).await.map_err(|fault| failed(api, fault, "commit"))?
        }
    };
    match committed {
        Committed::VersionConflict | Committed::GenerationMoved => Ok(None),
        Committed::Done { seq, durability, .. } => {
            let (actor, traceparent) = (&order.actor, order.traceparent);
            let metrics = &api.metrics;
            Transitioned { metrics, actor, transition: &transition, seq, traceparent }.emit();
            Ok(Some(durability))
        }
    }
}

/// Counts and logs a fault of the store, and refuses.
pub(super) fn failed(api: &Api, fault: StoreFault, during: &'static str) -> Refusal {
    StoreFailed { metrics: &api.metrics, fault: &fault, during }.emit();
    fault.into()
}

/// Settles a timer that had nothing to do: it moves to when its object is really due, or goes.
///
/// # Errors
/// `store-unreachable`; `conflict` when somebody was faster (the timer is then still due).
async fn settle(api: &Api, order: &Order<'_>, timer: Timer) -> Result<(), Refusal> {
    let Loaded { state, .. } = load(api, order).await?;
    let at = due_at(&state, timer, api.clock.now());
    let (timers, fired) = match at {
        Some(at) => (vec![TimerChange::Set { timer, at }], None),
        None => (Vec::new(), Some(timer)),
    };
    let commit = Commit {
        id: entropy::commit_id()?,
        subject: order.subject.clone(),
        expected_version: state.version,
        generation: state.markers.generation,
        transition: Transition { timers, ..Transition::default() },
        fired,
        answer: None,
        traceparent: None,
        now: api.clock.now(),
    };
    match commit_once(api, order, commit).await? {
        Some(_durability) => Ok(()),
        None => Err(Refusal::new(ProblemCode::Conflict, "somebody was faster")),
    }
}
