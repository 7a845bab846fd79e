//! Templates: looking at all of them, and making those that stand in no file.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::body::JsonObject;
use super::super::error::Refusal;
use super::super::execute::{Answer, Idempotency, Named, Order, Outcome, execute, failed};
use super::super::extract::Call;
use super::super::kept;
use super::super::policy::{self, Target};
use super::super::templates::refresh;
use super::super::{Api, SharedApi, respond};
use super::{Effect, Listing, conclude, listing};
use crate::catalog;
use crate::domain::access::is_name;
use crate::domain::command::{Command, Meant};
use crate::domain::made::{self, Made};
use crate::domain::template::Template;
use crate::problem::{ProblemCode, ProblemError};

/// A template and where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateEntry {
    pub name: String,
    /// `file` or `api`.
    pub origin: &'static str,
    /// Of one from a file a digest of its content; of one made over the API its number, from 1,
    /// which is its `ETag`.
    pub version: String,
    /// As an entry of a catalog file.
    #[schema(value_type = serde_json::Value)]
    pub template: serde_json::Map<String, serde_json::Value>,
}

/// What is left of a template that was made over the API.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedTemplate {
    pub name: String,
    /// The number of the deletion.
    pub version: String,
    /// `true`
    pub deleted: bool,
}

/// The templates, from files and made over the API: all of them for those with `read_any`, for
/// others those that they see in the catalog.
#[utoipa::path(get, path = "/api/v1/templates", tag = "catalog",
    responses((status = 200, body = Listing<TemplateEntry>), (status = "default", response = super::docs::Refused)))]
pub async fn list(State(api): State<SharedApi>, call: Call, uri: Uri) -> Result<Response, Refusal> {
    let target = Target::any("template");
    policy::require(&api, &call, &target, "read").await?;
    let all = policy::allows(&api, &call, &target, "read_any").await?;
    refresh(&api).await?;
    let (catalog, person) = (api.catalog.load(), &call.identity.person);
    let shown = catalog.templates.values().filter(|it| all || it.is_visible_to(person));
    listing(&uri, shown.map(|template| TemplateEntry::of(template)).collect(), None)
}

/// One template.
#[utoipa::path(get, path = "/api/v1/templates/{name}", tag = "catalog", params(("name" = String, Path)),
    responses((status = 200, body = TemplateEntry), (status = "default", response = super::docs::Refused)))]
pub async fn get(
    State(api): State<SharedApi>,
    call: Call,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    refresh(&api).await?;
    let found = api.catalog.load().templates.get(name.as_str()).cloned();
    let found = found.map(|template| {
        let is_visible = template.is_visible_to(&call.identity.person);
        (template, target(&name), is_visible)
    });
    let (template, _) = policy::sight(&api, &call, "template", found).await?;
    respond::json_with_etag(&TemplateEntry::of(&template), &tag(&template.version()))
}

/// Make a template, or a new version of one. The body is an entry of a catalog file in JSON; the name
/// may be left out of it.
#[utoipa::path(put, path = "/api/v1/templates/{name}", tag = "catalog", params(("name" = String, Path)),
    request_body(content = serde_json::Value, description = "An entry of a catalog file: catalog.schema.json."),
    responses((status = 200, body = TemplateEntry), (status = 201, body = TemplateEntry), (status = "default", response = super::docs::Refused)))]
pub async fn put(
    State(api): State<SharedApi>,
    call: Call,
    Path(name): Path<String>,
    JsonObject { members, bytes }: JsonObject,
) -> Result<Response, Refusal> {
    let there = there(&api, &name).await?;
    let exists = there.is_some();
    let template = match read(&api, &name, members) {
        Ok(template) => template,
        // Whoever may not write at all is not told what is wrong with it.
        Err(wrong) => {
            require_write(&api, &call, &target(&name), exists).await?;
            return Err(wrong);
        }
    };
    let before = api.catalog.load().templates.get(&template.name).cloned();
    let asked = Target::template_change(&template, before.as_deref());
    let is_same =
        there.is_some_and(|made| made.says(&template)) || is_again(&api, &call, &bytes).await?;
    // Whoever made it may send the same call again, also without being allowed to change it.
    let meant = if exists && is_same && !policy::allows(&api, &call, &asked, "update").await? {
        require_write(&api, &call, &asked, false).await?;
        Meant::Same
    } else {
        require_write(&api, &call, &asked, exists).await?;
        if exists { Meant::Change } else { Meant::New }
    };
    let template = Arc::new(template);
    refuse_in_files(&api, &name)?;
    let name = template.name.clone();
    let answer = |outcome: &Outcome<'_>| answer_put(outcome, &name);
    let command = Command::PutTemplate { template, meant };
    change(&api, &call, &name, command, (&bytes, Effect::Gives), &answer).await
}

/// Delete a template that was made over the API. Requests and grants that came of it stay as they are.
#[utoipa::path(delete, path = "/api/v1/templates/{name}", tag = "catalog", params(("name" = String, Path)),
    responses((status = 200, body = DeletedTemplate), (status = 202, body = DeletedTemplate), (status = "default", response = super::docs::Refused)))]
pub async fn delete(
    State(api): State<SharedApi>,
    call: Call,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    policy::require(&api, &call, &target(&name), "delete").await?;
    if there(&api, &name).await?.is_none() {
        refuse_in_files(&api, &name)?;
    }
    let name: Arc<str> = name.into();
    let answer = |outcome: &Outcome<'_>| answer_deleted(outcome, &name);
    let command = Command::DeleteTemplate { name: name.clone() };
    change(&api, &call, &name, command, (b"", Effect::Takes), &answer).await
}

/// Who may do neither is not told whether it is there.
async fn require_write(
    api: &Api,
    call: &Call,
    target: &Target,
    exists: bool,
) -> Result<(), Refusal> {
    let action = if exists { "update" } else { "create" };
    if policy::allows(api, call, target, action).await? {
        return Ok(());
    }
    policy::require(api, call, target, "create").await?;
    policy::require(api, call, target, "update").await
}

/// A name that is none tells a policy nothing.
fn target(name: &str) -> Target {
    if is_name(name) { Target::template(name) } else { Target::any("template") }
}

async fn there(api: &Api, name: &str) -> Result<Option<Made>, Refusal> {
    let made = api.store.templates(None).await;
    let made = made.map_err(|fault| failed(api, fault, "templates"))?.unwrap_or_default();
    Ok(made.templates.get(name).filter(|made| !made.is_deleted()).cloned())
}

/// Whether the very call was answered before.
async fn is_again(api: &Api, call: &Call, bytes: &[u8]) -> Result<bool, Refusal> {
    let subject = made::subject();
    kept::is_answered(api, &subject, Idempotency::of(call, &subject, bytes).as_ref()).await
}

fn read(
    api: &Api,
    name: &str,
    members: serde_json::Map<String, serde_json::Value>,
) -> Result<Template, Refusal> {
    let refuse = |wrong: Vec<catalog::Wrong>| {
        let error = |it: catalog::Wrong| ProblemError {
            pointer: it.pointer,
            code: it.code.to_owned(),
            detail: it.detail,
        };
        Refusal::all_invalid(wrong.into_iter().map(error).collect())
    };
    let template = catalog::read_one(name, members, &api.shelf.tools).map_err(refuse)?;
    let unknown = catalog::unknown_groups(&template, &api.people.load());
    if unknown.is_empty() { Ok(template) } else { Err(refuse(unknown)) }
}

fn refuse_in_files(api: &Api, name: &str) -> Result<(), Refusal> {
    if api.shelf.is_in_files(name) {
        let detail = "a file of the catalog defines this template; change it there";
        return Err(Refusal::new(ProblemCode::Conflict, detail));
    }
    Ok(())
}

async fn change(
    api: &Api,
    call: &Call,
    name: &Arc<str>,
    command: Command,
    (bytes, effect): (&[u8], Effect),
    answer: &(dyn Fn(&Outcome<'_>) -> Result<Answer, Refusal> + Sync),
) -> Result<Response, Refusal> {
    let subject = made::subject();
    let order = Order {
        subject: &subject,
        target: Named::Template(name.clone()),
        command,
        actor: call.actor(),
        fired: None,
        idempotency: Idempotency::of(call, &subject, bytes),
        if_match: call.if_match.as_ref(),
        traceparent: Some(&call.traceparent),
        answer,
    };
    let done = execute(api, &order).await?;
    // Who made it may use it here at once. Logged; the task in the background looks again.
    let _told = refresh(api).await;
    conclude(done, effect)
}

fn answer_put(outcome: &Outcome<'_>, name: &str) -> Result<Answer, Refusal> {
    let before = outcome.before.templates.get(name);
    let change = outcome.transition.templates.first();
    let new = change.and_then(|change| change.template.as_ref());
    let template = new.or_else(|| before.and_then(|made| made.template()));
    let template = template.ok_or_else(Refusal::not_found)?;
    let exists = before.is_some_and(|made| !made.is_deleted());
    let status = if exists { 200 } else { 201 };
    let location = (!exists).then(|| format!("/api/v1/templates/{name}"));
    let entry = TemplateEntry::of(template);
    let body = serde_json::to_string(&entry).map_err(|_| respond::unwritable())?;
    Ok(Answer { status, body, etag: Some(tag(&entry.version)), location })
}

fn answer_deleted(outcome: &Outcome<'_>, name: &str) -> Result<Answer, Refusal> {
    let change = outcome.transition.templates.first().ok_or_else(Refusal::not_found)?;
    let version = change.version.to_string();
    let gone = DeletedTemplate { name: name.to_owned(), version, deleted: true };
    let body = serde_json::to_string(&gone).map_err(|_| respond::unwritable())?;
    Ok(Answer { status: 200, body, ..Answer::default() })
}

fn tag(version: &str) -> String {
    format!("\"{version}\"")
}

impl TemplateEntry {
    fn of(template: &Template) -> Self {
        Self {
            name: template.name.to_string(),
            origin: if template.made.is_some() { "api" } else { "file" },
            version: template.version(),
            template: catalog::written(template),
        }
    }
}
