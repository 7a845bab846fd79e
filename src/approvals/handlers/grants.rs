//! Grants: looking at them, revoking them, giving them back, extending them.

use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::super::body::{Json, OptionalJson};
use super::super::error::Refusal;
use super::super::execute::{Idempotency, Named, Order, Outcome, execute, failed};
use super::super::extract::Call;
use super::super::policy::{self, Target};
use super::super::wire::{GrantView, etag};
use super::super::{Api, SharedApi, page, respond};
use super::decide::ReasonBody;
use super::{Effect, Filters, Listing, answer_grant, conclude, find_grant, listing, lists};
use crate::domain::command::{Authority, Command};
use crate::domain::grant::{Grant, GrantStatus};
use crate::iso8601;

const STATUSES: [&str; 6] = [
    GrantStatus::Unconfirmed.word(),
    GrantStatus::Scheduled.word(),
    GrantStatus::Active.word(),
    GrantStatus::Expired.word(),
    GrantStatus::Revoked.word(),
    GrantStatus::Released.word(),
];

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GrantFilters {
    pub subject: Option<String>,
    pub tool: Option<String>,
    /// `unconfirmed`, `scheduled`, `active`, `expired`, `revoked` or `released`.
    pub status: Option<String>,
    /// 1 to 200; 50 when left out.
    pub limit: Option<String>,
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    pub reason: String,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendBody {
    /// ISO 8601; one of the steps that the template offered.
    pub duration: String,
    #[serde(default)]
    pub justification: String,
}

/// The caller's grants, or everybody's for those who may read them.
#[utoipa::path(get, path = "/api/v1/grants", tag = "grants", params(GrantFilters),
    responses((status = 200, body = Listing<GrantView>), (status = "default", response = super::docs::Refused)))]
pub async fn list(
    State(api): State<SharedApi>,
    call: Call,
    uri: Uri,
    Filters(filters): Filters<GrantFilters>,
) -> Result<Response, Refusal> {
    let status = page::one_of("status", filters.status.as_deref(), &STATUSES)?;
    let (scope, _) = lists::scope(&api, &call, "grant", filters.subject.as_deref()).await?;
    let query = lists::query(&api, scope, filters.limit.as_deref(), filters.cursor.as_deref())?;
    let Some(mut query) = query else { return listing::<GrantView>(&uri, Vec::new(), None) };
    query.tool = filters.tool;
    query.status.clone_from(&status);
    let page = api.store.list_grants(&query).await;
    let page = page.map_err(|fault| failed(&api, fault, "list"))?;
    let partitions = page.items.iter().map(|grant| grant.id.partition);
    let markers = lists::all_markers(&api, partitions).await?;
    let uses = lists::uses(&api, &page.items).await?;
    let views = page.items.iter().filter_map(|grant| {
        let markers = markers.get(&grant.id.partition)?;
        Some(GrantView::of(grant, markers, query.now).with_use(uses.get(&grant.id)))
    });
    // A kill changes the word before the record is swept.
    let fits = |view: &GrantView| status.as_ref().is_none_or(|status| *status == view.status);
    listing(&uri, views.filter(fits).collect(), page.next)
}

/// One grant.
#[utoipa::path(get, path = "/api/v1/grants/{id}", tag = "grants", params(("id" = String, Path)),
    responses((status = 200, body = GrantView), (status = "default", response = super::docs::Refused)))]
pub async fn get(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let (grant, _) = find_grant(&api, &call, &id).await?;
    let markers = lists::markers(&api, grant.id.partition).await?;
    let uses = lists::uses(&api, std::slice::from_ref(&grant)).await?;
    let view = GrantView::of(&grant, &markers, api.clock.now()).with_use(uses.get(&grant.id));
    respond::json_with_etag(&view, &etag(grant.revision))
}

/// End a grant. It binds every request to the tool that starts after the answer.
#[utoipa::path(post, path = "/api/v1/grants/{id}/revoke", tag = "grants", params(("id" = String, Path)),
    request_body = Revocation,
    responses((status = 200, body = GrantView), (status = 202, body = GrantView), (status = "default", response = super::docs::Refused)))]
pub async fn revoke(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
    Json { value, bytes }: Json<Revocation>,
) -> Result<Response, Refusal> {
    let (grant, _) = find_grant(&api, &call, &id).await?;
    let authority = authority(&api, &call, &grant).await?;
    let command = Command::Revoke { grant: grant.id, reason: value.reason, authority };
    change(&api, &call, &grant, command, (&bytes, Effect::Takes)).await
}

async fn authority(api: &Api, call: &Call, grant: &Grant) -> Result<Authority, Refusal> {
    let target = Target::grant(grant);
    if policy::allows(api, call, &target, "revoke_any").await? {
        return Ok(Authority::Any);
    }
    policy::require(api, call, &target, "revoke").await?;
    Ok(Authority::Approver)
}

/// Give one's own grant back.
#[utoipa::path(post, path = "/api/v1/grants/{id}/release", tag = "grants", params(("id" = String, Path)),
    request_body(content = Option<ReasonBody>),
    responses((status = 200, body = GrantView), (status = 202, body = GrantView), (status = "default", response = super::docs::Refused)))]
pub async fn release(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
    OptionalJson { value, bytes }: OptionalJson<ReasonBody>,
) -> Result<Response, Refusal> {
    let (grant, _) = find_grant(&api, &call, &id).await?;
    policy::require(&api, &call, &Target::grant(&grant), "release").await?;
    let reason = value.reason.unwrap_or_default();
    let command = Command::Release { grant: grant.id, reason };
    change(&api, &call, &grant, command, (&bytes, Effect::Takes)).await
}

/// Move the end of one's own grant. Open streams go on.
#[utoipa::path(post, path = "/api/v1/grants/{id}/extend", tag = "grants", params(("id" = String, Path)),
    request_body = ExtendBody,
    responses((status = 200, body = GrantView), (status = "default", response = super::docs::Refused)))]
pub async fn extend(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
    Json { value, bytes }: Json<ExtendBody>,
) -> Result<Response, Refusal> {
    let (grant, _) = find_grant(&api, &call, &id).await?;
    policy::require(&api, &call, &Target::grant(&grant), "extend").await?;
    let by = iso8601::parse_duration(&value.duration);
    let by = by.map_err(|e| Refusal::invalid("/duration", "invalid", e.to_string()))?;
    let command = Command::Extend { grant: grant.id, by, justification: value.justification };
    change(&api, &call, &grant, command, (&bytes, Effect::Gives)).await
}

/// Changes a grant and answers with it.
async fn change(
    api: &Api,
    call: &Call,
    grant: &Grant,
    command: Command,
    (bytes, effect): (&[u8], Effect),
) -> Result<Response, Refusal> {
    let order = Order {
        subject: &grant.subject,
        target: Named::Grant(grant.id),
        command,
        actor: call.actor(),
        fired: None,
        idempotency: Idempotency::of(call, &grant.subject, bytes),
        if_match: call.if_match.as_ref(),
        traceparent: Some(&call.traceparent),
        answer: &|outcome: &Outcome<'_>| answer_grant(outcome, grant.id),
    };
    conclude(execute(api, &order).await?, effect)
}
