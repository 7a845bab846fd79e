//! The handlers: look up, check, execute, answer.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{StatusCode, Uri, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::error::Refusal;
use super::execute::{Answer, Done, Outcome};
use super::extract::Call;
use super::policy::{self, Sight, Target};
use super::wire::{GrantView, RequestView, etag};
use super::{Api, SharedApi, respond};
use crate::domain::grant::Grant;
use crate::domain::ids::{GrantId, Partition, RequestId};
use crate::domain::request::Request;
use crate::domain::subject::Subject;
use crate::problem::ProblemCode;
use crate::store::{Cursor, Durability};

pub mod audit;
pub mod catalog;
pub mod comments;
pub mod dead_letters;
pub mod decide;
pub mod decisions;
pub mod docs;
pub mod eligibilities;
pub mod grants;
pub mod lists;
pub mod permissions;
pub mod preview;
pub mod requests;
pub mod review;
pub mod revocations;
pub mod templates;

/// Items of a list, and the cursor of its next page.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listing<T> {
    pub items: Vec<T>,
    /// `null`: this was the last page. A page may be short without being the last.
    pub next_cursor: Option<String>,
}

/// The parameters of a query string; unknown and repeated ones are refused.
#[derive(Debug)]
pub struct Filters<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<SharedApi> for Filters<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &SharedApi) -> Result<Self, Refusal> {
        let parsed = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        parsed.map(|query| Self(query.0)).map_err(|rejection| {
            let text: String = rejection.body_text().chars().take(300).collect();
            let name = text.split('`').nth(1).unwrap_or_default().to_owned();
            Refusal::invalid(format!("/{name}"), "invalid", text)
        })
    }
}

/// A page with its `Link: rel="next"`.
///
/// # Errors
/// As [`respond::json`].
fn listing<T: Serialize>(
    uri: &Uri,
    items: Vec<T>,
    next: Option<Cursor>,
) -> Result<Response, Refusal> {
    let next_cursor = next.map(|cursor| cursor.to_string());
    let link = next_cursor.as_deref().map(|cursor| next_link(uri, "cursor", cursor));
    let mut response = respond::json(StatusCode::OK, &Listing { items, next_cursor })?;
    if let Some(link) = link {
        respond::set(response.headers_mut(), header::LINK, &link);
    }
    Ok(response)
}

/// The same list from `cursor` on (RFC 8288).
fn next_link(uri: &Uri, parameter: &str, cursor: &str) -> String {
    let this = format!("{parameter}=");
    let query = uri.query().unwrap_or_default();
    let others = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with(&this));
    let mut pairs: Vec<&str> = others.collect();
    let next = format!("{this}{cursor}");
    pairs.push(&next);
    format!("<{}?{}>; rel=\"next\"", uri.path(), pairs.join("&"))
}

/// The request that a path names, when the caller may see it.
async fn find_request(api: &Api, call: &Call, id: &str) -> Result<(Request, Sight), Refusal> {
    let id = id.parse::<RequestId>().ok().filter(|id| exists(api, id.partition));
    let found = match id {
        Some(id) => api.store.request(id).await,
        None => Ok(None),
    };
    let found = found.map_err(|fault| super::execute::failed(api, fault, "request"))?;
    let found = found.map(|request| {
        let (target, own) = (Target::request(&request), is_own(&request, call.subject()));
        (request, target, own)
    });
    policy::sight(api, call, "access_request", found).await
}

/// The grant that a path names, when the caller may see it.
async fn find_grant(api: &Api, call: &Call, id: &str) -> Result<(Grant, Sight), Refusal> {
    let id = id.parse::<GrantId>().ok().filter(|id| exists(api, id.partition));
    let found = match id {
        Some(id) => api.store.grant(id).await,
        None => Ok(None),
    };
    let found = found.map_err(|fault| super::execute::failed(api, fault, "grant"))?;
    let found = found.map(|grant| {
        let (target, own) = (Target::grant(&grant), grant.subject == *call.subject());
        (grant, target, own)
    });
    policy::sight(api, call, "grant", found).await
}

fn exists(api: &Api, partition: Partition) -> bool {
    partition.0 < api.store.partitions().get()
}

fn is_own(request: &Request, subject: &Subject) -> bool {
    let asked = request.on_behalf_by.as_ref().is_some_and(|by| by.subject == *subject);
    asked || request.subject() == subject
}

/// What not reaching the acknowledgement level means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Access may come of it: not before it is confirmed.
    Gives,
    /// Access ends: it binds at once.
    Takes,
}

fn conclude(done: Done, effect: Effect) -> Result<Response, Refusal> {
    match (done.durability, effect) {
        (Durability::Confirmed, _) if done.answer.is_unconfirmed() => Err(unconfirmed()),
        (Durability::Confirmed, _) => Ok(respond::stored(done.answer)),
        (Durability::Unconfirmed, Effect::Gives) => Err(unconfirmed()),
        (Durability::Unconfirmed, Effect::Takes) => {
            let mut answer = done.answer;
            answer.status = 202;
            if let Some(open) = answer.body.strip_suffix('}') {
                answer.body = format!("{open},\"durability\":\"unconfirmed\"}}");
            }
            Ok(respond::stored(answer))
        }
    }
}

fn unconfirmed() -> Refusal {
    let detail = "it is written, but the store has not confirmed it; repeat the same call";
    Refusal::new(ProblemCode::Unconfirmed, detail)
}

impl Outcome<'_> {
    fn request(&self, id: RequestId) -> Result<&Request, Refusal> {
        let changed = self.transition.requests.iter().rev().find(|request| request.id == id);
        changed.or_else(|| self.before.requests.get(&id)).ok_or_else(Refusal::not_found)
    }

    fn grant(&self, id: GrantId) -> Result<&Grant, Refusal> {
        let changed = self.transition.grants.iter().rev().find(|grant| grant.id == id);
        changed.or_else(|| self.before.grants.get(&id)).ok_or_else(Refusal::not_found)
    }
}

/// 200 with the request as the command leaves it.
fn answer_request(outcome: &Outcome<'_>, id: RequestId, sight: Sight) -> Result<Answer, Refusal> {
    let request = outcome.request(id)?;
    let view = RequestView::of(request, &outcome.before.markers, outcome.now, sight);
    let body = serde_json::to_string(&view).map_err(|_| respond::unwritable())?;
    Ok(Answer { status: 200, body, etag: Some(etag(request.revision)), location: None })
}

/// 200 with the grant as the command leaves it.
fn answer_grant(outcome: &Outcome<'_>, id: GrantId) -> Result<Answer, Refusal> {
    let grant = outcome.grant(id)?;
    let view = GrantView::of(grant, &outcome.before.markers, outcome.now);
    let body = serde_json::to_string(&view).map_err(|_| respond::unwritable())?;
    Ok(Answer { status: 200, body, etag: Some(etag(grant.revision)), location: None })
}

/// A request as it stands now.
async fn show_request(api: &Api, request: &Request, sight: Sight) -> Result<RequestView, Refusal> {
    let markers = lists::markers(api, request.id.partition).await?;
    Ok(RequestView::of(request, &markers, api.clock.now(), sight))
}
