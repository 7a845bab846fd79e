//! Role policies that the PDP does not answer in one way, or at all.

use super::super::file::{RolePolicy, RoleRule, Text};
use super::super::names::{DEFAULT_VERSION, policy_key, sanitised};
use super::super::pattern::Pattern;
use super::{Findings, LintRule, Policies};

pub(super) fn lint(policies: &Policies<'_>, policy: &RolePolicy, findings: &mut Findings<'_>) {
    let text = |it: &Option<Text>| it.as_ref().map(|it| it.value.clone()).unwrap_or_default();
    let version = Some(text(&policy.version)).filter(|it| !it.is_empty());
    let version = version.unwrap_or_else(|| DEFAULT_VERSION.to_owned());
    findings.policy = policy_key("role", &policy.role.value, &version, &text(&policy.scope));
    for (index, rule) in policy.rules.iter().enumerate() {
        let place = place(rule, index);
        let kind = &rule.resource.value;
        if !kind.contains('*') && sanitised(kind) != kind.as_str() {
            let message = format!(
                "never matches: the PDP files the kind '{kind}' as '{}', and role policies are \
                 compared with that",
                sanitised(kind)
            );
            let at = (&rule.resource).into();
            findings.add(LintRule::RolePolicyKindNeverMatches, at, &place, message);
        }
        let earlier = policy.rules.iter().take(index);
        let other = earlier.enumerate().find(|(_, other)| {
            let is_conditional = rule.condition.is_some() || other.condition.is_some();
            is_conditional
                && other.resource.value != *kind
                && number(policy, rule) == number(policy, other)
                && is_overlap(policies, kind, &other.resource.value)
        });
        if let Some((at, other)) = other {
            let message = format!(
                "matches kinds that {} ('{}') matches too, and there is a condition: the PDP takes \
                 the answer of one for the other, in an order of its own",
                self::place(other, at),
                other.resource.value
            );
            let at = (&rule.resource).into();
            findings.add(LintRule::RolePolicyPatternsOverlap, at, &place, message);
        }
    }
}

/// Among the rules of its kind: the PDP takes rules of one number for each other.
fn number(policy: &RolePolicy, rule: &RoleRule) -> usize {
    let before = policy.rules.iter().take_while(|other| !std::ptr::eq(*other, rule));
    before.filter(|other| other.resource.value == rule.resource.value).count()
}

fn place(rule: &RoleRule, index: usize) -> String {
    match rule.name.as_ref().map(|name| name.value.as_str()) {
        None | Some("") => format!("rule {}", index + 1),
        Some(name) => format!("rule '{name}'"),
    }
}

/// Whether both match one kind: a name that one of them gives, or a kind that there is.
pub(super) fn is_overlap(policies: &Policies<'_>, one: &str, other: &str) -> bool {
    let (Ok(first), Ok(second)) = (Pattern::parse(one), Pattern::parse(other)) else {
        return false;
    };
    let kinds = policies.set.versions.values().flat_map(|version| version.scopes.values());
    let kinds = kinds.flat_map(|scope| scope.kinds.keys()).map(|kind| &**kind);
    let named = [one, other];
    named.into_iter().chain(kinds).any(|kind| {
        let is_kind =
            !kind.contains('*') || matches!(first, Pattern::Any) || matches!(second, Pattern::Any);
        is_kind && first.matches(kind) && second.matches(kind)
    })
}
