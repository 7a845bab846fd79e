//! The reasoning behind one decision, in the form in which it is shown: made only when somebody
//! asks. No token, no cookie and no query string is in it.

mod parts;

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;

pub use parts::{
    CallShown, EndedShown, GrantShown, GrantsShown, OutputShown, PolicyShown, RequestShown,
    RoleShown, RowShown, RuleShown, SubjectShown, TokenOutcome, TokenShown,
};

/// One decision and why it came out as it did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    pub id: String,
    pub allowed: bool,
    /// `allowed`, `bypassed`, or the code of the refusal.
    pub reason: String,
    /// For people: "explicitly denied by role 'suspended'".
    pub detail: String,
    /// RFC 3339.
    pub at: String,
    /// Of a request to a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestShown>,
    /// Of a call to the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallShown>,
    pub token: TokenShown,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectShown>,
    /// Empty when the policy was not asked.
    pub roles: Vec<RoleShown>,
    /// `null`: the store was not read, or did not answer.
    pub grants: Option<GrantsShown>,
    /// `null`: the policy was not asked.
    pub policy: Option<PolicyShown>,
    /// What the rule says where no policy knows the kind: `allow` or `deny`.
    pub default_effect: String,
    /// The trace id: 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// What a process knows of a decision id.
pub enum Known<'a> {
    /// With the subject it is about, if there was one.
    Here(Telling<'a>, Option<Subject>),
    /// Another instance made it, or would have.
    Elsewhere { instance: String },
    /// Not an id, not (yet) made, or no longer kept.
    Unknown,
}

/// Works the explanation out: only for whoever may read it, so that a decision that is kept and one
/// that is not cost everybody else the same.
pub type Telling<'a> = Box<dyn FnOnce() -> Explanation + Send + 'a>;

/// Who can say how decisions came about.
pub trait Explain: Send + Sync + 'static {
    fn explain(&self, id: &str) -> Known<'_>;

    /// What somebody was refused by this process, as far as it has kept it: newest first.
    fn refusals(&self, whose: &WhoseRefusals<'_>) -> Vec<RefusedShown>;
}

#[derive(Clone, Copy, Debug)]
pub struct WhoseRefusals<'a> {
    pub subject: &'a Subject,
    /// At these tools alone.
    pub tools: &'a [Arc<str>],
    pub since: Timestamp,
    pub limit: usize,
}

/// A request to a tool that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RefusedShown {
    /// RFC 3339.
    pub at: String,
    pub tool: String,
    pub method: String,
    /// As the client sent it, without the query.
    pub path: String,
    /// The code of the refusal.
    pub reason: String,
}

/// The instance that a decision id begins with; `None` for what is no decision id.
#[must_use]
pub fn instance_of(id: &str) -> Option<&str> {
    let word = |text: &str| {
        (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let (instance, rest) = id.split_once('-')?;
    (word(instance) && rest.splitn(2, '-').all(word)).then_some(instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_begins_with_its_instance() {
        assert_eq!(instance_of("4ym6scgj-1-17"), Some("4ym6scgj"));
        assert_eq!(instance_of("4ym6scgj-fzzzzzzzzzzzz"), Some("4ym6scgj"));
        let long = "x".repeat(33);
        for wrong in ["", "-", "a", "a-", "a-b c", "a-<b>", "a-1-2-3", "a\n-1", &long] {
            assert_eq!(instance_of(wrong), None, "{wrong:?}");
        }
        assert_eq!(instance_of(&format!("{long}-1-1")), None);
    }
}
