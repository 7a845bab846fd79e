//! Asking for access, and looking at what was asked.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::super::body::{Json, distinct};
use super::super::error::Refusal;
use super::super::execute::{Answer, Idempotency, Named, Order, Outcome, execute, failed};
use super::super::extract::Call;
use super::super::policy::{self, Sight, Target};
use super::super::wire::{RequestView, StepView, etag};
use super::super::{Api, SharedApi, auto_approve, page, respond, templates};
use super::{Effect, Filters, Listing, conclude, find_request, listing, lists, show_request};
use crate::domain::apply::request_status;
use crate::domain::command::{Command, Submit};
use crate::domain::request::Request;
use crate::domain::subject::Person;
use crate::domain::template::{Catalog, FieldValue};
use crate::iso8601;
use crate::problem::ProblemCode;

const STATUSES: [&str; 5] = ["pending", "approved", "denied", "cancelled", "expired"];

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRequest {
    pub template: String,
    /// ISO 8601, one of the template's; left out: its default.
    pub duration: Option<String>,
    #[serde(default)]
    pub justification: String,
    #[serde(default, deserialize_with = "distinct")]
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    pub fields: BTreeMap<String, FieldValue>,
    /// Whose access it will be; left out: the caller's.
    pub subject: Option<String>,
    /// Access at once, to be reviewed afterwards, where the template offers it.
    #[serde(default)]
    pub break_glass: bool,
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RequestFilters {
    /// `pending`, `approved`, `denied`, `cancelled` or `expired`.
    pub status: Option<String>,
    pub template: Option<String>,
    /// Whose access it is.
    pub subject: Option<String>,
    /// 1 to 200; 50 when left out.
    pub limit: Option<String>,
    pub cursor: Option<String>,
}

/// Ask for access.
#[utoipa::path(post, path = "/api/v1/requests", tag = "requests", request_body = NewRequest,
    responses((status = 201, body = RequestView), (status = "default", response = super::docs::Refused)))]
pub async fn create(
    State(api): State<SharedApi>,
    call: Call,
    Json { value, bytes }: Json<NewRequest>,
) -> Result<Response, Refusal> {
    let requester = requester(&api, &call, &value)?;
    let on_behalf = requester.subject != *call.subject();
    let action = if on_behalf { "create_on_behalf" } else { "create" };
    let target = Target::submission(&value.template, &requester.subject.name);
    policy::require(&api, &call, &target, action).await?;
    let catalog = templates::confirmed(&api, &value.template).await?;
    let mut submit = submission(&api, &catalog, value, requester)?;
    submit.rule_holds = auto_approve::holds(&api, &call, &submit);
    submit_it(&api, &call, submit, &bytes).await
}

async fn submit_it(
    api: &Api,
    call: &Call,
    submit: Submit,
    bytes: &[u8],
) -> Result<Response, Refusal> {
    let subject = submit.requester.subject.clone();
    let order = Order {
        subject: &subject,
        target: Named::Nothing,
        command: Command::Submit(submit),
        actor: call.actor(),
        fired: None,
        idempotency: Idempotency::of(call, &subject, bytes),
        if_match: None,
        traceparent: Some(&call.traceparent),
        answer: &created,
    };
    conclude(execute(api, &order).await?, Effect::Gives)
}

fn created(outcome: &Outcome<'_>) -> Result<Answer, Refusal> {
    let request = outcome.transition.requests.first().ok_or_else(Refusal::not_found)?;
    let view = RequestView::of(request, &outcome.before.markers, outcome.now, Sight::Own);
    let body = serde_json::to_string(&view).map_err(|_| respond::unwritable())?;
    let location = Some(format!("/api/v1/requests/{}", request.id));
    Ok(Answer { status: 201, body, etag: Some(etag(request.revision)), location })
}

/// The caller, or the subject that the body names: of somebody else nothing but the name is known,
/// so a template that wants groups does not take them.
fn requester(api: &Api, call: &Call, body: &NewRequest) -> Result<Person, Refusal> {
    let Some(name) = body.subject.as_deref().filter(|name| **name != *call.subject().name) else {
        return Ok(call.identity.person.clone());
    };
    let subject = api.subjects.resolve(name).ok_or_else(|| {
        Refusal::invalid("/subject", "unknown", "no configured issuer has a subject of that name")
    })?;
    // Only so that nobody decides for themself through another identity.
    let email = api.people.load().email(&subject.name).cloned();
    Ok(Person { email, ..Person::named(subject) })
}

fn submission(
    api: &Api,
    catalog: &Catalog,
    body: NewRequest,
    requester: Person,
) -> Result<Submit, Refusal> {
    let template = catalog.templates.get(body.template.as_str());
    let template = template.filter(|template| template.is_visible_to(&requester)).cloned();
    let template = template.ok_or_else(|| {
        let name: String = body.template.chars().take(64).collect();
        Refusal::invalid("/template", "unknown", format!("there is no template {name:?}"))
    })?;
    let duration = body.duration.as_deref().map(iso8601::parse_duration).transpose();
    let duration =
        duration.map_err(|error| Refusal::invalid("/duration", "invalid", error.to_string()))?;
    let (justification, fields) = (body.justification, body.fields);
    Ok(Submit {
        template,
        requester,
        duration,
        justification,
        fields,
        break_glass: body.break_glass,
        rule_holds: false,
        people: api.people.load_full(),
    })
}

/// The caller's requests, or everybody's for those who may read them.
#[utoipa::path(get, path = "/api/v1/requests", tag = "requests", params(RequestFilters),
    responses((status = 200, body = Listing<RequestView>), (status = "default", response = super::docs::Refused)))]
pub async fn list(
    State(api): State<SharedApi>,
    call: Call,
    uri: Uri,
    Filters(filters): Filters<RequestFilters>,
) -> Result<Response, Refusal> {
    let status = page::one_of("status", filters.status.as_deref(), &STATUSES)?;
    let (scope, sight) =
        lists::scope(&api, &call, "access_request", filters.subject.as_deref()).await?;
    let query = lists::query(&api, scope, filters.limit.as_deref(), filters.cursor.as_deref())?;
    let Some(mut query) = query else { return listing::<RequestView>(&uri, Vec::new(), None) };
    query.template = filters.template;
    query.status.clone_from(&status);
    let page = api.store.list_requests(&query).await;
    let page = page.map_err(|fault| failed(&api, fault, "list"))?;
    let partitions = page.items.iter().map(|request| request.id.partition);
    let markers = lists::all_markers(&api, partitions).await?;
    let views = page.items.iter().filter_map(|request| {
        let markers = markers.get(&request.id.partition)?;
        Some(RequestView::of(request, markers, query.now, sight))
    });
    // A kill or a passed deadline changes the word before the record is swept.
    let fits = |view: &RequestView| status.as_ref().is_none_or(|status| *status == view.status);
    listing(&uri, views.filter(fits).collect(), page.next)
}

/// One request.
#[utoipa::path(get, path = "/api/v1/requests/{id}", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, body = RequestView), (status = "default", response = super::docs::Refused)))]
pub async fn get(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let (request, sight) = find_request(&api, &call, &id).await?;
    let view = show_request(&api, &request, sight).await?;
    respond::json_with_etag(&view, &etag(request.revision))
}

/// The decision steps of a request.
#[utoipa::path(get, path = "/api/v1/requests/{id}/steps", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, body = Listing<StepView>), (status = "default", response = super::docs::Refused)))]
pub async fn steps(
    State(api): State<SharedApi>,
    call: Call,
    uri: Uri,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let (request, _) = find_request(&api, &call, &id).await?;
    let markers = lists::markers(&api, request.id.partition).await?;
    let status = request_status(&request, &markers, api.clock.now());
    listing(&uri, super::super::wire::steps(&request, status), None)
}

/// Withdraw a request that is not decided yet.
#[utoipa::path(post, path = "/api/v1/requests/{id}/cancel", tag = "requests", params(("id" = String, Path)),
    request_body(content = Option<super::decide::ReasonBody>),
    responses((status = 200, body = RequestView), (status = "default", response = super::docs::Refused)))]
pub async fn cancel(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
    body: super::super::body::OptionalJson<super::decide::ReasonBody>,
) -> Result<Response, Refusal> {
    let (request, sight) = find_request(&api, &call, &id).await?;
    policy::require(&api, &call, &Target::request(&request), "cancel").await?;
    let reason = body.value.reason.unwrap_or_default();
    let command = Command::Cancel { request: request.id, reason };
    super::decide::change(&api, &call, &request, sight, command, &body.bytes).await
}

/// The code by which a policy's refusal is told: one's own request names the better reason.
pub(super) fn own_decision(request: &Request, call: &Call, denied: Refusal) -> Refusal {
    if request.template.self_approval { denied } else { own_review(request, call, denied) }
}

/// The same for a review, which is never one's own.
pub(super) fn own_review(request: &Request, call: &Call, denied: Refusal) -> Refusal {
    let person = &call.identity.person;
    let asker = request.on_behalf_by.as_ref();
    let own = request.requester.is_same_person(person)
        || asker.is_some_and(|asker| asker.is_same_person(person));
    if own && denied.code == ProblemCode::PolicyDenied {
        return crate::domain::refused::Refused::SelfApproval.into();
    }
    denied
}
