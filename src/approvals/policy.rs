//! Every call is checked by policy. The names of kinds and actions stand here.
//!
//! A policy sees roles and what is asked for; ownership, eligibility and state are the domain's.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tracing::Instrument;

use super::Api;
use super::error::Refusal;
use super::extract::Call;
use crate::domain::grant::Grant;
use crate::domain::request::Request;
use crate::domain::template::Template;
use crate::identity::Identity;
use crate::policy::{AttributeSource, Attributes, Decision, Principal, Query, Reason, Resource};
use crate::problem::ProblemCode;
use crate::telemetry::spans;

/// What a policy is asked about: kind, id and attributes.
#[derive(Clone, Debug)]
pub struct Target {
    kind: &'static str,
    id: String,
    attr: Attributes,
}

impl Target {
    fn new(kind: &'static str, id: impl Into<String>, attr: Value) -> Self {
        let attr = match attr {
            Value::Object(map) => map,
            _ => Attributes::new(),
        };
        Self { kind, id: id.into(), attr }
    }

    /// All objects of a kind, for lists and for what is not there (yet).
    #[must_use]
    pub fn any(kind: &'static str) -> Self {
        Self::new(kind, "*", json!({}))
    }

    #[must_use]
    pub fn template(name: &str) -> Self {
        Self::new("template", name, json!({ "template": name }))
    }

    /// A template as it shall be, and what it grants now: what decides who gets what is there to be
    /// asked about.
    #[must_use]
    pub fn template_change(template: &Template, before: Option<&Template>) -> Self {
        let accesses = |of: &Template| of.accesses.iter().map(ToString::to_string).collect();
        let old: Vec<String> = before.map(accesses).unwrap_or_default();
        let new: Vec<String> = accesses(template);
        let all = before.into_iter().chain([template]).flat_map(|of| &of.accesses);
        let tools: BTreeSet<&str> = all.map(|access| &*access.tool).collect();
        let rules = &template.rules;
        let attr = json!({
            "template": template.name,
            "enabled": template.enabled,
            "accesses": new,
            "old_accesses": old,
            "tools": tools,
            "self_approval": template.self_approval,
            "auto_approve": rules.auto_approve.is_some(),
            "break_glass": rules.break_glass.is_some(),
            "eligible": rules.eligible.is_some(),
        });
        Self::new("template", &*template.name, attr)
    }

    /// One decision, for its explanation.
    #[must_use]
    pub fn decision(id: &str) -> Self {
        // The id is the caller's text: the policy sees no more of it than an id has.
        let id: String = id.chars().take(80).collect();
        Self::new("audit", if id.is_empty() { "*".to_owned() } else { id }, json!({}))
    }

    #[must_use]
    pub fn submission(template: &str, subject: &str) -> Self {
        Self::new("access_request", "*", json!({ "template": template, "subject": subject }))
    }

    #[must_use]
    pub fn request(request: &Request) -> Self {
        let attr = json!({
            "subject": request.subject().name,
            "template": request.template.name,
            "status": request.status.word(),
        });
        Self::new("access_request", request.id.to_string(), attr)
    }

    #[must_use]
    pub fn grant(grant: &Grant) -> Self {
        let attr = json!({
            "subject": grant.subject.name,
            "template": grant.template,
            "tool": grant.access.tool,
            "role": grant.access.role,
        });
        Self::new("grant", grant.id.to_string(), attr)
    }
}

struct CallerAttributes<'a>(&'a Identity);

impl AttributeSource for CallerAttributes<'_> {
    fn attributes(&self) -> Attributes {
        let Identity { person, claims, .. } = self.0;
        let value = json!({
            "email": person.email,
            "groups": person.groups,
            "claims": claims.as_ref(),
            "grants": [],
        });
        match value {
            Value::Object(map) => map,
            _ => Attributes::new(),
        }
    }
}

/// One decision per action, in order.
///
/// # Errors
/// `policy-unreachable` when any of them could not be decided.
pub async fn ask(
    api: &Api,
    call: &Call,
    target: &Target,
    actions: &[&str],
) -> Result<Vec<Decision>, Refusal> {
    let roles: Vec<&str> = call.roles.iter().map(Arc::as_ref).collect();
    let query = Query {
        principal: Principal {
            id: &call.subject().name,
            roles: &roles,
            attr: &CallerAttributes(&call.identity),
        },
        resource: Resource { kind: target.kind, id: &target.id, scope: "", attr: &target.attr },
        claims: Some(&call.identity.claims),
        actions,
        // A call of the API has no decision of its own: its trace leads to it.
        decision: &call.traceparent,
        token: None,
    };
    let span = spans::policy();
    let decisions = api.decide.decide(&query).instrument(span.clone()).await;
    let answered = decisions.len() == actions.len();
    if answered && decisions.iter().all(|decision| decision.reason != Reason::Unreachable) {
        return Ok(decisions);
    }
    spans::failed(&span, ProblemCode::PolicyUnreachable);
    let detail = "the policy engine could not decide on this call";
    Err(Refusal::new(ProblemCode::PolicyUnreachable, detail))
}

/// Whether one action is allowed.
///
/// # Errors
/// `policy-unreachable`.
pub async fn allows(
    api: &Api,
    call: &Call,
    target: &Target,
    action: &str,
) -> Result<bool, Refusal> {
    let decisions = ask(api, call, target, &[action]).await?;
    Ok(decisions.iter().all(|decision| decision.allowed))
}

/// # Errors
/// `policy-denied` or `policy-unreachable`.
pub async fn require(api: &Api, call: &Call, target: &Target, action: &str) -> Result<(), Refusal> {
    let decisions = ask(api, call, target, &[action]).await?;
    match decisions.iter().find(|decision| !decision.allowed) {
        None => Ok(()),
        Some(decision) => Err(denied(target, action, decision)),
    }
}

fn denied(target: &Target, action: &str, decision: &Decision) -> Refusal {
    let detail = format!("{action} on {}: {}", target.kind, decision.detail);
    let policy = Some(Box::new(super::refusals::policy_shown(decision)));
    Refusal { policy, ..Refusal::new(ProblemCode::PolicyDenied, detail) }
}

/// How much of an object its reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// One's own.
    Own,
    /// Somebody with `read_any`: also the requester's groups and e-mail address.
    Any,
}

/// Whether the caller may see an object. What is not there (`None`) is asked about in the same
/// way, so that the answer and its effort do not tell the two apart.
///
/// # Errors
/// `not-found`, the same for what is hidden and for what is not there; `policy-unreachable`.
pub async fn sight<T>(
    api: &Api,
    call: &Call,
    kind: &'static str,
    found: Option<(T, Target, bool)>,
) -> Result<(T, Sight), Refusal> {
    let (object, target, own) = match found {
        Some((object, target, own)) => (Some(object), target, own),
        None => (None, Target::any(kind), false),
    };
    let decisions = ask(api, call, &target, &["read", "read_any"]).await?;
    let allowed = |index: usize| decisions.get(index).is_some_and(|decision| decision.allowed);
    match object {
        Some(object) if allowed(1) => Ok((object, Sight::Any)),
        Some(object) if own && allowed(0) => Ok((object, Sight::Own)),
        Some(_) if own => Err(own_unreadable(&target, &decisions)),
        Some(_) | None => Err(Refusal::not_found()),
    }
}

/// One's own object is no secret: a policy that hides it may say so.
fn own_unreadable(target: &Target, decisions: &[Decision]) -> Refusal {
    decisions.first().map_or_else(Refusal::not_found, |decision| denied(target, "read", decision))
}
