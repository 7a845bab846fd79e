//! Reviewing a break-glass.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::body::OptionalJson;
use super::super::error::Refusal;
use super::super::extract::Call;
use super::super::policy::{self, Target};
use super::super::wire::RequestView;
use super::super::{Api, SharedApi};
use super::find_request;
use crate::domain::command::{Authority, Command};
use crate::domain::request::Request;

#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewBody {
    pub comment: Option<String>,
}

/// Review a break-glass. Its requester may use the next one after that.
#[utoipa::path(post, path = "/api/v1/requests/{id}/review", tag = "decisions", params(("id" = String, Path)),
    request_body(content = Option<ReviewBody>),
    responses((status = 200, body = RequestView), (status = "default", response = super::docs::Refused)))]
pub async fn create(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
    OptionalJson { value, bytes }: OptionalJson<ReviewBody>,
) -> Result<Response, Refusal> {
    let (request, sight) = find_request(&api, &call, &id).await?;
    let authority = authority(&api, &call, &request).await?;
    let comment = value.comment.unwrap_or_default();
    let command = Command::Review { request: request.id, comment, authority };
    super::decide::change(&api, &call, &request, sight, command, &bytes).await
}

/// One's own is refused for that, by the domain, whatever the policy says.
async fn authority(api: &Api, call: &Call, request: &Request) -> Result<Authority, Refusal> {
    let target = Target::request(request);
    if policy::allows(api, call, &target, "review_any").await? {
        return Ok(Authority::Any);
    }
    let allowed = policy::require(api, call, &target, "review").await;
    allowed.map_err(|denied| super::requests::own_review(request, call, denied))?;
    Ok(Authority::Approver)
}
