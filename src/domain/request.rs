//! A request for access and its states. Each state carries its own facts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::access::Narrowing;
use super::course::{Course, Way};
use super::hash::sha256;
use super::ids::{GrantId, RequestId, hex};
use super::markers::Generation;
use super::rules::Eligible;
use super::subject::{Person, Subject};
use super::template::{FieldValue, Requesters, Step, Template, duration};
use super::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub id: RequestId,
    /// Whose access it is, as their token described them when the request was made.
    pub requester: Person,
    /// Who asked, when it was somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_by: Option<Person>,
    /// The whole template as it was then.
    pub template: Arc<Template>,
    #[serde(with = "duration")]
    pub duration: Duration,
    pub justification: String,
    pub fields: BTreeMap<Arc<str>, FieldValue>,
    pub created_at: Timestamp,
    /// When it expires undecided.
    pub pending_until: Timestamp,
    /// The kill-switch generation that it was made under.
    pub generation: Generation,
    pub approvals: Vec<Approval>,
    pub status: RequestStatus,
    pub comments: Vec<Comment>,
    #[serde(default)]
    pub course: Course,
    /// Grows with every change of this request; its `ETag`.
    pub revision: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum RequestStatus {
    Pending,
    Approved {
        at: Timestamp,
        grants: Vec<GrantId>,
    },
    Denied {
        at: Timestamp,
        by: Person,
        step: u32,
        reason: String,
    },
    Cancelled {
        at: Timestamp,
        by: Arc<str>,
        reason: String,
    },
    /// Nobody decided in time.
    Expired {
        at: Timestamp,
    },
}

impl RequestStatus {
    /// The word of the API and of events.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Cancelled { .. } => "cancelled",
            Self::Expired { .. } => "expired",
        }
    }

    #[must_use]
    pub const fn decided_at(&self) -> Option<Timestamp> {
        match self {
            Self::Pending => None,
            Self::Approved { at, .. }
            | Self::Denied { at, .. }
            | Self::Cancelled { at, .. }
            | Self::Expired { at } => Some(*at),
        }
    }
}

/// One person's approval of one step (counted from 1), for the digest they saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub step: u32,
    pub by: Person,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    pub digest: String,
    pub bounds: Bounds,
}

/// How an approver made the access smaller. It can never become larger than what was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// In milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Narrowing::is_empty")]
    pub narrowing: Narrowing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    pub by: Arc<str>,
    pub at: Timestamp,
    pub text: String,
}

impl Request {
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.requester.subject
    }

    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.status == RequestStatus::Pending
    }

    /// Something may still happen to it: it waits for a decision, or a review is owed for it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_pending() || self.course.owed().is_some()
    }

    /// The eligibility without which its requester could not have asked.
    #[must_use]
    pub fn eligibility(&self) -> Option<&Eligible> {
        let eligible = self.template.rules.eligible.as_ref();
        let is_admitted = match (&self.course.way, &self.template.requesters) {
            // Its groups alone say who may.
            (Way::BreakGlass { .. }, _) => true,
            (Way::Approvers | Way::Rule { .. } | Way::Eligibility, Requesters::Anyone) => false,
            (Way::Approvers | Way::Rule { .. } | Way::Eligibility, Requesters::Groups(groups)) => {
                self.requester.in_any_group(groups)
            }
        };
        eligible.filter(|_| !is_admitted)
    }

    /// Whether a person may decide the step: one of its approvers, or of those it was escalated to.
    #[must_use]
    pub fn may_be_decided_by(&self, step: &Step, person: &Person) -> bool {
        step.approvers.include(person) || person.in_any_group(self.escalated_to())
    }

    /// The groups that may decide on every step as well; none before it was escalated.
    #[must_use]
    pub fn escalated_to(&self) -> &[Arc<str>] {
        let escalation = self.template.rules.escalation.as_ref();
        let escalated = escalation.filter(|_| self.course.escalated_at.is_some());
        escalated.map(|escalation| &escalation.groups[..]).unwrap_or_default()
    }

    #[must_use]
    pub fn approvals_of(&self, step: u32) -> usize {
        self.approvals.iter().filter(|approval| approval.step == step).count()
    }

    /// The step to decide now, counted from 1; `None` when every step has its approvals.
    #[must_use]
    pub fn current_step(&self) -> Option<(u32, &Step)> {
        (1_u32..).zip(&self.template.steps).find(|(number, step)| {
            self.approvals_of(*number) < usize::try_from(step.required).unwrap_or(usize::MAX)
        })
    }

    /// What an approver approves: SHA-256 over requester, accesses, duration, fields and the
    /// template, as 64 hexadecimal digits. An edit of any of them gives another digest.
    #[must_use]
    pub fn digest(&self) -> String {
        let parts = (
            &self.requester.subject,
            &self.template,
            u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
            &self.fields,
            &self.justification,
        );
        // Only maps with non-text keys can fail to serialise, and there is none here; should that
        // change, an empty text gives one digest for all, which the approval then records.
        let text = serde_json::to_vec(&parts).unwrap_or_default();
        hex(&sha256(&[&text]))
    }
}
