//! Rules that the PDP takes for each other: it files conditions by the expressions in them and
//! forgets which operators stand between these, also across policies (Cerbos 0.55.0).

use std::collections::BTreeMap;

use super::super::expressions::uses_names;
use super::super::file::{self, ResourcePolicy, Rule};
use super::conditions;
use super::{Findings, LintRule, Policies};

/// What the PDP tells apart.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Filed<'d> {
    version: &'d str,
    scope: &'d str,
    action: &'d str,
    effect: &'d str,
    /// Of a derived role, and of the rule.
    expressions: (Option<Vec<&'d str>>, Option<Vec<&'d str>>),
}

/// What a rule says in truth, and where.
struct Said<'d> {
    meaning: (Option<String>, Option<String>),
    policy: &'d ResourcePolicy,
    index: usize,
}

/// The rules of all policies, as the PDP files them.
#[derive(Default)]
pub(super) struct Confused<'d> {
    filed: BTreeMap<Filed<'d>, Vec<Said<'d>>>,
}

impl<'d> Confused<'d> {
    pub fn of(policies: &Policies<'d>) -> Self {
        let mut confused = Self::default();
        for policy in policies.documents.iter().filter_map(|(_, it)| it.resource_policy.as_ref()) {
            for (index, rule) in policy.rules.iter().enumerate() {
                confused.file(policies, policy, index, rule);
            }
        }
        confused.filed.retain(|_, all| {
            let first = all.first().map(|it| it.meaning.clone());
            all.iter().any(|it| Some(&it.meaning) != first.as_ref())
        });
        confused
    }

    fn file(
        &mut self,
        policies: &Policies<'d>,
        policy: &'d ResourcePolicy,
        index: usize,
        rule: &'d Rule,
    ) {
        // Rules with outputs are told apart by them.
        if rule.output.is_some() {
            return;
        }
        let roles = (!rule.roles.is_empty()).then_some(None).into_iter();
        let derived = rule.derived_roles.iter().filter_map(|role| {
            let all = policies.documents.iter().filter_map(|(_, it)| it.derived_roles.as_ref());
            let mut sets = all.filter(|set| {
                policy.import_derived_roles.iter().any(|it| it.value == set.name.value)
            });
            sets.find_map(|set| set.definitions.iter().find(|it| it.name.value == role.value))
        });
        let through: Vec<_> =
            roles.chain(derived.filter_map(|role| role.condition.as_ref()).map(Some)).collect();
        for of_role in through {
            let conditions = (of_role, rule.condition.as_ref());
            let (Ok(first), Ok(second)) = (expressions(conditions.0), expressions(conditions.1))
            else {
                continue;
            };
            for action in &rule.actions {
                let filed = Filed {
                    version: &policy.version.value,
                    scope: policy.scope.as_ref().map_or("", |scope| scope.value.as_str()),
                    action: &action.value,
                    effect: &rule.effect.value,
                    expressions: (first.clone(), second.clone()),
                };
                let meaning = (meaning(conditions.0), meaning(conditions.1));
                self.filed.entry(filed).or_default().push(Said { meaning, policy, index });
            }
        }
    }

    /// The rules of one policy that are taken for another one: for the first of those.
    pub fn tell(&self, policy: &ResourcePolicy, findings: &mut Findings<'_>) {
        for (index, rule) in policy.rules.iter().enumerate() {
            let is_this = |it: &&Said<'_>| std::ptr::eq(it.policy, policy) && it.index == index;
            let other = self.filed.values().find_map(|all| {
                let this = all.iter().find(is_this)?;
                all.iter().find(|it| !is_this(it) && it.meaning != this.meaning)
            });
            let Some(other) = other else { continue };
            let name = |policy: &ResourcePolicy, index: usize| {
                policy.rules.get(index).map(|it| super::rules::name(it, index)).unwrap_or_default()
            };
            let message = format!(
                "asks the same expressions as rule '{}' of '{}' under other operators, for the \
                 same action: the PDP takes the answer of one for the other",
                name(other.policy, other.index),
                other.policy.resource.value,
            );
            let place = format!("rule '{}'", name(policy, index));
            findings.add(LintRule::ConditionsConfused, (&rule.effect).into(), &place, message);
        }
    }
}

/// `Err` where the expressions mean another thing in each policy.
fn expressions(condition: Option<&file::Condition>) -> Result<Option<Vec<&str>>, ()> {
    let Some(tree) = condition.and_then(|it| it.matches.as_ref()) else { return Ok(None) };
    let mut found = Vec::new();
    conditions::expressions(tree, &mut found);
    if found.iter().any(|it| uses_names(it)) { Err(()) } else { Ok(Some(found)) }
}

fn meaning(condition: Option<&file::Condition>) -> Option<String> {
    condition.and_then(|it| it.matches.as_ref()).map(conditions::meaning)
}
