//! The policy step: roles and attributes in, permission or refusal out.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::config::AccessMode;
use crate::identity::Identity;
use crate::policy::{
    Attribute, AttributeSource, Attributes, Decision, Principal, Query, Reason, Resource,
};
use crate::problem::ProblemCode;
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
    target: &Target<'_>,
    grants: &[MatchedGrant],
    trail: &mut DecisionRecord,
) -> Result<(), Refusal> {
    core.step(Step::Policy, ask(core, identity, route, target, grants, trail)).await
}

async fn ask<P: Ports>(
    core: &Core<P>,
    identity: &Identity,
    route: &Route<'_>,
    target: &Target<'_>,
    grants: &[MatchedGrant],
    trail: &mut DecisionRecord,
) -> Result<(), Refusal> {
    trail.roles = roles(core, identity, route, grants);
    let names: Vec<&str> = trail.roles.iter().map(|role| &**role).collect();
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
            },
        },
        claims: Some(&identity.claims),
        actions: &[&route.rule.action],
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

/// `user`, the roles claim, the roles of the groups, and the roles of the live grants. In mode
/// `grant` a claim never stands in for a role that grants give.
fn roles<P: Ports>(
    core: &Core<P>,
    identity: &Identity,
    route: &Route<'_>,
    grants: &[MatchedGrant],
) -> Vec<Arc<str>> {
    let offers = core.offers();
    let demanded = route.access() == AccessMode::Grant;
    let stands = |role: &Arc<str>| !demanded || !offers.gives(route.tool_name(), role);
    let mut roles = vec![Arc::clone(&core.user_role)];
    let mut add = |role: &Arc<str>| {
        if !roles.contains(role) {
            roles.push(Arc::clone(role));
        }
    };
    let mapped =
        identity.person.groups.iter().filter_map(|group| core.shared.role_mapping.get(group));
    identity.roles.iter().chain(mapped.flatten()).filter(|role| stands(role)).for_each(&mut add);
    for grant in grants {
        add(&grant.role);
    }
    roles
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

    fn attribute(&self, name: &str) -> Attribute {
        let person = &self.identity.person;
        match name {
            "email" => Attribute::text(person.email.as_deref()),
            "groups" => Attribute::texts(person.groups.iter().map(|group| &**group)),
            "claims" => Attribute::members(&self.identity.claims),
            _ => Attribute::AmongAll,
        }
    }
}

struct ResourceAttributes<'a> {
    tool: &'a str,
    method: &'a str,
    path: &'a str,
    host: &'a str,
}

impl<'a> ResourceAttributes<'a> {
    const fn pairs(&self) -> [(&'static str, &'a str); 4] {
        [("tool", self.tool), ("method", self.method), ("path", self.path), ("host", self.host)]
    }
}

impl AttributeSource for ResourceAttributes<'_> {
    fn attributes(&self) -> Attributes {
        let pairs = self.pairs().into_iter();
        pairs.map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    fn attribute(&self, name: &str) -> Attribute {
        let found = self.pairs().into_iter().find(|(known, _)| *known == name);
        found.map_or(Attribute::AmongAll, |(_, value)| Attribute::text(Some(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::tests::world::person;
    use crate::policy::embedded::cel::Value as Cel;

    fn are_the_same(source: &dyn AttributeSource) {
        let all = source.attributes();
        assert!(!all.is_empty());
        for name in all.keys().map(String::as_str).chain(["nope", ""]) {
            match source.attribute(name) {
                Attribute::AmongAll => {}
                Attribute::Missing => assert!(!all.contains_key(name), "{name}"),
                Attribute::Is(value) => {
                    let same = all.get(name).map(Cel::from_json).and_then(|it| it.to_json());
                    assert_eq!(value.to_json(), same, "{name}");
                }
            }
        }
    }

    #[test]
    fn attributes_one_by_one_are_those_that_are_given_as_a_whole() {
        let identity = person("alice", &["staff", "editors"], &["user"]);
        are_the_same(&PrincipalAttributes { identity: &identity, grants: &[] });
        let (tool, method, path, host) = ("notes", "GET", "/a", "notes.local");
        are_the_same(&ResourceAttributes { tool, method, path, host });
    }
}
