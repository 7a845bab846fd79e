//! From a kept decision to its explanation.

use std::sync::Arc;

use super::{Entry, Recent, facts, grants, policy, roles};
use crate::domain::iso8601;
use crate::domain::subject::Subject;
use crate::explain::{Explain, Explanation, Known, RefusedShown, WhoseRefusals, instance_of};
use crate::identity::roles::RoleRules;
use crate::policy::Policy;
use crate::telemetry::bounded;
use crate::telemetry::decision::DecisionRecord;
use crate::telemetry::trace::TraceContext;

/// Explains the decisions of the data plane of this process.
pub struct Explainer {
    pub recent: Arc<Recent>,
    pub policy: Arc<Policy>,
    pub roles: RoleRules,
}

impl Explain for Explainer {
    fn explain(&self, id: &str) -> Known<'_> {
        match instance_of(id) {
            None => Known::Unknown,
            Some(instance) if *instance != **self.recent.instance() => {
                Known::Elsewhere { instance: instance.to_owned() }
            }
            Some(_) => match self.recent.find(id) {
                None => Known::Unknown,
                Some(entry) => {
                    let about = subject(&entry);
                    Known::Here(Box::new(move || self.of(&entry)), about)
                }
            },
        }
    }

    fn refusals(&self, whose: &WhoseRefusals<'_>) -> Vec<RefusedShown> {
        let mut found = self.recent.refusals(whose);
        found.sort_by_key(|record| std::cmp::Reverse(record.at));
        found.truncate(whose.limit);
        found.iter().map(|record| refused(record)).collect()
    }
}

fn refused(record: &DecisionRecord) -> RefusedShown {
    RefusedShown {
        at: iso8601::time(record.at),
        tool: record.tool.as_deref().unwrap_or_default().to_owned(),
        method: bounded::text(&record.method, bounded::NAME),
        path: record.target.to_string(),
        reason: record.reason.to_owned(),
    }
}

impl Explainer {
    fn of(&self, entry: &Entry) -> Explanation {
        let record = &entry.record;
        Explanation {
            id: record.id.to_string(),
            allowed: record.allowed,
            reason: record.reason.to_owned(),
            detail: record.detail.to_string(),
            at: iso8601::time(record.at),
            request: Some(facts::request(entry)),
            call: None,
            token: facts::token(entry),
            subject: facts::subject(entry),
            roles: roles::considered(entry, &self.roles),
            grants: grants::considered(entry),
            policy: policy::reasoning(entry, &self.policy),
            default_effect: record.default_effect.to_owned(),
            trace: record.trace.as_ref().map(TraceContext::trace_id_hex),
        }
    }
}

fn subject(entry: &Entry) -> Option<Subject> {
    let identity = entry.grounds.identity.as_ref()?;
    Some(identity.person.subject.clone())
}
