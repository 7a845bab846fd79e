//! The policy step: roles and attributes in, permission or refusal out.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::config::AccessMode;
use crate::identity::Identity;
use crate::policy::{
    AttributeSource, Attributes, Decision, Principal, Query, RawToken, Reason, Resource,
};
use crate::problem::ProblemCode;
use crate::resources::Provided;
use crate::telemetry::decision::DecisionRecord;
use crate::telemetry::events::gateway::{PolicyBypassed, PolicyFailed, Step};

use super::core::Core;
use super::ports::{Decide, MatchedGrant, Ports};
use super::refusal::Refusal;
use super::route::Route;
use super::target::Target;

/// Asks whether the rule's action is permitted.
///
/// # Errors
/// `policy-denied`, or `policy-unreachable` when nothing could decide.
pub async fn judge<P: Ports>(
    core: &Core<P>,
    identity: &Identity,
    route: &Route<'_>,
    (target, token): (&Target<'_>, Option<RawToken<'_>>),
    grants: &[MatchedGrant],
    trail: &mut DecisionRecord,
) -> Result<(), Refusal> {
    let provided = super::resource::provided(core, route, trail).await?;
    let asked = Asked { identity, route, target, token, grants, provided: provided.as_ref() };
    core.step(Step::Policy, ask(core, &asked, trail)).await
}

/// What the policy is asked about.
struct Asked<'a> {
    identity: &'a Identity,
    route: &'a Route<'a>,
    target: &'a Target<'a>,
    /// For engines that verify it themselves.
    token: Option<RawToken<'a>>,
    grants: &'a [MatchedGrant],
    provided: Option<&'a Provided>,
}

async fn ask<P: Ports>(
    core: &Core<P>,
    asked: &Asked<'_>,
    trail: &mut DecisionRecord,
) -> Result<(), Refusal> {
    let Asked { identity, route, target, token, grants, provided } = *asked;
    trail.roles = roles(core, identity, route, grants);
    let names: Vec<&str> = trail.roles.iter().map(|role| &**role).collect();
    let decision_id = Arc::clone(&trail.id);
    let query = Query {
        principal: Principal {
            id: &identity.person.subject.name,
            roles: &names,
            attr: &PrincipalAttributes { identity, grants },
        },
        resource: Resource {
            kind: &route.rule.resource,
            id: &route.id,
            scope: &route.scope,
            attr: &ResourceAttributes {
                tool: route.tool_name(),
                method: target.method.as_str(),
                path: route.path,
                host: &target.host,
                provided,
            },
        },
        claims: Some(&identity.claims),
        actions: &[&route.rule.action],
        decision: &decision_id,
        token,
    };
    let decision = core.ports.policy().decide(&query).await;
    trail.evaluated_policies = vec![Arc::clone(&decision.policy)];
    verdict(&decision, route.rule.default_effect_allow, trail)
}

fn verdict(
    decision: &Decision,
    default_allow: bool,
    trail: &mut DecisionRecord,
) -> Result<(), Refusal> {
    match (decision.allowed, decision.reason) {
        (true, Reason::Allowed) => {
            trail.detail = Arc::clone(&decision.detail);
            Ok(())
        }
        (true, Reason::Bypassed) => {
            trail.reason = "bypassed";
            trail.detail = Arc::clone(&decision.detail);
            PolicyBypassed { decision: &trail.id }.emit();
            Ok(())
        }
        (false, Reason::Denied) if default_allow && decision.unknown_kind => {
            trail.detail = "no policy knows this kind; the rule's default allows".into();
            Ok(())
        }
        (false, Reason::Denied) => {
            let detail = decision.detail.as_ref().to_owned();
            Err(Refusal::new(ProblemCode::PolicyDenied, detail))
        }
        // An answer that contradicts itself is no answer.
        (false, Reason::Unreachable | Reason::Allowed | Reason::Bypassed)
        | (true, Reason::Denied | Reason::Unreachable) => {
            PolicyFailed(&decision.detail).emit();
            Err(Refusal::new(ProblemCode::PolicyUnreachable, "the policy could not be evaluated"))
        }
    }
}

/// Those of the person and of the live grants.
fn roles<P: Ports>(
    core: &Core<P>,
    identity: &Identity,
    route: &Route<'_>,
    grants: &[MatchedGrant],
) -> Vec<Arc<str>> {
    let withheld = core.withheld();
    let demanded = route.access() == AccessMode::Grant;
    let is_withheld = |role: &str| demanded && withheld.has(route.tool_name(), role);
    let granted = grants.iter().map(|grant| &grant.role);
    core.shared.roles.with_grants(&core.user_role, identity, is_withheld, granted)
}

struct PrincipalAttributes<'a> {
    identity: &'a Identity,
    grants: &'a [MatchedGrant],
}

impl AttributeSource for PrincipalAttributes<'_> {
    fn attributes(&self) -> Attributes {
        let person = &self.identity.person;
        let grants: Vec<String> = self.grants.iter().map(|grant| grant.id.to_string()).collect();
        let mut attributes = Map::new();
        if let Some(email) = &person.email {
            attributes.insert("email".to_owned(), json!(email));
        }
        attributes.insert("groups".to_owned(), json!(person.groups));
        attributes.insert("claims".to_owned(), Value::Object((*self.identity.claims).clone()));
        attributes.insert("grants".to_owned(), json!(grants));
        attributes
    }
}

struct ResourceAttributes<'a> {
    tool: &'a str,
    method: &'a str,
    path: &'a str,
    host: &'a str,
    provided: Option<&'a Provided>,
}

impl AttributeSource for ResourceAttributes<'_> {
    fn attributes(&self) -> Attributes {
        let pairs = [
            ("tool", self.tool),
            ("method", self.method),
            ("path", self.path),
            ("host", self.host),
        ];
        let mut all = self.provided.map_or_else(Map::new, |it| (*it.known.attributes).clone());
        // Last: what the request is, no source says.
        all.extend(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        all
    }
}
