//! What the caller can ask for.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::SharedApi;
use super::super::error::Refusal;
use super::super::extract::Call;
use super::super::policy::{self, Target};
use super::super::wire::ApproversView;
use super::{Listing, listing};
use crate::domain::rules::BreakGlass;
use crate::domain::subject::Person;
use crate::domain::template::{Field, FieldKind, Template};
use crate::domain::time::Timestamp;
use crate::iso8601;

#[expect(clippy::struct_excessive_bools, reason = "independent facts, as they are sent")]
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateView {
    pub name: String,
    pub title: String,
    /// `tool:role`
    pub accesses: Vec<String>,
    /// ISO 8601
    pub durations: Vec<String>,
    pub default_duration: String,
    pub pending_for: String,
    /// Whether the caller may ask for it.
    pub may_request: bool,
    /// Whether the caller is eligible: see `/eligibilities`.
    pub eligible: bool,
    /// Access at once in an emergency, where the template has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlassView>,
    /// Accesses that nobody may hold together with these.
    pub conflicts_with: Vec<String>,
    /// The rule by which it is given without approvers, a CEL expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_approve: Option<String>,
    pub require_justification: bool,
    /// Shown when a justification does not match `justification_pattern`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification_pattern: Option<String>,
    pub fields: Vec<FieldView>,
    pub steps: Vec<TemplateStep>,
    pub self_approval: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct BreakGlassView {
    /// Whether the caller is in its groups.
    pub may_use: bool,
    /// ISO 8601
    pub duration: String,
    /// ISO 8601: when the review is due.
    pub review_within: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FieldView {
    pub name: String,
    /// `text`, `select`, `checkbox` or `number`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<String>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateStep {
    pub required: u32,
    pub approvers: ApproversView,
}

/// The templates that are enabled and visible to the caller.
#[utoipa::path(get, path = "/api/v1/catalog", tag = "catalog",
    responses((status = 200, body = Listing<TemplateView>), (status = "default", response = super::docs::Refused)))]
pub async fn list(State(api): State<SharedApi>, call: Call, uri: Uri) -> Result<Response, Refusal> {
    policy::require(&api, &call, &Target::any("template"), "list").await?;
    let (person, now) = (&call.identity.person, api.clock.now());
    let catalog = api.catalog.load();
    let visible = catalog.templates.values().filter(|template| template.is_visible_to(person));
    listing(&uri, visible.map(|template| TemplateView::of(template, person, now)).collect(), None)
}

impl TemplateView {
    fn of(template: &Template, person: &Person, now: Timestamp) -> Self {
        let (rule, rules) = (template.justification.as_ref(), &template.rules);
        Self {
            name: template.name.to_string(),
            title: template.title.to_string(),
            accesses: template.accesses.iter().map(ToString::to_string).collect(),
            durations: template.durations.iter().map(|span| iso8601::duration(*span)).collect(),
            default_duration: iso8601::duration(template.default_duration),
            pending_for: iso8601::duration(template.pending_for),
            may_request: template.may_be_requested_by(person, now),
            eligible: template.is_eligible(person, now),
            break_glass: rules.break_glass.as_ref().map(|it| BreakGlassView::of(it, person)),
            conflicts_with: rules.conflicts_with.iter().map(ToString::to_string).collect(),
            auto_approve: rules.auto_approve.as_ref().map(ToString::to_string),
            require_justification: template.require_justification,
            justification_message: rule.map(|rule| rule.message.to_string()),
            justification_pattern: rule.map(|rule| rule.pattern.as_str().to_owned()),
            fields: template.fields.iter().map(FieldView::of).collect(),
            steps: template
                .steps
                .iter()
                .map(|step| TemplateStep {
                    required: step.required,
                    approvers: ApproversView::of(&step.approvers),
                })
                .collect(),
            self_approval: template.self_approval,
        }
    }
}

impl BreakGlassView {
    fn of(rule: &BreakGlass, person: &Person) -> Self {
        Self {
            may_use: person.in_any_group(&rule.groups),
            duration: iso8601::duration(rule.duration),
            review_within: iso8601::duration(rule.review_within),
        }
    }
}

impl FieldView {
    fn of(field: &Field) -> Self {
        let (kind, max, options) = match &field.kind {
            FieldKind::Text { max } => ("text", Some(*max), None),
            FieldKind::Select { options } => {
                ("select", None, Some(options.iter().map(ToString::to_string).collect()))
            }
            FieldKind::Checkbox => ("checkbox", None, None),
            FieldKind::Number => ("number", None, None),
        };
        Self { name: field.name.to_string(), kind, required: field.required, max, options }
    }
}
