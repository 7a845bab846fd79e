//! What the caller could do with a request right now, so that a user interface shows the right
//! buttons: the policy's answer and a dry run of the command.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;

use super::super::error::Refusal;
use super::super::execute::failed;
use super::super::extract::Call;
use super::super::policy::{self, Target};
use super::super::{Api, SharedApi, respond};
use super::decide::eligible_in;
use super::find_request;
use crate::domain::apply::apply;
use crate::domain::command::{Authority, Command, SubjectState};
use crate::domain::ids::RequestId;
use crate::domain::request::{Bounds, Request};
use crate::entropy;
use crate::store::Load;

const ACTIONS: [&str; 6] = ["approve", "deny", "cancel", "comment", "review", "review_any"];

/// One boolean per action.
#[utoipa::path(get, path = "/api/v1/requests/{id}/permissions", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, body = BTreeMap<String, bool>), (status = "default", response = super::docs::Refused)))]
pub async fn get(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let (request, _) = find_request(&api, &call, &id).await?;
    let decisions = policy::ask(&api, &call, &Target::request(&request), &ACTIONS).await?;
    let state = load(&api, &request).await?;
    let mut map = BTreeMap::from([("read", true)]);
    for (action, decision) in ACTIONS.into_iter().zip(decisions) {
        let possible = would_work(&api, &call, &state, &dry(&api, action, &request))?;
        let shown = if action == "review_any" { "review" } else { action };
        *map.entry(shown).or_insert(false) |= decision.allowed && possible;
    }
    respond::json(StatusCode::OK, &map)
}

/// Whether the caller could approve the request now.
///
/// # Errors
/// `policy-unreachable`, `store-unreachable`.
pub(super) async fn may_approve(
    api: &Api,
    call: &Call,
    request: &Request,
) -> Result<bool, Refusal> {
    let allowed = policy::allows(api, call, &Target::request(request), "approve").await?;
    let state = load(api, request).await?;
    Ok(allowed && would_work(api, call, &state, &dry(api, "approve", request))?)
}

async fn load(api: &Api, request: &Request) -> Result<SubjectState, Refusal> {
    let subject = request.subject();
    let load = Load { subject, request: Some(request.id), grant: None, idempotency: None };
    let loaded = api.store.load(load).await.map_err(|fault| failed(api, fault, "load"))?;
    Ok(loaded.state)
}

/// The command of an action, with the smallest input that it accepts.
fn dry(api: &Api, action: &str, of: &Request) -> Command {
    let request = of.id;
    match action {
        "approve" => {
            let (bounds, eligible) = (Bounds::default(), eligible_in(&api.catalog.load(), of));
            Command::Approve { request, step: None, comment: None, bounds, eligible }
        }
        "deny" => Command::Deny { request, step: None, reason: String::new() },
        "cancel" => Command::Cancel { request, reason: String::new() },
        "review" => review(request, Authority::Approver),
        "review_any" => review(request, Authority::Any),
        _ => Command::Comment { request, text: "?".to_owned() },
    }
}

fn review(request: RequestId, authority: Authority) -> Command {
    Command::Review { request, comment: String::new(), authority }
}

fn would_work(
    api: &Api,
    call: &Call,
    state: &SubjectState,
    command: &Command,
) -> Result<bool, Refusal> {
    let seed = entropy::seed()?;
    Ok(apply(state, command, &call.actor(), seed, api.clock.now()).is_ok())
}
