//! Rules that deny and can fail. Strict evaluation denies then; a PDP that is not strict skips the
//! rule, which is no denial any more.

use std::path::Path;
use std::sync::Arc;

use super::{Findings, LintRule, Policies};

use super::super::cel::Known;
use super::super::schema::Schema;
use super::super::set::{Condition, Effect, Kind, Rule, Set, VariablesId};

/// Variables are followed no deeper.
const MAX_DEPTH: usize = 16;

pub(super) fn lint(policies: &Policies<'_>, found: &mut Vec<super::Finding>) {
    for version in policies.set.versions.values() {
        for scope in version.scopes.values() {
            for kind in scope.kinds.values() {
                let file = policies.set.policies.get(&kind.policy).map(|it| it.file.as_path());
                let policy = kind.policy.to_string();
                let file = file.unwrap_or(Path::new(""));
                resource(policies, kind, &mut Findings { file, policy, found });
            }
            for principal in scope.principals.values() {
                for row in &principal.rows {
                    let file = policies.set.policies.get(&row.rule.policy);
                    let file = file.map_or(Path::new(""), |it| it.file.as_path());
                    let policy = row.rule.policy.to_string();
                    let why = fails(policies.set, &row.rule, None, Known::new());
                    denial(policies, &row.rule, why, &mut Findings { file, policy, found });
                }
            }
        }
    }
}

fn resource(policies: &Policies<'_>, kind: &Kind, findings: &mut Findings<'_>) {
    let set = policies.set;
    let known = demanded(kind);
    let mut seen: Vec<(&Arc<Rule>, Vec<usize>)> = Vec::new();
    for row in &kind.rows {
        match seen.iter_mut().find(|(rule, _)| Arc::ptr_eq(rule, &row.rule)) {
            Some((_, derived)) => {
                derived.extend(row.derived.filter(|it| !derived.contains(it)));
            }
            None => seen.push((&row.rule, row.derived.into_iter().collect())),
        }
    }
    for (rule, derived) in seen {
        let role_of = |index: &usize| kind.derived.get(*index);
        let roles = derived.iter().filter_map(role_of);
        let why = roles
            .clone()
            .find_map(|role| {
                let through = role.condition.as_ref().map(|it| (it, role.variables));
                fails(set, rule, through, known.clone())
            })
            .or_else(|| {
                derived.is_empty().then(|| fails(set, rule, None, known.clone())).flatten()
            });
        denial(policies, rule, why, findings);
        let mut failing = roles.filter(|role| {
            let condition = role.condition.as_ref();
            condition.is_some_and(|it| walk(set, it, role.variables, &mut known.clone()).is_some())
        });
        if let (true, Some(role)) = (derived.len() > 1, failing.next()) {
            let message = format!(
                "names several derived roles, and the condition of '{}' can fail: the PDP tries \
                 them in an order of its own, and the first that fails ends the action",
                role.name
            );
            let at = policies.at(findings.file, rule.line);
            findings.add(LintRule::DerivedRolesOrder, at, &place(rule), message);
        }
    }
}

/// What the schemas of a kind demand is there: without it no condition is looked at.
fn demanded(kind: &Kind) -> Known {
    let of = |schema: Option<&Schema>, root: &str| {
        let names = schema.map(Schema::demanded).unwrap_or_default();
        names.iter().map(|name| format!("{root}.{name}")).collect::<Known>()
    };
    let Some(schemas) = &kind.schemas else { return Known::new() };
    let mut known = of(schemas.principal.as_ref(), "P.attr");
    known.extend(of(schemas.resource.as_ref(), "R.attr"));
    known
}

fn denial(policies: &Policies<'_>, rule: &Rule, why: Option<String>, findings: &mut Findings<'_>) {
    if let (Effect::Deny, Some(why)) = (rule.effect, why) {
        let message = format!(
            "denies, but its condition can fail at `{why}`: strict evaluation denies then, a PDP \
             that is not strict skips the rule"
        );
        let at = policies.at(findings.file, rule.line);
        findings.add(LintRule::DenyCanFail, at, &place(rule), message);
    }
}

fn place(rule: &Rule) -> String {
    format!("rule '{}'", rule.name)
}

fn fails(
    set: &Set,
    rule: &Rule,
    through: Option<(&Condition, VariablesId)>,
    mut known: Known,
) -> Option<String> {
    through.and_then(|(condition, variables)| walk(set, condition, variables, &mut known)).or_else(
        || rule.condition.as_ref().and_then(|it| walk(set, it, rule.variables, &mut known)),
    )
}

/// What can fail in a condition; `known` is what is there when it holds.
fn walk(set: &Set, condition: &Condition, id: VariablesId, known: &mut Known) -> Option<String> {
    match condition {
        Condition::HasRole(_) => None,
        Condition::Expression(program) => {
            let why = program.can_fail(known, &|slot, known| variable(set, id, slot, known, 0));
            known.extend(program.guards(true));
            why
        }
        Condition::All(of) => of.iter().find_map(|it| walk(set, it, id, known)),
        // One after the other: each is looked at when those before it did not hold.
        Condition::Any(of) | Condition::NoneOf(of) => {
            let mut before = known.clone();
            of.iter().find_map(|it| {
                let why = walk(set, it, id, &mut before.clone());
                if let Condition::Expression(program) = it {
                    before.extend(program.guards(false));
                }
                why
            })
        }
    }
}

fn variable(
    set: &Set,
    id: VariablesId,
    slot: usize,
    known: &Known,
    depth: usize,
) -> Option<String> {
    let program = set.variables.get(id.0 as usize)?.programs.get(slot)?;
    if depth > MAX_DEPTH {
        return Some("a variable".to_owned());
    }
    program.can_fail(known, &|slot, known| variable(set, id, slot, known, depth + 1))
}
