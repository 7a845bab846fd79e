//! The JSON of requests and grants: times in RFC 3339, durations in ISO 8601.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::policy::Sight;
use super::way::WayView;
use crate::domain::access::Narrowing;
use crate::domain::apply::{grant_status, kill_that_cancelled, kill_that_revoked, request_status};
use crate::domain::course::Way;
use crate::domain::grant::Grant;
use crate::domain::markers::Markers;
use crate::domain::request::{Approval, Comment, Request, RequestStatus};
use crate::domain::rules::{Extension, Terms};
use crate::domain::template::{Approvers, FieldValue, Step};
use crate::domain::time::Timestamp;
use crate::domain::uses::Use;
use crate::iso8601;

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    pub id: String,
    pub template: String,
    /// The version of the template that the request was made under, and stays under.
    pub template_version: String,
    /// Whose access it is.
    pub subject: String,
    /// `pending`, `approved`, `denied`, `cancelled` or `expired`.
    pub status: String,
    /// ISO 8601.
    pub duration: String,
    pub justification: String,
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    pub fields: BTreeMap<String, FieldValue>,
    pub steps: Vec<StepView>,
    /// What an approval counts for: 64 hexadecimal digits.
    pub digest: String,
    pub created_at: String,
    /// When it expires undecided.
    pub pending_until: String,
    /// Since when the groups of the template's escalation may decide as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated_at: Option<String>,
    pub decided_at: Option<String>,
    /// Ids of the grants that its approval made.
    pub grants: Vec<String>,
    /// How many comments it has.
    pub comments: usize,
    pub way: WayView,
    /// Who asked, when it was somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Why it was denied or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Shown to those who may read anybody's requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<RequesterView>,
}

/// The requester as their token described them when they asked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RequesterView {
    pub groups: Vec<String>,
    pub email: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// Counted from 1.
    pub number: u32,
    /// How many different people have to approve.
    pub required: u32,
    pub approvers: ApproversView,
    /// Groups that may decide as well, since nobody had decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalated_to: Vec<String>,
    pub approvals: Vec<ApprovalView>,
    /// `approved`, `denied`, `current`, `waiting`, or `skipped` where nobody had to decide.
    pub status: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApproversView {
    /// Anybody who is signed in.
    pub any: bool,
    pub groups: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    pub by: String,
    pub at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CommentView {
    pub by: String,
    pub at: String,
    pub text: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    pub id: String,
    pub subject: String,
    pub tool: String,
    pub role: String,
    pub template: String,
    /// Only a scheduled grant has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    pub granted_at: String,
    pub expires_at: String,
    /// `unconfirmed`, `scheduled`, `active`, `expired`, `revoked` or `released`.
    pub status: String,
    /// The request that it came from.
    pub request: String,
    pub approvers: Vec<String>,
    /// Every one of these must cover a request to the tool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub narrowings: Vec<NarrowingView>,
    /// How often its end was moved.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub extended: u32,
    /// How its holder may move its end; left out where that is not offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<ExtensionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndedView>,
    /// Shown where grants are looked at; absent until it was used. It is a few seconds late, and uses
    /// may be missing after a crash of a gateway.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub used: Option<UseView>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UseView {
    pub first: String,
    pub last: String,
    /// Requests that it let through.
    pub count: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NarrowingView {
    pub methods: Vec<String>,
    pub paths: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExtensionView {
    /// How often it can still be extended.
    pub left: u32,
    /// By how much: ISO 8601.
    pub steps: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EndedView {
    pub at: String,
    pub by: String,
    pub reason: String,
}

/// The entity tag of a request or grant: its revision.
#[must_use]
pub fn etag(revision: u64) -> String {
    format!("\"{revision}\"")
}

impl RequestView {
    #[must_use]
    pub fn of(request: &Request, markers: &Markers, now: Timestamp, sight: Sight) -> Self {
        let (grants, reason) = outcome(&request.status);
        let status = request_status(request, markers, now);
        let killed = kill_that_cancelled(request, markers, now);
        let ended = match (request.status.decided_at(), killed, status) {
            (Some(at), ..) => Some(at),
            (None, Some(kill), _) => Some(kill.at),
            (None, None, "expired") => Some(request.pending_until),
            (None, None, _) => None,
        };
        Self {
            id: request.id.to_string(),
            template: request.template.name.to_string(),
            template_version: request.template.version(),
            subject: request.subject().name.to_string(),
            status: status.to_owned(),
            duration: iso8601::duration(request.duration),
            justification: request.justification.clone(),
            fields: request.fields.iter().map(|(k, v)| (k.to_string(), v.clone())).collect(),
            steps: steps(request, status),
            digest: request.digest(),
            created_at: iso8601::time(request.created_at),
            pending_until: iso8601::time(request.pending_until),
            escalated_at: request.course.escalated_at.map(iso8601::time),
            decided_at: ended.map(iso8601::time),
            grants,
            comments: request.comments.len(),
            way: WayView::of(&request.course.way),
            requested_by: request.on_behalf_by.as_ref().map(|by| by.subject.name.to_string()),
            reason: reason.or_else(|| killed.map(|kill| kill.reason.to_string())),
            requester: (sight == Sight::Any).then(|| requester(request)),
        }
    }
}

fn requester(request: &Request) -> RequesterView {
    let person = &request.requester;
    RequesterView {
        groups: strings(&person.groups),
        email: person.email.as_ref().map(ToString::to_string),
    }
}

fn outcome(status: &RequestStatus) -> (Vec<String>, Option<String>) {
    match status {
        RequestStatus::Approved { grants, .. } => {
            (grants.iter().map(ToString::to_string).collect(), None)
        }
        RequestStatus::Denied { reason, .. } | RequestStatus::Cancelled { reason, .. } => {
            (Vec::new(), Some(reason.clone()))
        }
        RequestStatus::Pending | RequestStatus::Expired { .. } => (Vec::new(), None),
    }
}

/// The steps of a request as they stand; `status` is the word of the request.
#[must_use]
pub fn steps(request: &Request, status: &str) -> Vec<StepView> {
    let current = request.current_step().map(|(number, _)| number);
    let denied = match &request.status {
        RequestStatus::Denied { step, .. } => Some(*step),
        RequestStatus::Pending
        | RequestStatus::Approved { .. }
        | RequestStatus::Cancelled { .. }
        | RequestStatus::Expired { .. } => None,
    };
    let is_skipped = match &request.course.way {
        Way::Approvers => false,
        Way::Rule { .. } | Way::Eligibility | Way::BreakGlass { .. } => true,
    };
    let word = |number: u32| match current {
        _ if denied == Some(number) => "denied",
        _ if is_skipped => "skipped",
        None => "approved",
        Some(current) if number < current => "approved",
        Some(current) if number == current && status == "pending" => "current",
        Some(_) => "waiting",
    };
    let steps = (1_u32..).zip(&request.template.steps);
    steps.map(|(number, step)| step_view(request, number, step, word(number))).collect()
}

fn step_view(request: &Request, number: u32, step: &Step, status: &str) -> StepView {
    let approvals = request.approvals.iter().filter(|approval| approval.step == number);
    let late = |at| request.course.escalated_at.is_some_and(|since| since <= at);
    // A step that was complete by then was never theirs.
    let is_open = matches!(status, "current" | "waiting");
    let is_theirs = is_open || approvals.clone().any(|approval| late(approval.at));
    StepView {
        number,
        required: step.required,
        approvers: ApproversView::of(&step.approvers),
        escalated_to: if is_theirs { strings(request.escalated_to()) } else { Vec::new() },
        approvals: approvals.map(ApprovalView::of).collect(),
        status: status.to_owned(),
    }
}

impl ApproversView {
    #[must_use]
    pub fn of(approvers: &Approvers) -> Self {
        match approvers {
            Approvers::Anyone => Self { any: true, groups: Vec::new() },
            Approvers::Groups(groups) => Self { any: false, groups: strings(groups) },
        }
    }
}

impl ApprovalView {
    fn of(approval: &Approval) -> Self {
        Self {
            by: approval.by.subject.name.to_string(),
            at: iso8601::time(approval.at),
            comment: approval.comment.clone(),
        }
    }
}

impl CommentView {
    #[must_use]
    pub fn of(comment: &Comment) -> Self {
        Self {
            by: comment.by.to_string(),
            at: iso8601::time(comment.at),
            text: comment.text.clone(),
        }
    }
}

impl GrantView {
    #[must_use]
    pub fn of(grant: &Grant, markers: &Markers, now: Timestamp) -> Self {
        let status = grant_status(grant, markers, now);
        Self {
            id: grant.id.to_string(),
            subject: grant.subject.name.to_string(),
            tool: grant.access.tool.to_string(),
            role: grant.access.role.to_string(),
            template: grant.template.to_string(),
            not_before: grant.not_before.map(iso8601::time),
            granted_at: iso8601::time(grant.granted_at),
            expires_at: iso8601::time(grant.expires_at),
            status: status.word().to_owned(),
            request: grant.request.to_string(),
            approvers: strings(&grant.approvers),
            narrowings: grant.narrowings.iter().map(NarrowingView::of).collect(),
            extended: grant.terms.extended,
            extension: ExtensionView::of(&grant.terms),
            ended: ended(grant, markers, now),
            used: None,
        }
    }

    #[must_use]
    pub fn with_use(self, used: Option<&Use>) -> Self {
        let view = |used: &Use| UseView {
            first: iso8601::time(used.first),
            last: iso8601::time(used.last),
            count: used.count,
        };
        Self { used: used.map(view), ..self }
    }
}

/// A grant that a kill ended shows it, whether or not it was swept.
fn ended(grant: &Grant, markers: &Markers, now: Timestamp) -> Option<EndedView> {
    if let Some(end) = &grant.ended {
        let (by, reason) = (end.by.to_string(), end.reason.clone());
        return Some(EndedView { at: iso8601::time(end.at), by, reason });
    }
    let kill = kill_that_revoked(grant, markers, now)?;
    let (by, reason) = (kill.by.name.to_string(), kill.reason.to_string());
    Some(EndedView { at: iso8601::time(kill.at), by, reason })
}

impl ExtensionView {
    fn of(terms: &Terms) -> Option<Self> {
        let Extension { max, steps } = terms.extension.as_ref()?;
        let steps = steps.iter().copied().map(iso8601::duration).collect();
        Some(Self { left: max.saturating_sub(terms.extended), steps })
    }
}

impl NarrowingView {
    fn of(narrowing: &Narrowing) -> Self {
        let paths = narrowing.paths.iter().map(|path| path.as_str().to_owned());
        Self { methods: strings(&narrowing.methods), paths: paths.collect() }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn strings(texts: &[Arc<str>]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}
