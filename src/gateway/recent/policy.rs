//! What the policy said, and the rows it looked at: asked once more, of the same set of policies,
//! with the same query, at the same time.

use super::super::judge::{PrincipalAttributes, ResourceAttributes};
use super::super::record::Asked;
use super::{Entry, facts};
use crate::explain::{OutputShown, PolicyShown, RowShown};
use crate::policy::{Decision, Explained, Output, Policy, Principal, Query, Resource, Row, Said};
use crate::problem::ProblemCode;
use crate::telemetry::decision::DecisionRecord;

/// `None` when the policy was not asked.
pub fn reasoning(entry: &Entry, policy: &Policy) -> Option<PolicyShown> {
    let shown = recorded(&entry.record);
    let set = match entry.grounds.policy {
        Asked::Not => return None,
        Asked::Unnumbered => {
            return Some(noted(shown, "another engine decided"));
        }
        Asked::Set(set) => set,
    };
    if facts::is_cut(entry) {
        return Some(noted(shown, "the path is too long to be kept, so no rows are shown"));
    }
    Some(match again(entry, policy, set) {
        Ok(explained) => compared(shown, &entry.record, explained),
        Err(why) => noted(shown, &why),
    })
}

/// What the decision record itself says.
fn recorded(record: &DecisionRecord) -> PolicyShown {
    PolicyShown {
        policy: record.evaluated_policies.first().map(ToString::to_string).unwrap_or_default(),
        scope: record.policy_scope.as_deref().unwrap_or_default().to_owned(),
        rule: record.rule.as_ref().map(ToString::to_string),
        derived_roles: record.derived_roles.iter().map(ToString::to_string).collect(),
        ..PolicyShown::default()
    }
}

fn noted(shown: PolicyShown, note: &str) -> PolicyShown {
    PolicyShown { note: Some(note.to_owned()), ..shown }
}

fn again(entry: &Entry, policy: &Policy, set: u64) -> Result<Explained, String> {
    let incomplete = || "what was asked is no longer known".to_owned();
    let record = &entry.record;
    let identity = entry.grounds.identity.as_ref().ok_or_else(incomplete)?;
    let roles: Vec<&str> = record.roles.iter().map(|role| &**role).collect();
    let query = Query {
        principal: Principal {
            id: &identity.person.subject.name,
            roles: &roles,
            attr: &PrincipalAttributes { identity, grants: &record.grants },
        },
        resource: Resource {
            kind: record.resource.as_deref().ok_or_else(incomplete)?,
            id: record.object_id.as_deref().ok_or_else(incomplete)?,
            scope: record.scope.as_deref().unwrap_or_default(),
            attr: &ResourceAttributes {
                tool: record.tool.as_deref().ok_or_else(incomplete)?,
                method: &record.method,
                path: facts::path(entry),
                host: &record.host,
                provided: entry.grounds.provided.as_ref(),
            },
        },
        claims: Some(&identity.claims),
        actions: &[record.action.as_deref().unwrap_or_default()],
        decision: &record.id,
        token: None,
    };
    policy.explain(set, &query, entry.grounds.now).map_err(|why| why.to_string())
}

/// With rows and outputs, and a word when the second answer is not the first.
fn compared(shown: PolicyShown, record: &DecisionRecord, explained: Explained) -> PolicyShown {
    let differs = !same(record, &explained.decision);
    PolicyShown {
        outputs: explained.decision.outputs.iter().map(output).collect(),
        rows: explained.rows.into_iter().map(row).collect(),
        note: differs.then(|| {
            "asked again, the policy gives another answer; the rows are those of that answer"
                .to_owned()
        }),
        ..shown
    }
}

fn same(record: &DecisionRecord, again: &Decision) -> bool {
    let denied = record.reason == ProblemCode::PolicyDenied.code();
    // A request may still be refused, or let through by the rule's default, after the policy spoke.
    let effect = if denied { !again.allowed } else { again.allowed || again.unknown_kind };
    let policy = record.evaluated_policies.first().is_some_and(|it| *it == again.policy);
    effect && policy && record.rule == again.rule && record.derived_roles == again.derived_roles
}

fn row(row: Row) -> RowShown {
    let said = match row.said {
        Said::Applies => "applies",
        Said::DoesNotApply => "does not apply",
        Said::Failed => "its condition failed",
    };
    RowShown {
        policy: row.policy,
        rule: row.rule,
        file: row.file,
        line: row.line,
        effect: row.effect.to_owned(),
        said: said.to_owned(),
    }
}

fn output(output: &Output) -> OutputShown {
    let (value, error) = match &output.value {
        Ok(value) => (value.clone(), None),
        Err(why) => (serde_json::Value::Null, Some(why.to_string())),
    };
    OutputShown { source: output.source.to_string(), value, error }
}
