//! Rules whose condition holds for nobody, whatever the kind of policy.

use std::path::Path;
use std::sync::Arc;

use super::super::set::{Condition, Rule, Set};
use super::conditions::is_false;
use super::{Finding, Findings, LintRule, Policies};

pub(super) fn lint(policies: &Policies<'_>, found: &mut Vec<Finding>) {
    let mut seen: Vec<&Arc<Rule>> = Vec::new();
    for (is_consent, rule) in rules(policies.set) {
        let is_known = |seen: &[&Arc<Rule>]| seen.iter().any(|it| Arc::ptr_eq(it, rule));
        // Compiled from an ALLOW that needs consent: what it says is turned round.
        let is_turned = is_consent && matches!(rule.condition, Some(Condition::NoneOf(_)));
        if is_turned || !rule.condition.as_ref().is_some_and(is_false) || is_known(&seen) {
            continue;
        }
        seen.push(rule);
        let file = policies.set.policies.get(&rule.policy);
        let file = file.map_or(Path::new(""), |it| it.file.as_path());
        let at = policies.at(file, rule.line);
        let mut findings = Findings { file, policy: rule.policy.to_string(), found };
        let message = "has a condition that never holds";
        let name = if rule.name.is_empty() { String::new() } else { format!(" '{}'", rule.name) };
        findings.add(LintRule::ConditionNeverTrue, at, &format!("rule{name}"), message);
    }
}

fn rules(set: &Set) -> impl Iterator<Item = (bool, &Arc<Rule>)> {
    let scopes = set.versions.values().flat_map(|version| version.scopes.iter());
    scopes.flat_map(|(name, scope)| {
        let is_consent = set.consent.contains(name);
        let resource = scope.kinds.values().flat_map(|it| &it.rows).map(|row| &row.rule);
        let principal = scope.principals.values().flat_map(|it| &it.rows).map(|row| &row.rule);
        let role = scope.roles.values().flat_map(|it| &it.rules).map(|row| &row.rule);
        resource.chain(principal).chain(role).map(move |rule| (is_consent, rule))
    })
}
