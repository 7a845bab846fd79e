//! The embedded engine as the gateway asks it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::embedded::{
    Attribute, Cause, Checked, Effect, Engine, Facts, Input, OutputEntry, Subject, Verdict,
};
use super::{Attributes, Decision, Output, PolicyEngine, Query, Reason};

pub(super) struct Asked<'q>(pub &'q Query<'q>);

impl Facts for Asked<'_> {
    fn principal(&self) -> Cow<'_, Attributes> {
        Cow::Owned(self.0.principal.attr.attributes())
    }

    fn resource(&self) -> Cow<'_, Attributes> {
        Cow::Owned(self.0.resource.attr.attributes())
    }

    fn principal_attribute(&self, name: &str) -> Attribute {
        self.0.principal.attr.attribute(name)
    }

    fn resource_attribute(&self, name: &str) -> Attribute {
        self.0.resource.attr.attribute(name)
    }

    fn claims(&self) -> Option<Cow<'_, Attributes>> {
        self.0.claims.map(Cow::Borrowed)
    }
}

impl Engine {
    /// The answer for one action; those of the query are not looked at.
    #[must_use]
    pub fn decide(&self, query: &Query<'_>, action: &str) -> Decision {
        let decision = self.ask(query, &[action]).pop();
        decision.unwrap_or_else(|| Decision::unreachable("the policy engine gave no answer"))
    }

    /// The answers for all actions of the query, in order.
    #[must_use]
    pub fn decide_all(&self, query: &Query<'_>) -> Vec<Decision> {
        self.ask(query, query.actions)
    }

    fn ask(&self, query: &Query<'_>, actions: &[&str]) -> Vec<Decision> {
        let facts = Asked(query);
        let input = input(query, actions, &facts);
        self.with_checked(&input, false, |checked| {
            let answers = actions.iter().zip(&checked.verdicts);
            answers.map(|(action, it)| decision(query, action, it, &checked)).collect()
        })
    }
}

pub(super) fn input<'q>(
    query: &Query<'q>,
    actions: &'q [&'q str],
    facts: &'q Asked<'q>,
) -> Input<'q> {
    let scope = query.resource.scope;
    Input {
        principal: Subject { id: query.principal.id, version: "", scope: "" },
        roles: query.principal.roles,
        kind: query.resource.kind,
        resource: Subject { id: query.resource.id, version: "", scope },
        actions,
        facts,
    }
}

impl PolicyEngine for Engine {
    async fn check<'a>(&'a self, query: &'a Query<'a>) -> Vec<Decision> {
        self.decide_all(query)
    }
}

pub(super) fn decision(
    query: &Query<'_>,
    action: &str,
    verdict: &Verdict<'_>,
    checked: &Checked<'_>,
) -> Decision {
    let allowed = verdict.effect == Effect::Allow;
    Decision {
        allowed,
        reason: if allowed { Reason::Allowed } else { Reason::Denied },
        policy: match &verdict.policy {
            Cow::Borrowed(policy) => own(policy),
            Cow::Owned(policy) => Arc::clone(policy),
        },
        scope: if verdict.scope.is_empty() { no_scope() } else { verdict.scope.into() },
        rule: rule(&verdict.cause),
        derived_roles: checked.derived_roles.clone(),
        outputs: checked.outputs.iter().filter(|it| it.action == action).map(output).collect(),
        detail: detail(query, action, verdict),
        unknown_kind: matches!(verdict.cause, Cause::Unknown),
    }
}

/// One for each thread: the standard library's is one for all of them, and cores would fight for the
/// count of who has it.
fn no_scope() -> Arc<str> {
    thread_local!(static NONE: Arc<str> = "".into());
    NONE.with(Arc::clone)
}

/// A text of the set of policies, as this thread has it: the set's is one for all of them, too. Those
/// of earlier sets go when the room is full.
fn own(text: &Arc<str>) -> Arc<str> {
    thread_local!(static OWN: RefCell<FxHashMap<*const u8, Copied>> = RefCell::default());
    OWN.with_borrow_mut(|known| {
        let place = text.as_ptr();
        if let Some(copied) = known.get(&place).filter(|it| Arc::ptr_eq(&it.of, text)) {
            return Arc::clone(&copied.own);
        }
        if known.len() >= COPIES {
            known.clear();
        }
        let own: Arc<str> = (&**text).into();
        known.insert(place, Copied { of: Arc::clone(text), own: Arc::clone(&own) });
        own
    })
}

/// So many texts a thread has for itself.
const COPIES: usize = 1024;

struct Copied {
    /// Kept, so that no other text comes to be where it is.
    of: Arc<str>,
    own: Arc<str>,
}

fn rule(cause: &Cause<'_>) -> Option<Arc<str>> {
    match cause {
        Cause::Rule { name, .. } | Cause::Failed { name, .. } => Some(own(name)),
        Cause::Unknown
        | Cause::Elsewhere
        | Cause::NoRule
        | Cause::Invalid
        | Cause::RolePolicy { .. } => None,
    }
}

fn output(entry: &OutputEntry) -> Output {
    let value = match &entry.val {
        Some(value) if entry.error.is_empty() => Ok(value.clone()),
        _ => Err(entry.error.as_str().into()),
    };
    Output { source: entry.src.as_str().into(), value }
}

/// For people.
fn detail(query: &Query<'_>, action: &str, verdict: &Verdict<'_>) -> Arc<str> {
    let text = match (&verdict.cause, verdict.effect) {
        (Cause::Unknown, _) => {
            format!("no policy knows the resource kind '{}'", query.resource.kind)
        }
        (Cause::Elsewhere, _) => format!("no policy has the scope '{}'", query.resource.scope),
        (Cause::NoRule, _) => {
            let roles = query.principal.roles.join(", ");
            format!("no rule matches action '{action}' for roles [{roles}]")
        }
        (Cause::Invalid, _) => "the attributes do not fit the schema of the policy".to_owned(),
        (Cause::Rule { allows, .. }, Effect::Allow) => return own(allows),
        (Cause::Rule { name, role: "*", derived: None, .. }, Effect::Deny) => {
            format!("explicitly denied by rule '{name}'")
        }
        (Cause::Rule { role, derived, .. }, Effect::Deny) => {
            format!("explicitly denied by role '{}'", derived.unwrap_or(role))
        }
        (Cause::RolePolicy { role }, _) => {
            format!("the role policy of '{role}' does not allow action '{action}'")
        }
        (Cause::Failed { name, why }, _) => {
            format!("the condition of rule '{name}' failed: {why}")
        }
    };
    text.into()
}
