//! The last refusals of this API, so that they can be explained.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::error::Refusal;
use crate::domain::iso8601;
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;
use crate::explain::{
    CallShown, Explanation, OutputShown, PolicyShown, RoleShown, SubjectShown, TokenOutcome,
    TokenShown,
};
use crate::identity::Identity;
use crate::identity::roles::RoleRules;
use crate::json_weight;
use crate::policy::{Decision, Output};
use crate::problem::ProblemCode;
use crate::telemetry::bounded::{self, TARGET, TEXT};

/// How many are kept; with their texts and lists bounded, some 10 MiB at the worst.
const ROOM: usize = 256;
/// Roles and groups that one of them tells at most.
const ITEMS: usize = 32;
/// Bytes that the outputs of a policy take in one of them, in memory.
const OUTPUTS: usize = 16 << 10;

/// Who called, as soon as it is known.
pub type Caller = Arc<OnceLock<(Arc<Identity>, Vec<Arc<str>>)>>;

#[derive(Debug, Default)]
pub struct Refusals(Mutex<VecDeque<Kept>>);

type Kept = (Explanation, Option<Subject>);

/// A refused call.
pub struct Refused<'a> {
    pub id: &'a str,
    pub at: Timestamp,
    /// `METHOD /the/path`
    pub route: &'a str,
    pub caller: Option<&'a (Arc<Identity>, Vec<Arc<str>>)>,
    pub rules: &'a RoleRules,
    pub refusal: &'a Refusal,
}

impl Refusals {
    pub fn put(&self, refused: &Refused<'_>) {
        let about = refused.caller.map(|(identity, _)| identity.person.subject.clone());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= ROOM {
            kept.pop_front();
        }
        kept.push_back((refused.explained(), about));
    }

    #[must_use]
    pub fn find(&self, id: &str) -> Option<Kept> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(explanation, _)| explanation.id == id).cloned()
    }
}

impl Refused<'_> {
    fn explained(&self) -> Explanation {
        let Self { refusal, .. } = self;
        Explanation {
            id: self.id.to_owned(),
            allowed: false,
            reason: refusal.code.code().to_owned(),
            detail: bounded::text(&refusal.detail, TEXT),
            at: iso8601::time(self.at),
            call: Some(CallShown { route: bounded::text(self.route, TARGET) }),
            token: self.token(),
            subject: self.caller.map(|(identity, _)| subject(identity)),
            roles: self.roles(),
            policy: refusal.policy.as_deref().cloned(),
            default_effect: "deny".to_owned(),
            ..Explanation::default()
        }
    }

    fn token(&self) -> TokenShown {
        if let Some((identity, _)) = self.caller {
            return TokenShown {
                outcome: TokenOutcome::Verified,
                issuer: Some(identity.person.subject.issuer.to_string()),
                algorithm: identity.proof.algorithm.map(|it| format!("{it:?}")),
                key_id: identity.proof.key_id.as_ref().map(ToString::to_string),
                kind: identity.proof.kind.as_ref().map(|it| bounded::text(it, bounded::NAME)),
                expires_at: Some(iso8601::time(identity.expires_at)),
                ..TokenShown::default()
            };
        }
        let code = self.refusal.code;
        let refused = matches!(code, ProblemCode::NoCredential | ProblemCode::InvalidToken);
        let unchecked = code == ProblemCode::KeysUnavailable;
        let outcome = match (refused, unchecked) {
            (true, _) => TokenOutcome::Refused,
            (false, true) => TokenOutcome::NotChecked,
            (false, false) => TokenOutcome::NotAsked,
        };
        let detail = (refused || unchecked).then(|| bounded::text(&self.refusal.detail, TEXT));
        TokenShown { outcome, detail, ..TokenShown::default() }
    }

    /// Those that the policy saw, when it refused.
    fn roles(&self) -> Vec<RoleShown> {
        let Some((identity, roles)) = self.caller.filter(|_| self.refusal.policy.is_some()) else {
            return Vec::new();
        };
        let from = |role: &str| {
            let from = self.rules.sources(identity, role);
            from.iter().take(ITEMS).map(|it| bounded::text(it, bounded::NAME)).collect()
        };
        let shown = roles.iter().take(ITEMS).map(|role| RoleShown {
            role: bounded::text(role, bounded::NAME),
            from: from(role),
            counts: true,
            detail: None,
        });
        shown.collect()
    }
}

fn subject(identity: &Identity) -> SubjectShown {
    let person = &identity.person;
    let groups = bounded::list(&person.groups, ITEMS);
    SubjectShown {
        name: person.subject.name.to_string(),
        issuer: person.subject.issuer.to_string(),
        groups: groups.iter().map(ToString::to_string).collect(),
    }
}

/// What a policy said to a call.
#[must_use]
pub fn policy_shown(decision: &Decision) -> PolicyShown {
    let derived = bounded::list(&decision.derived_roles, ITEMS);
    let mut left = OUTPUTS;
    PolicyShown {
        policy: decision.policy.to_string(),
        scope: decision.scope.to_string(),
        rule: decision.rule.as_ref().map(ToString::to_string),
        derived_roles: derived.iter().map(ToString::to_string).collect(),
        outputs: decision.outputs.iter().take(ITEMS).map(|it| output(it, &mut left)).collect(),
        rows: Vec::new(),
        note: Some("rows are shown for requests to tools only".to_owned()),
    }
}

/// A policy may put out all that it was asked with: what does not fit into `left` is not kept.
fn output(output: &Output, left: &mut usize) -> OutputShown {
    let fits = |value: &serde_json::Value| left.checked_sub(json_weight::value(value));
    let (value, error) = match &output.value {
        Ok(value) => match fits(value) {
            Some(rest) => {
                *left = rest;
                (value.clone(), None)
            }
            None => (serde_json::Value::Null, Some("it is too large to be kept".to_owned())),
        },
        Err(why) => (serde_json::Value::Null, Some(bounded::text(why, bounded::NAME))),
    };
    OutputShown { source: output.source.to_string(), value, error }
}
