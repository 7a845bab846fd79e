//! Events: what happened, as facts. The store appends them in the commit that made them true; the
//! outbox turns them into CloudEvents.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::course::Recipient;
use super::grant::{EndedWhy, Grant};
use super::ids::{GrantId, RequestId};
use super::request::{Bounds, Request};
use super::subject::Actor;
use super::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub kind: EventKind,
    pub resource: Resource,
    /// The request that all of this belongs to (`correlationid`).
    pub correlation: Option<RequestId>,
    pub actor: Actor,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Snapshot>,
    pub after: Snapshot,
    /// Whom to tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Recipient>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    RequestSubmitted,
    RequestCommented,
    RequestStepApproved,
    RequestApproved,
    RequestDenied,
    RequestCancelled,
    RequestExpired,
    GrantActivated,
    GrantExpired,
    GrantRevoked,
    GrantReleased,
    RequestEscalated,
    GrantExtended,
    GrantExpiring,
    BreakglassUsed,
    BreakglassReviewed,
    BreakglassOverdue,
    TemplateChanged,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 18] = [
        Self::RequestSubmitted,
        Self::RequestCommented,
        Self::RequestStepApproved,
        Self::RequestApproved,
        Self::RequestDenied,
        Self::RequestCancelled,
        Self::RequestExpired,
        Self::GrantActivated,
        Self::GrantExpired,
        Self::GrantRevoked,
        Self::GrantReleased,
        Self::RequestEscalated,
        Self::GrantExtended,
        Self::GrantExpiring,
        Self::BreakglassUsed,
        Self::BreakglassReviewed,
        Self::BreakglassOverdue,
        Self::TemplateChanged,
    ];

    /// The CloudEvents `type`.
    #[must_use]
    pub const fn cloud_event_type(self) -> &'static str {
        match self {
            Self::RequestSubmitted => "dev.tidegate.request.submitted.v1",
            Self::RequestCommented => "dev.tidegate.request.commented.v1",
            Self::RequestStepApproved => "dev.tidegate.request.step-approved.v1",
            Self::RequestApproved => "dev.tidegate.request.approved.v1",
            Self::RequestDenied => "dev.tidegate.request.denied.v1",
            Self::RequestCancelled => "dev.tidegate.request.cancelled.v1",
            Self::RequestExpired => "dev.tidegate.request.expired.v1",
            Self::GrantActivated => "dev.tidegate.grant.activated.v1",
            Self::GrantExpired => "dev.tidegate.grant.expired.v1",
            Self::GrantRevoked => "dev.tidegate.grant.revoked.v1",
            Self::GrantReleased => "dev.tidegate.grant.released.v1",
            Self::RequestEscalated => "dev.tidegate.request.escalated.v1",
            Self::GrantExtended => "dev.tidegate.grant.extended.v1",
            Self::GrantExpiring => "dev.tidegate.grant.expiring.v1",
            Self::BreakglassUsed => "dev.tidegate.breakglass.used.v1",
            Self::BreakglassReviewed => "dev.tidegate.breakglass.reviewed.v1",
            Self::BreakglassOverdue => "dev.tidegate.breakglass.overdue.v1",
            Self::TemplateChanged => "dev.tidegate.template.changed.v1",
        }
    }

    /// Its `type` without `dev.tidegate.` and `.v1`.
    #[must_use]
    pub fn word(self) -> &'static str {
        let kind = self.cloud_event_type();
        let kind = kind.strip_prefix("dev.tidegate.").unwrap_or(kind);
        kind.strip_suffix(".v1").unwrap_or(kind)
    }

    #[must_use]
    pub const fn of_end(why: EndedWhy) -> Self {
        match why {
            EndedWhy::Expired => Self::GrantExpired,
            EndedWhy::Revoked => Self::GrantRevoked,
            EndedWhy::Released => Self::GrantReleased,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    Request(RequestId),
    Grant(GrantId),
    Template(Arc<str>),
}

/// `requests/<id>`, `grants/<id>` or `templates/<name>`: the CloudEvents `subject`.
impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request(id) => write!(f, "requests/{id}"),
            Self::Grant(id) => write!(f, "grants/{id}"),
            Self::Template(name) => write!(f, "templates/{name}"),
        }
    }
}

/// The facts that the change could move, before or after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "of")]
pub enum Snapshot {
    Request {
        status: String,
        template: String,
        duration_ms: u64,
        justification: String,
        digest: String,
        approvals: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bounds: Option<Bounds>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    Grant {
        status: String,
        access: String,
        template: String,
        expires_at: Timestamp,
        approvers: Vec<String>,
    },
    /// A template that was made over the API.
    Template {
        /// `enabled`, `disabled`, `deleted`, or `unreadable`.
        status: String,
        version: u64,
        /// `tool:role`
        accesses: Vec<String>,
        /// SHA-256 over the whole template, 64 hexadecimal digits; empty where there is none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        digest: String,
        /// The parts of the template that are other than before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changed: Vec<String>,
    },
}

impl Snapshot {
    #[must_use]
    pub fn of_request(request: &Request) -> Self {
        Self::Request {
            status: request.status.word().to_owned(),
            template: request.template.name.to_string(),
            duration_ms: u64::try_from(request.duration.as_millis()).unwrap_or(u64::MAX),
            justification: request.justification.clone(),
            digest: request.digest(),
            approvals: request.approvals.len(),
            bounds: None,
            text: None,
        }
    }

    #[must_use]
    pub fn of_grant(grant: &Grant, now: Timestamp) -> Self {
        Self::Grant {
            status: grant.status(now).word().to_owned(),
            access: grant.access.to_string(),
            template: grant.template.to_string(),
            expires_at: grant.expires_at,
            approvers: grant.approvers.iter().map(ToString::to_string).collect(),
        }
    }
}
