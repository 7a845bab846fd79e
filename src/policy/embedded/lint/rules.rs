//! Rules of resource policies that say nothing, or everything.

use super::super::file::{ResourcePolicy, Rule, Text};
use super::super::names::{DEFAULT_VERSION, policy_key};
use super::super::pattern::Pattern;
use super::{Findings, LintRule, Policies, conditions};

pub(super) fn lint(policies: &Policies<'_>, policy: &ResourcePolicy, findings: &mut Findings<'_>) {
    let scope = policy.scope.as_ref().map_or("", |scope| scope.value.as_str());
    let version = Some(policy.version.value.as_str()).filter(|it| !it.is_empty());
    findings.policy =
        policy_key("resource", &policy.resource.value, version.unwrap_or(DEFAULT_VERSION), scope);
    let parents = parents(policies, policy);
    for (index, rule) in policy.rules.iter().enumerate() {
        let it = Named { rule, name: name(rule, index) };
        everything(&it, findings);
        covered(&it, findings);
        for (at, other) in policy.rules.iter().enumerate() {
            let other = Named { rule: other, name: name(other, at) };
            if at < index && is_same(rule, other.rule) {
                let message = format!("says the same as rule '{}'", other.name);
                findings.add(LintRule::RuleDuplicate, (&rule.effect).into(), &it.place(), message);
            }
            if at != index && is_shadowed(rule, other.rule, &parents) {
                let message = format!(
                    "never decides: rule '{}' denies the same roles and actions without a \
                     condition",
                    other.name
                );
                findings.add(LintRule::RuleShadowed, (&rule.effect).into(), &it.place(), message);
                break;
            }
        }
    }
}

struct Named<'r> {
    rule: &'r Rule,
    name: String,
}

impl Named<'_> {
    fn place(&self) -> String {
        format!("rule '{}'", self.name)
    }
}

pub(super) fn name(rule: &Rule, index: usize) -> String {
    let given = rule.name.as_ref().map(|it| it.value.clone()).filter(|it| !it.is_empty());
    given.unwrap_or_else(|| format!("rule-{:03}", index + 1))
}

fn everything(it: &Named<'_>, findings: &mut Findings<'_>) {
    let any = |list: &[Text]| list.iter().any(|text| text.value == "*");
    let Rule { roles, actions, condition, effect, .. } = it.rule;
    if effect.value == "EFFECT_ALLOW" && condition.is_none() && any(roles) && any(actions) {
        let message = "allows every action to everyone";
        findings.add(LintRule::AllowEverything, effect.into(), &it.place(), message);
    }
}

fn covered(it: &Named<'_>, findings: &mut Findings<'_>) {
    for action in &it.rule.actions {
        let others = it.rule.actions.iter().filter(|other| other.value != action.value);
        if let Some(other) = others.into_iter().find(|other| covers(&other.value, &action.value)) {
            let message = format!("the action '{}' is part of '{}'", action.value, other.value);
            findings.add(LintRule::ActionCovered, action.into(), &it.place(), message);
        }
    }
}

/// Parent roles of the derived roles that a policy imports, by name.
fn parents<'p>(policies: &Policies<'p>, policy: &ResourcePolicy) -> Vec<(&'p str, &'p [Text])> {
    let imported = |name: &str| policy.import_derived_roles.iter().any(|it| it.value == name);
    let sets =
        policies.documents.iter().filter_map(|(_, document)| document.derived_roles.as_ref());
    sets.filter(|set| imported(&set.name.value))
        .flat_map(|set| &set.definitions)
        .map(|role| (role.name.value.as_str(), role.parent_roles.as_slice()))
        .collect()
}

fn is_same(one: &Rule, other: &Rule) -> bool {
    one.effect.value == other.effect.value
        && sorted(&one.actions) == sorted(&other.actions)
        && sorted(&one.roles) == sorted(&other.roles)
        && sorted(&one.derived_roles) == sorted(&other.derived_roles)
        && one.output.is_none()
        && other.output.is_none()
        && conditions::is_equal(one.condition.as_ref(), other.condition.as_ref())
}

fn sorted(list: &[Text]) -> Vec<&str> {
    let mut all: Vec<&str> = list.iter().map(|text| text.value.as_str()).collect();
    all.sort_unstable();
    all
}

/// Within a role a DENY wins, wherever it stands. Outputs are said all the same.
fn is_shadowed(rule: &Rule, by: &Rule, parents: &[(&str, &[Text])]) -> bool {
    if by.effect.value != "EFFECT_DENY"
        || rule.effect.value != "EFFECT_ALLOW"
        || by.condition.is_some()
        || rule.output.is_some()
    {
        return false;
    }
    let has = |roles: &[Text]| {
        roles.iter().all(|role| by.roles.iter().any(|other| covers(&other.value, &role.value)))
    };
    let through = rule.derived_roles.iter().all(|role| {
        let mut of = parents.iter().filter(|(name, _)| *name == role.value);
        of.next().is_some_and(|(_, parents)| has(parents))
    });
    let actions = rule.actions.iter();
    has(&rule.roles)
        && through
        && actions.into_iter().all(|it| by.actions.iter().any(|by| covers(&by.value, &it.value)))
}

/// Whether everything that one pattern matches is matched by another; `false` where it is not sure.
pub(super) fn covers(pattern: &str, other: &str) -> bool {
    pattern == other
        || pattern == "*"
        || pattern == "**"
        || (!other.contains('*') && Pattern::parse(pattern).is_ok_and(|it| it.matches(other)))
}
