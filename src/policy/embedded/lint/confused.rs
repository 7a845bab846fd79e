//! Rules that the PDP takes for each other: it files conditions by the expressions in them and
//! forgets which operators stand between these, also across policies (Cerbos 0.55.0).

use std::collections::BTreeMap;

use super::super::file::{self, Document, ResourcePolicy, Rule};
use super::names::{Meanings, Names};
use super::{Findings, LintRule, Policies, conditions};

const CONSENT: &str = "SCOPE_PERMISSIONS_REQUIRE_PARENTAL_CONSENT_FOR_ALLOWS";

/// What the PDP tells apart: neither kinds nor versions, and of scopes the permissions alone.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Filed<'d> {
    needs_consent: bool,
    action: &'d str,
    effect: &'d str,
    /// Of a derived role, and of the rule.
    expressions: (Option<Asked<'d>>, Option<Asked<'d>>),
}

/// Expressions in their order, with what the names in them stand for: other names are another
/// thing to the PDP, and so is another definition of one name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Asked<'d> {
    expressions: Vec<&'d str>,
    names: Meanings<'d>,
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
        for (_, document) in &policies.documents {
            let Some(policy) = &document.resource_policy else { continue };
            for (index, rule) in policy.rules.iter().enumerate() {
                confused.file(policies, (document, policy), index, rule);
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
        (document, policy): (&'d Document, &'d ResourcePolicy),
        index: usize,
        rule: &'d Rule,
    ) {
        // Rules with outputs are told apart by them.
        if rule.output.is_some() {
            return;
        }
        let names = Names::of(policies, document, &policy.variables, &policy.constants);
        let mut through = Vec::new();
        if !rule.roles.is_empty() {
            through.push((None, Names::default()));
        }
        for role in &rule.derived_roles {
            through.extend(derived(policies, policy, &role.value));
        }
        for (of_role, names_of_role) in through {
            let conditions = (of_role, rule.condition.as_ref());
            let first = asked(conditions.0, &names_of_role);
            let (Ok(first), Ok(second)) = (first, asked(conditions.1, &names)) else {
                continue;
            };
            let (effect, own) = as_kept(policy, rule);
            for action in &rule.actions {
                let filed = Filed {
                    needs_consent: needs_consent(policy),
                    action: &action.value,
                    effect,
                    expressions: (first.clone(), second.clone()),
                };
                let meaning = (meaning(conditions.0), own.clone());
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

fn needs_consent(policy: &ResourcePolicy) -> bool {
    policy.scope_permissions.as_ref().is_some_and(|it| it.value == CONSENT)
}

/// The effect and the condition of a rule as the PDP keeps them: where the parents have to consent,
/// "allow if" is "deny unless".
fn as_kept<'d>(policy: &ResourcePolicy, rule: &'d Rule) -> (&'d str, Option<String>) {
    let tree = rule.condition.as_ref().and_then(|it| it.matches.as_ref());
    match tree {
        Some(tree) if rule.effect.value == "EFFECT_ALLOW" && needs_consent(policy) => {
            ("EFFECT_DENY", Some(conditions::opposite(tree)))
        }
        tree => (&rule.effect.value, tree.map(conditions::meaning)),
    }
}

/// The condition of a derived role, where it has one, and the names that it reads.
fn derived<'d>(
    policies: &Policies<'d>,
    policy: &ResourcePolicy,
    role: &str,
) -> Option<(Option<&'d file::Condition>, Names<'d>)> {
    let is_imported = |name: &str| policy.import_derived_roles.iter().any(|it| it.value == name);
    policies.documents.iter().find_map(|(_, document)| {
        let set = document.derived_roles.as_ref().filter(|it| is_imported(&it.name.value))?;
        let role = set.definitions.iter().find(|it| it.name.value == role)?;
        let condition = role.condition.as_ref()?;
        let names = Names::of(policies, document, &set.variables, &set.constants);
        Some((Some(condition), names))
    })
}

/// `Err` where names are read in a way that the text does not show.
fn asked<'d>(
    condition: Option<&'d file::Condition>,
    names: &Names<'d>,
) -> Result<Option<Asked<'d>>, ()> {
    let Some(tree) = condition.and_then(|it| it.matches.as_ref()) else { return Ok(None) };
    let mut expressions = Vec::new();
    conditions::expressions(tree, &mut expressions);
    let names = names.read_by(&expressions).ok_or(())?;
    Ok(Some(Asked { expressions, names }))
}

fn meaning(condition: Option<&file::Condition>) -> Option<String> {
    condition.and_then(|it| it.matches.as_ref()).map(conditions::meaning)
}
