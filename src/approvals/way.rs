//! The JSON of how a request was decided.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::course::{Review, Way};
use crate::iso8601;

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WayView {
    /// `approvers`, `rule`, `eligibility` or `break-glass`.
    pub by: String,
    /// The rule that approved it, a CEL expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What is owed for a break-glass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewView>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReviewView {
    /// `owed`, `overdue` or `reviewed`.
    pub status: String,
    pub due_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl WayView {
    #[must_use]
    pub fn of(way: &Way) -> Self {
        let plain = |by: &str| Self { by: by.to_owned(), rule: None, review: None };
        match way {
            Way::Approvers => plain("approvers"),
            Way::Rule { rule } => Self { rule: Some(rule.to_string()), ..plain("rule") },
            Way::Eligibility => plain("eligibility"),
            Way::BreakGlass { review } => {
                Self { review: Some(ReviewView::of(review)), ..plain("break-glass") }
            }
        }
    }
}

impl ReviewView {
    fn of(review: &Review) -> Self {
        let status = match &review.reviewed {
            Some(_) => "reviewed",
            None if review.overdue => "overdue",
            None => "owed",
        };
        let reviewed = review.reviewed.as_ref();
        let comment = reviewed.map(|it| it.comment.clone()).filter(|it| !it.is_empty());
        Self {
            status: status.to_owned(),
            due_at: iso8601::time(review.due_at),
            by: reviewed.map(|it| it.by.subject.name.to_string()),
            at: reviewed.map(|it| iso8601::time(it.at)),
            comment,
        }
    }
}
