//! What became of a request beside approvals: how it came to its decision, who was told, what is
//! still owed for it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::subject::Person;
use super::time::Timestamp;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Course {
    pub way: Way,
    /// Since when the groups of the escalation may decide as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalated_at: Option<Timestamp>,
    pub told: Told,
}

/// How a request is decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Way {
    /// By its approvers.
    #[default]
    Approvers,
    /// By a rule of the template: its text.
    Rule { rule: Arc<str> },
    /// By the standing eligibility of its requester.
    Eligibility,
    /// By its requester, who owes a review.
    BreakGlass { review: Review },
}

/// The debt of a break-glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub due_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<Reviewed>,
    /// It was announced that nobody reviewed it in time.
    #[serde(default)]
    pub overdue: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    pub by: Person,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// Who was told of a request, so that they hear when somebody else decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Drawn once, where the template tells approvers one after the other.
    pub turn: u64,
    pub approvers: Vec<Recipient>,
}

/// Whom a notice is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Recipient {
    Person {
        name: Arc<str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<Arc<str>>,
    },
    /// A group of which the directory knows no members.
    Group { name: Arc<str> },
}

impl Course {
    /// A break-glass that nobody has reviewed.
    #[must_use]
    pub fn owed(&self) -> Option<&Review> {
        match &self.way {
            Way::BreakGlass { review } if review.reviewed.is_none() => Some(review),
            Way::BreakGlass { .. } | Way::Approvers | Way::Rule { .. } | Way::Eligibility => None,
        }
    }
}
