//! Approving and denying.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::body::OptionalJson;
use super::super::error::Refusal;
use super::super::execute::{Idempotency, Named, Order, Outcome, execute};
use super::super::extract::Call;
use super::super::policy::{self, Sight, Target};
use super::super::templates;
use super::super::wire::RequestView;
use super::super::{Api, SharedApi};
use super::requests::own_decision;
use super::{Effect, answer_request, conclude, find_request};
use crate::domain::access::{Narrowing, PathPattern};
use crate::domain::command::Command;
use crate::domain::ids::RequestId;
use crate::domain::request::{Bounds, Request};
use crate::domain::rules::Eligible;
use crate::domain::template::Catalog;
use crate::iso8601;

/// An approval, and how it makes the access shorter or narrower.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveBody {
    pub comment: Option<String>,
    /// ISO 8601; not longer than asked. Not together with `expires_at`.
    pub duration: Option<String>,
    /// RFC 3339; within the asked duration from now.
    pub expires_at: Option<String>,
    /// HTTP methods in upper case.
    pub methods: Option<Vec<String>>,
    /// Path patterns in the syntax of tool rules.
    pub paths: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    pub reason: Option<String>,
}

/// Approve the current step.
#[utoipa::path(post, path = "/api/v1/requests/{id}/approve", tag = "decisions", params(("id" = String, Path)),
    request_body(content = Option<ApproveBody>),
    responses((status = 200, body = RequestView), (status = "default", response = super::docs::Refused)))]
pub async fn approve(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
    OptionalJson { value, bytes }: OptionalJson<ApproveBody>,
) -> Result<Response, Refusal> {
    decide(&api, &call, &id, &bytes, Verdict::Approve(None, value)).await
}

/// Approve the step that the path names; it has to be the current one.
#[utoipa::path(post, path = "/api/v1/requests/{id}/steps/{n}/approve", tag = "decisions",
    params(("id" = String, Path), ("n" = u32, Path)), request_body(content = Option<ApproveBody>),
    responses((status = 200, body = RequestView), (status = "default", response = super::docs::Refused)))]
pub async fn approve_step(
    State(api): State<SharedApi>,
    call: Call,
    Path((id, step)): Path<(String, String)>,
    OptionalJson { value, bytes }: OptionalJson<ApproveBody>,
) -> Result<Response, Refusal> {
    let step = step.parse::<u32>().map_err(|_| Refusal::not_found())?;
    decide(&api, &call, &id, &bytes, Verdict::Approve(Some(step), value)).await
}

/// Deny: the request ends with no grant.
#[utoipa::path(post, path = "/api/v1/requests/{id}/deny", tag = "decisions", params(("id" = String, Path)),
    request_body(content = Option<ReasonBody>),
    responses((status = 200, body = RequestView), (status = "default", response = super::docs::Refused)))]
pub async fn deny(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
    OptionalJson { value, bytes }: OptionalJson<ReasonBody>,
) -> Result<Response, Refusal> {
    decide(&api, &call, &id, &bytes, Verdict::Deny(None, value)).await
}

/// Deny the step that the path names; it has to be the current one.
#[utoipa::path(post, path = "/api/v1/requests/{id}/steps/{n}/deny", tag = "decisions",
    params(("id" = String, Path), ("n" = u32, Path)), request_body(content = Option<ReasonBody>),
    responses((status = 200, body = RequestView), (status = "default", response = super::docs::Refused)))]
pub async fn deny_step(
    State(api): State<SharedApi>,
    call: Call,
    Path((id, step)): Path<(String, String)>,
    OptionalJson { value, bytes }: OptionalJson<ReasonBody>,
) -> Result<Response, Refusal> {
    let step = step.parse::<u32>().map_err(|_| Refusal::not_found())?;
    decide(&api, &call, &id, &bytes, Verdict::Deny(Some(step), value)).await
}

/// With the number of the step, where the path names one.
enum Verdict {
    Approve(Option<u32>, ApproveBody),
    Deny(Option<u32>, ReasonBody),
}

async fn decide(
    api: &Api,
    call: &Call,
    id: &str,
    bytes: &[u8],
    verdict: Verdict,
) -> Result<Response, Refusal> {
    let (request, sight) = find_request(api, call, id).await?;
    let action = match verdict {
        Verdict::Approve(..) => "approve",
        Verdict::Deny(..) => "deny",
    };
    let allowed = policy::require(api, call, &Target::request(&request), action).await;
    allowed.map_err(|denied| own_decision(&request, call, denied))?;
    let command = match verdict {
        Verdict::Approve(step, body) => {
            approval(request.id, step, body, eligible_now(api, &request).await?)?
        }
        Verdict::Deny(step, body) => denial(request.id, step, body),
    };
    change(api, call, &request, sight, command, bytes).await
}

/// Changes a request and answers with it.
pub(super) async fn change(
    api: &Api,
    call: &Call,
    request: &Request,
    sight: Sight,
    command: Command,
    bytes: &[u8],
) -> Result<Response, Refusal> {
    let order = Order {
        subject: request.subject(),
        target: Named::Request(request.id),
        command,
        actor: call.actor(),
        fired: None,
        idempotency: Idempotency::of(call, request.subject(), bytes),
        if_match: call.if_match.as_ref(),
        traceparent: Some(&call.traceparent),
        answer: &|outcome: &Outcome<'_>| answer_request(outcome, request.id, sight),
    };
    conclude(execute(api, &order).await?, Effect::Gives)
}

fn denial(request: RequestId, step: Option<u32>, body: ReasonBody) -> Command {
    Command::Deny { request, step, reason: body.reason.unwrap_or_default() }
}

fn approval(
    request: RequestId,
    step: Option<u32>,
    body: ApproveBody,
    eligible: Option<Eligible>,
) -> Result<Command, Refusal> {
    let bounds = bounds(&body)?;
    Ok(Command::Approve { request, step, comment: body.comment, bounds, eligible })
}

/// Who may activate the request's template, as it is now: read anew where the request hangs on it.
async fn eligible_now(api: &Api, request: &Request) -> Result<Option<Eligible>, Refusal> {
    if request.eligibility().is_none() {
        return Ok(None);
    }
    let catalog = templates::confirmed(api, &request.template.name).await?;
    Ok(eligible_in(&catalog, request))
}

/// Nobody, when the template is gone or off.
pub(super) fn eligible_in(catalog: &Catalog, request: &Request) -> Option<Eligible> {
    let template = catalog.templates.get(&request.template.name).filter(|it| it.enabled)?;
    template.rules.eligible.clone()
}

fn bounds(body: &ApproveBody) -> Result<Bounds, Refusal> {
    if body.duration.is_some() && body.expires_at.is_some() {
        let detail = "expected duration or expires_at, found both";
        return Err(Refusal::invalid("/expires_at", "not-together", detail));
    }
    let duration = body.duration.as_deref().map(iso8601::parse_duration).transpose();
    let duration = duration.map_err(|e| Refusal::invalid("/duration", "invalid", e.to_string()))?;
    let expires_at = body.expires_at.as_deref().map(iso8601::parse_time).transpose();
    let expires_at =
        expires_at.map_err(|e| Refusal::invalid("/expires_at", "invalid", e.to_string()))?;
    let methods = body.methods.iter().flatten().map(|method| method.as_str().into());
    let narrowing = Narrowing { methods: methods.collect(), paths: paths(body)? };
    // Rounded down to whole milliseconds: never longer than said.
    let duration_ms = duration.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    Ok(Bounds { duration_ms, expires_at, narrowing })
}

fn paths(body: &ApproveBody) -> Result<Vec<PathPattern>, Refusal> {
    let paths = body.paths.iter().flatten().enumerate().map(|(index, path)| {
        PathPattern::new(path).map_err(|error| {
            Refusal::invalid(format!("/paths/{index}"), "invalid", error.to_string())
        })
    });
    paths.collect()
}
