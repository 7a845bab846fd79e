//! Standing eligibilities: what the caller may activate whenever they need it.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::SharedApi;
use super::super::error::Refusal;
use super::super::extract::Call;
use super::super::policy::{self, Target};
use super::{Listing, listing};
use crate::domain::rules::Eligible;
use crate::domain::template::Template;
use crate::iso8601;

#[derive(Debug, Serialize, ToSchema)]
pub struct EligibilityView {
    pub template: String,
    pub title: String,
    /// `tool:role`
    pub accesses: Vec<String>,
    /// ISO 8601
    pub durations: Vec<String>,
    pub default_duration: String,
    /// Nobody is eligible any more from here on.
    pub until: Option<String>,
    /// An activation waits for the approvers of the template.
    pub needs_approval: bool,
}

/// What the caller is eligible for. It is activated by a request for the template.
#[utoipa::path(get, path = "/api/v1/eligibilities", tag = "catalog",
    responses((status = 200, body = Listing<EligibilityView>), (status = "default", response = super::docs::Refused)))]
pub async fn list(State(api): State<SharedApi>, call: Call, uri: Uri) -> Result<Response, Refusal> {
    policy::require(&api, &call, &Target::any("template"), "list").await?;
    let (person, now) = (&call.identity.person, api.clock.now());
    let catalog = api.catalog.load();
    let own = catalog.templates.values().filter_map(|template| {
        let eligible = template.rules.eligible.as_ref()?;
        let is_mine = template.is_visible_to(person) && eligible.holds_for(person, now);
        is_mine.then(|| EligibilityView::of(template, eligible))
    });
    listing(&uri, own.collect(), None)
}

impl EligibilityView {
    fn of(template: &Template, eligible: &Eligible) -> Self {
        Self {
            template: template.name.to_string(),
            title: template.title.to_string(),
            accesses: template.accesses.iter().map(ToString::to_string).collect(),
            durations: template.durations.iter().map(|span| iso8601::duration(*span)).collect(),
            default_duration: iso8601::duration(template.default_duration),
            until: eligible.until.map(iso8601::time),
            needs_approval: eligible.needs_approval,
        }
    }
}
