//! Reasoning once more: a policy is a function of its set, the query and the time, so the rows that
//! a decision looked at are found by deciding again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::adapter::{Asked, decision, input};
use super::embedded::cel::Timestamp as CelTime;
use super::embedded::{Effect, Engine, Tried};
use super::{Decision, Policy, Query};
use crate::domain::time::Timestamp;

/// A decision, and the rows that were looked at for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    pub decision: Decision,
    pub rows: Vec<Row>,
}

/// One row that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub policy: String,
    pub rule: String,
    /// Below the policy directory.
    pub file: String,
    pub line: u32,
    /// `allow` or `deny`.
    pub effect: &'static str,
    pub said: Said,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Applies,
    DoesNotApply,
    Failed,
}

/// Why a decision cannot be reasoned about once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExplained {
    #[error("the policies of then are no longer kept")]
    Gone,
    #[error("the policy was bypassed")]
    Bypassed,
    #[error("the policy engine failed")]
    Failed,
}

impl Policy {
    /// What the set with this number says to the first action of the query at `now`, and what it
    /// looks at.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn explain(
        &self,
        set: u64,
        query: &Query<'_>,
        now: Timestamp,
    ) -> Result<Explained, NotExplained> {
        if self.is_bypassed() {
            return Err(NotExplained::Bypassed);
        }
        let engine = self.loaded().and_then(|it| it.numbered(set)).ok_or(NotExplained::Gone)?;
        let action = query.actions.first().copied().ok_or(NotExplained::Failed)?;
        let engine = engine.with_options(engine.options().clone().at(cel_time(now)));
        let explained = catch_unwind(AssertUnwindSafe(|| engine.explain(query, action)));
        explained.ok().flatten().ok_or(NotExplained::Failed)
    }
}

impl Engine {
    /// The answer for one action, with the rows that were looked at.
    fn explain(&self, query: &Query<'_>, action: &str) -> Option<Explained> {
        let facts = Asked(query);
        let actions = [action];
        self.with_checked(&input(query, &actions, &facts), true, |checked| {
            let decision = decision(query, action, checked.verdicts.first()?, &checked);
            let rows = checked.tried.iter().map(|tried| self.row(tried)).collect();
            Some(Explained { decision, rows })
        })
    }

    fn row(&self, tried: &Tried<'_>) -> Row {
        let file = self.policies().get(tried.policy);
        Row {
            policy: tried.policy.to_owned(),
            rule: tried.rule.to_owned(),
            file: file.map(|it| it.file.display().to_string()).unwrap_or_default(),
            line: tried.line,
            effect: match tried.effect {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
            },
            said: match tried.applies {
                Some(true) => Said::Applies,
                Some(false) => Said::DoesNotApply,
                None => Said::Failed,
            },
        }
    }
}

fn cel_time(at: Timestamp) -> CelTime {
    let millis = at.millis();
    let nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
    let seconds = i64::try_from(millis / 1000).unwrap_or(i64::MAX);
    CelTime::from_unix(seconds, nanos).unwrap_or_default()
}
