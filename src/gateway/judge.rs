//! The policy step: roles and attributes in, permission or refusal out.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use smallvec::{SmallVec, smallvec};
use tokio::time::Instant;

use crate::config::AccessMode;
use crate::domain::ids::GrantId;
use crate::identity::Identity;
use crate::identity::roles::Withheld;
use crate::policy::{
    Attribute, AttributeSource, Attributes, Decision, Principal, Query, RawToken, Reason, Resource,
};
use crate::problem::ProblemCode;
use crate::resources::Provided;
use crate::telemetry::decision::DecisionRecord;
use crate::telemetry::events::gateway::{PolicyBypassed, PolicyFailed, Step};

use super::core::Core;
use super::ports::{Decide, MatchedGrant, Ports};
use super::record::{Asked, Trail};
use super::refusal::Refusal;
use super::route::Route;
use super::target::Target;

/// Asks whether the rule's action is permitted.
///
/// # Errors
/// `policy-denied`, or `policy-unreachable` when nothing could decide; `store-unreachable` while it is
/// not known what only grants give.
pub async fn judge<P: Ports>(
    core: &Core<P>,
    identity: &Identity,
    route: &Route<'_>,
    (target, token): (&Target<'_>, Option<RawToken<'_>>),
    grants: &[MatchedGrant],
    trail: &mut Trail,
) -> Result<(), Refusal> {
    let provided = super::resource::provided(core, route, &mut trail.record).await?;
    // Behind what may have waited: the catalog may have changed meanwhile.
    let withheld = (route.access() == AccessMode::Grant).then(|| core.withheld());
    let withheld = withheld.as_deref();
    if withheld.is_some_and(|it| it.catalog.is_partial) {
        let why = "it is not known yet which roles only grants give";
        return Err(Refusal::new(ProblemCode::StoreUnreachable, why));
    }
    let known = provided.as_ref();
    let question = Question { identity, route, target, token, grants, provided: known, withheld };
    // What was waited for before is no part of this step.
    let since = if known.is_some() { Instant::now() } else { trail.since };
    let (answer, ended) = core.step((Step::Policy, since), ask(core, &question, trail)).await;
    (trail.since, trail.grounds.provided) = (ended, provided);
    answer
}

/// What the policy is asked about.
struct Question<'a> {
    identity: &'a Identity,
    route: &'a Route<'a>,
    target: &'a Target<'a>,
    /// For engines that verify it themselves.
    token: Option<RawToken<'a>>,
    grants: &'a [MatchedGrant],
    provided: Option<&'a Provided>,
    /// The roles that only grants give, where a grant is demanded.
    withheld: Option<&'a Withheld>,
}

async fn ask<P: Ports>(
    core: &Core<P>,
    question: &Question<'_>,
    trail: &mut Trail,
) -> Result<(), Refusal> {
    let Question { identity, route, target, token, provided, .. } = *question;
    trail.record.roles = roles(core, question);
    let names: SmallVec<[&str; 4]> = trail.record.roles.iter().map(|role| &**role).collect();
    let decision_id = Arc::clone(&trail.record.id);
    let query = Query {
        principal: Principal {
            id: &identity.person.subject.name,
            roles: &names,
            attr: &PrincipalAttributes { identity, grants: &trail.record.grants },
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
    let (decision, set) = core.ports.policy().decide(&query).await;
    trail.grounds.policy = set.map_or(Asked::Unnumbered, Asked::Set);
    drop(names);
    note(trail, decision, route.rule.default_effect_allow)
}

fn note(trail: &mut Trail, decision: Decision, default_allow: bool) -> Result<(), Refusal> {
    let outcome = verdict(&decision, default_allow, &mut trail.record);
    let record = &mut trail.record;
    if outcome.is_ok() && decision.allowed {
        record.detail = decision.detail;
    }
    record.evaluated_policies = smallvec![decision.policy];
    record.rule = decision.rule;
    record.policy_scope = Some(decision.scope).filter(|scope| !scope.is_empty());
    record.derived_roles = decision.derived_roles;
    outcome
}

fn verdict(
    decision: &Decision,
    default_allow: bool,
    trail: &mut DecisionRecord,
) -> Result<(), Refusal> {
    match (decision.allowed, decision.reason) {
        (true, Reason::Allowed) => Ok(()),
        (true, Reason::Bypassed) => {
            trail.reason = "bypassed";
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
fn roles<P: Ports>(core: &Core<P>, question: &Question<'_>) -> SmallVec<[Arc<str>; 4]> {
    let tool = question.route.tool_name();
    let is_withheld = |role: &str| question.withheld.is_some_and(|it| it.has(tool, role));
    let granted = question.grants.iter().map(|grant| &grant.role);
    core.shared.roles.with_grants(&core.user_role, question.identity, is_withheld, granted)
}

pub struct PrincipalAttributes<'a> {
    pub identity: &'a Identity,
    pub grants: &'a [GrantId],
}

impl AttributeSource for PrincipalAttributes<'_> {
    fn attributes(&self) -> Attributes {
        let person = &self.identity.person;
        let grants: Vec<String> = self.grants.iter().map(ToString::to_string).collect();
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

pub struct ResourceAttributes<'a> {
    pub tool: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub host: &'a str,
    pub provided: Option<&'a Provided>,
}

impl<'a> ResourceAttributes<'a> {
    const fn pairs(&self) -> [(&'static str, &'a str); 4] {
        [("tool", self.tool), ("method", self.method), ("path", self.path), ("host", self.host)]
    }
}

impl AttributeSource for ResourceAttributes<'_> {
    fn attributes(&self) -> Attributes {
        let pairs = self.pairs().into_iter();
        let mut all = self.provided.map_or_else(Map::new, |it| (*it.known.attributes).clone());
        // Last: what the request is, no source says.
        all.extend(pairs.map(|(name, value)| (name.to_owned(), value.into())));
        all
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
    use crate::resources::{Known, Origin};

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
        let known = Known {
            attributes: Arc::new([("owner".to_owned(), json!("alice"))].into_iter().collect()),
            scope: None,
            had_request_names: false,
            bytes: 0,
        };
        let provided = Provided { known, from: Origin::Default };
        for provided in [None, Some(&provided)] {
            are_the_same(&ResourceAttributes { tool, method, path, host, provided });
        }
    }
}
