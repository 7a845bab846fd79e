//! The kill switch: everything of a subject, a tool or a template at once.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;
use utoipa::ToSchema;

use super::super::body::Json;
use super::super::error::Refusal;
use super::super::execute::{Answer, Done, Idempotency, Named, Order, Outcome, execute, failed};
use super::super::extract::Call;
use super::super::kept::{self, Begun};
use super::super::policy::{self, Target};
use super::super::{Api, SharedApi, respond};
use super::{Effect, conclude};
use crate::domain::access::is_name;
use crate::domain::apply::MAX_TEXT;
use crate::domain::command::Command;
use crate::domain::ids::OrderId;
use crate::domain::markers::KillTarget;
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;
use crate::entropy;
use crate::iso8601;
use crate::problem::ProblemCode;
use crate::store::{Durability, KillOrder, StoreFault};
use crate::telemetry::events::approvals::{Killed, SubjectKilled};

/// Partitions that a kill is written to at the same time; commits have 32 connections at most.
const AT_ONCE: usize = 16;

/// Exactly one of `subject`, `tool` and `template`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KillSwitch {
    pub subject: Option<String>,
    pub tool: Option<String>,
    pub template: Option<String>,
    pub reason: String,
    /// RFC 3339, with `subject` alone: until then approvers decide on whatever the subject asks for,
    /// and there is no break-glass for it. Left out: for a day.
    pub until: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KillResult {
    /// How many grants ended; 0 while `pending`.
    pub revoked: usize,
    /// How many undecided requests ended; 0 while `pending`.
    pub cancelled: usize,
    /// It binds already; the records are marked afterwards.
    pub pending: bool,
}

enum Switch {
    Subject(Subject, Option<Timestamp>),
    Target(KillTarget),
}

/// Throw the kill switch.
#[utoipa::path(post, path = "/api/v1/revocations", tag = "grants", request_body = KillSwitch,
    responses((status = 200, body = KillResult), (status = 202, body = KillResult), (status = "default", response = super::docs::Refused)))]
pub async fn create(
    State(api): State<SharedApi>,
    call: Call,
    Json { value, bytes }: Json<KillSwitch>,
) -> Result<Response, Refusal> {
    policy::require(&api, &call, &Target::any("grant"), "kill_switch").await?;
    match switch(&api, &value)? {
        Switch::Subject(subject, until) => {
            let command = Command::RevokeSubject { reason: value.reason.clone(), until };
            let done = of_subject(&api, &call, &subject, command, &bytes).await?;
            let (subject, actor) = (&*subject.name, &*call.subject().name);
            SubjectKilled { subject, actor, reason: &value.reason }.emit();
            conclude(done, Effect::Takes)
        }
        Switch::Target(target) => everywhere(&api, &call, target, &value.reason, &bytes).await,
    }
}

fn switch(api: &Api, body: &KillSwitch) -> Result<Switch, Refusal> {
    let length = body.reason.chars().count();
    if length > MAX_TEXT {
        let detail = format!("expected at most {MAX_TEXT} characters, found {length}");
        return Err(Refusal::invalid("/reason", "too-long", detail));
    }
    let until = body.until.as_deref().map(iso8601::parse_time).transpose();
    let until = until.map_err(|e| Refusal::invalid("/until", "invalid", e.to_string()))?;
    if until.is_some() && body.subject.is_none() {
        let detail = "expected no time for a tool or a template";
        return Err(Refusal::invalid("/until", "not-together", detail));
    }
    match (body.subject.as_deref(), body.tool.as_deref(), body.template.as_deref()) {
        (Some(name), None, None) => {
            let detail = "no configured issuer has a subject of that name";
            let subject = api.subjects.resolve(name);
            subject
                .map(|subject| Switch::Subject(subject, until))
                .ok_or_else(|| Refusal::invalid("/subject", "unknown", detail))
        }
        (None, Some(tool), None) if is_name(tool) => {
            Ok(Switch::Target(KillTarget::Tool(tool.into())))
        }
        (None, None, Some(template)) if is_name(template) => {
            Ok(Switch::Target(KillTarget::Template(template.into())))
        }
        (None, Some(_), None) => Err(Refusal::invalid("/tool", "invalid", "not a tool's name")),
        (None, None, Some(_)) => {
            Err(Refusal::invalid("/template", "invalid", "not a template's name"))
        }
        (_, _, _) => {
            let detail = "expected exactly one of subject, tool and template";
            Err(Refusal::invalid("/subject", "exactly-one", detail))
        }
    }
}

/// One commit ends everything of a subject, so the counts are exact.
async fn of_subject(
    api: &Api,
    call: &Call,
    subject: &Subject,
    command: Command,
    bytes: &[u8],
) -> Result<Done, Refusal> {
    let order = Order {
        subject,
        target: Named::Nothing,
        command,
        actor: call.actor(),
        fired: None,
        idempotency: Idempotency::of(call, subject, bytes),
        if_match: None,
        traceparent: Some(&call.traceparent),
        answer: &counted,
    };
    execute(api, &order).await
}

/// What came of an order.
struct Thrown {
    /// How many partitions have it.
    reached: usize,
    refusal: Option<Refusal>,
    durability: Durability,
}

/// Every partition is tried, also after one failed: what was written binds, a retry completes. A few
/// at a time: each may have to wait for a disk or a replica.
async fn throw(api: SharedApi, order: KillOrder) -> Thrown {
    let mut thrown = Thrown { reached: 0, refusal: None, durability: Durability::Confirmed };
    let mut running = JoinSet::new();
    for partition in api.store.partitions().all() {
        if running.len() >= AT_ONCE {
            thrown.take(&api, running.join_next().await);
        }
        let (store, order) = (api.store.clone(), order.clone());
        running.spawn(async move { store.kill(partition, order).await });
    }
    while !running.is_empty() {
        thrown.take(&api, running.join_next().await);
    }
    let partitions = usize::from(api.store.partitions().get());
    Killed { order: &order, reached: thrown.reached, partitions }.emit();
    thrown
}

impl Thrown {
    fn take(&mut self, api: &Api, done: Option<Result<Result<Durability, StoreFault>, JoinError>>) {
        match done {
            None => (),
            Some(Ok(Ok(durability))) => {
                self.reached += 1;
                if durability == Durability::Unconfirmed {
                    self.durability = durability;
                }
            }
            Some(Ok(Err(fault))) => self.refusal = Some(failed(api, fault, "kill")),
            Some(Err(_panicked)) => self.refusal = Some(respond::unwritable()),
        }
    }
}

fn counted(outcome: &Outcome<'_>) -> Result<Answer, Refusal> {
    let result = KillResult {
        revoked: outcome.transition.grants.len(),
        cancelled: outcome.transition.requests.len(),
        pending: false,
    };
    answered(&result)
}

fn answered(result: &KillResult) -> Result<Answer, Refusal> {
    let body = serde_json::to_string(result).map_err(|_| respond::unwritable())?;
    Ok(Answer { status: 200, body, ..Answer::default() })
}

/// A retry with the same idempotency key leaves alone the partitions that were reached; another body
/// under it is refused. Should the store not say whether there was one, the switch is thrown.
async fn everywhere(
    api: &SharedApi,
    call: &Call,
    target: KillTarget,
    reason: &str,
    bytes: &[u8],
) -> Result<Response, Refusal> {
    match kept::begin(api, call, bytes).await {
        // Its answer is always the same. What was begun is thrown again: as one order.
        Ok(Begun::Go | Begun::Answered(_)) => (),
        Err(refusal) if refusal.code == ProblemCode::IdempotencyMismatch => return Err(refusal),
        // Logged.
        Err(_unknown) => (),
    }
    let by = call.subject().clone();
    let id = match Idempotency::of(call, &by, bytes) {
        Some(idempotency) => idempotency.order_id(),
        None => OrderId(entropy::bytes()?),
    };
    let order = KillOrder { id, target, at: api.clock.now(), by, reason: reason.into() };
    // To its end, also when the caller hangs up: half a kill switch is none.
    let throwing = throw(api.clone(), order).in_current_span();
    let thrown = tokio::spawn(throwing).await.map_err(|_| respond::unwritable())?;
    let Thrown { reached, refusal, durability } = thrown;
    if let Some(mut refusal) = refusal {
        let partitions = api.store.partitions().get();
        refusal.detail = format!(
            "{reached} of {partitions} partitions were reached, and bind already; repeat the call"
        );
        return Err(refusal);
    }
    let answer = answered(&KillResult { revoked: 0, cancelled: 0, pending: true })?;
    conclude(Done { answer: answer.stored([0; 32]), durability }, Effect::Takes)
}
