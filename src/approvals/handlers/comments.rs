//! The discussion of a request.

use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::body::Json;
use super::super::error::Refusal;
use super::super::execute::{Answer, Idempotency, Named, Order, Outcome, execute};
use super::super::extract::Call;
use super::super::policy::{self, Target};
use super::super::wire::{CommentView, etag};
use super::super::{Api, SharedApi, respond};
use super::{Effect, Listing, conclude, find_request, listing};
use crate::domain::command::Command;
use crate::domain::ids::RequestId;
use crate::domain::request::Request;

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewComment {
    /// 1 to 4096 characters.
    pub text: String,
}

/// All comments, oldest first.
#[utoipa::path(get, path = "/api/v1/requests/{id}/comments", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, body = Listing<CommentView>), (status = "default", response = super::docs::Refused)))]
pub async fn list(
    State(api): State<SharedApi>,
    call: Call,
    uri: Uri,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let (request, _) = find_request(&api, &call, &id).await?;
    listing(&uri, request.comments.iter().map(CommentView::of).collect(), None)
}

/// Add a comment; possible after the decision too.
#[utoipa::path(post, path = "/api/v1/requests/{id}/comments", tag = "requests", params(("id" = String, Path)),
    request_body = NewComment,
    responses((status = 201, body = CommentView), (status = "default", response = super::docs::Refused)))]
pub async fn create(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
    Json { value, bytes }: Json<NewComment>,
) -> Result<Response, Refusal> {
    let (request, _) = find_request(&api, &call, &id).await?;
    policy::require(&api, &call, &Target::request(&request), "comment").await?;
    add(&api, &call, &request, value.text, &bytes).await
}

async fn add(
    api: &Api,
    call: &Call,
    request: &Request,
    text: String,
    bytes: &[u8],
) -> Result<Response, Refusal> {
    let order = Order {
        subject: request.subject(),
        target: Named::Request(request.id),
        command: Command::Comment { request: request.id, text },
        actor: call.actor(),
        fired: None,
        idempotency: Idempotency::of(call, request.subject(), bytes),
        if_match: call.if_match.as_ref(),
        traceparent: Some(&call.traceparent),
        answer: &|outcome: &Outcome<'_>| added(outcome, request.id),
    };
    conclude(execute(api, &order).await?, Effect::Gives)
}

fn added(outcome: &Outcome<'_>, id: RequestId) -> Result<Answer, Refusal> {
    let request = outcome.request(id)?;
    let comment = request.comments.last().ok_or_else(Refusal::not_found)?;
    let body = serde_json::to_string(&CommentView::of(comment));
    let body = body.map_err(|_| respond::unwritable())?;
    Ok(Answer { status: 201, body, etag: Some(etag(request.revision)), location: None })
}
