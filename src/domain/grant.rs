//! A grant: an independent lease on one access. Ending one never ends another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::access::{Access, Narrowing};
use super::ids::{GrantId, RequestId};
use super::markers::Generation;
use super::rules::Terms;
use super::subject::Subject;
use super::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub id: GrantId,
    pub subject: Subject,
    pub access: Access,
    pub template: Arc<str>,
    pub request: RequestId,
    /// The names of those who approved.
    pub approvers: Vec<Arc<str>>,
    /// The groups that could decide on it, who may therefore also revoke it; `None`: anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver_groups: Option<Vec<Arc<str>>>,
    pub generation: Generation,
    pub granted_at: Timestamp,
    /// Only a scheduled grant has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    pub expires_at: Timestamp,
    /// Every one of these must cover a request (one per approver who narrowed).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub narrowings: Vec<Narrowing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// Whether the acknowledgement level of its commit was met; inert until then.
    pub confirmed: bool,
    #[serde(default)]
    pub terms: Terms,
    pub revision: u64,
}

/// Why and when a grant ended before or at its `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub at: Timestamp,
    pub why: EndedWhy,
    pub by: Arc<str>,
    #[serde(default)]
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedWhy {
    Expired,
    Revoked,
    Released,
}

/// The state of a grant at a point in time, as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrantStatus {
    /// Written, but its acknowledgement level has not been met.
    Unconfirmed,
    Scheduled,
    Active,
    Expired,
    Revoked,
    Released,
}

impl GrantStatus {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unconfirmed => "unconfirmed",
            Self::Scheduled => "scheduled",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Released => "released",
        }
    }
}

impl Grant {
    /// A live grant means `now < expires_at`: at the very instant of its end it has ended, whether
    /// or not the timer that records the end has run. Kills are in the markers, not here.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> GrantStatus {
        match &self.ended {
            Some(Ended { why: EndedWhy::Revoked, .. }) => GrantStatus::Revoked,
            Some(Ended { why: EndedWhy::Released, .. }) => GrantStatus::Released,
            Some(Ended { why: EndedWhy::Expired, .. }) => GrantStatus::Expired,
            None if now >= self.expires_at => GrantStatus::Expired,
            None if !self.confirmed => GrantStatus::Unconfirmed,
            None if self.not_before.is_some_and(|start| now < start) => GrantStatus::Scheduled,
            None => GrantStatus::Active,
        }
    }

    /// Not ended and not past its end: it stands in the subject's live value.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.expires_at
    }
}

/// What is left of an ended grant for a day, to tell `grant-expired` from `grant-revoked`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    pub grant: GrantId,
    pub tool: Arc<str>,
    pub why: EndedWhy,
    pub at: Timestamp,
}
