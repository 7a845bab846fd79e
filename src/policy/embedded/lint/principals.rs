//! Rules of principal policies that never decide, or that the PDP takes for each other.

use super::super::file::{PrincipalAction, PrincipalPolicy};
use super::super::names::{DEFAULT_VERSION, policy_key, sanitised};
use super::conditions;
use super::role_policies::is_overlap;
use super::rules::covers;
use super::{Findings, LintRule, Policies};

/// One rule, and the kind that it is about.
struct One<'d> {
    kind: &'d str,
    rule: &'d PrincipalAction,
    name: String,
}

pub(super) fn lint(policies: &Policies<'_>, policy: &PrincipalPolicy, findings: &mut Findings<'_>) {
    let scope = policy.scope.as_ref().map_or("", |scope| scope.value.as_str());
    let version = Some(policy.version.value.as_str()).filter(|it| !it.is_empty());
    let version = version.unwrap_or(DEFAULT_VERSION);
    findings.policy = policy_key("principal", &policy.principal.value, version, scope);
    let rules: Vec<One<'_>> = policy
        .rules
        .iter()
        .flat_map(|of| {
            of.actions.iter().enumerate().map(|(index, rule)| {
                let kind = of.resource.value.as_str();
                let given = rule.name.as_ref().map(|it| it.value.clone());
                let given = given.filter(|it| !it.is_empty());
                let name = given.unwrap_or_else(|| format!("{kind}_rule-{:03}", index + 1));
                One { kind, rule, name }
            })
        })
        .collect();
    for (index, one) in rules.iter().enumerate() {
        let at = (&one.rule.action).into();
        let place = format!("rule '{}'", one.name);
        let earlier = || rules.iter().take(index);
        if let Some(other) = rules.iter().find(|other| is_shadowed(one, other)) {
            let message = format!(
                "never decides: rule '{}' denies the same kinds and actions without a condition",
                other.name
            );
            findings.add(LintRule::RuleShadowed, at, &place, message);
        } else if let Some(other) = earlier().find(|other| is_same(one, other)) {
            let message = format!("says the same as rule '{}'", other.name);
            findings.add(LintRule::RuleDuplicate, at, &place, message);
        }
        if let Some(other) = earlier().find(|other| is_mistaken(policies, one, other)) {
            let message = format!(
                "has the name of a rule for '{}', and there is a condition: where both kinds match \
                 the PDP takes the answer of one for the other",
                other.kind
            );
            findings.add(LintRule::PrincipalRulesConfused, at, &place, message);
        }
    }
}

/// A DENY wins, wherever it stands. Outputs are said all the same.
fn is_shadowed(one: &One<'_>, by: &One<'_>) -> bool {
    by.rule.effect.value == "EFFECT_DENY"
        && one.rule.effect.value == "EFFECT_ALLOW"
        && by.rule.condition.is_none()
        && one.rule.output.is_none()
        && covers(&sanitised(by.kind), &sanitised(one.kind))
        && covers(&by.rule.action.value, &one.rule.action.value)
}

fn is_same(one: &One<'_>, other: &One<'_>) -> bool {
    one.kind == other.kind
        && one.rule.action.value == other.rule.action.value
        && one.rule.effect.value == other.rule.effect.value
        && one.rule.output.is_none()
        && other.rule.output.is_none()
        && conditions::is_equal(one.rule.condition.as_ref(), other.rule.condition.as_ref())
}

fn is_mistaken(policies: &Policies<'_>, one: &One<'_>, other: &One<'_>) -> bool {
    one.name == other.name
        && one.kind != other.kind
        && !conditions::is_equal(one.rule.condition.as_ref(), other.rule.condition.as_ref())
        && is_overlap(policies, &sanitised(one.kind), &sanitised(other.kind))
}
