//! The rows of one scope: which are asked for an action and a role, and what they say together.

use super::cel::EvalError;
use super::check::Check;
use super::evaluate::Said;
use super::pattern::Pattern;
use super::set::{Effect, Kind, Principal, PrincipalRow, Role, RoleRule, Row, Rule, Scope};
use super::verdict::{Cause, Failed, Found, Tried};

/// A role of the request with its parents in the scope of the request.
type Roles<'c> = (&'c str, &'c [Box<str>]);

impl<'c> Check<'c> {
    /// The PDP looks at role policies only where some row is about the kind and one of the roles.
    pub(super) fn is_asked(
        &self,
        (table, policy): (&'c Scope, Option<&'c Kind>),
        role: &str,
        parents: &[Box<str>],
    ) -> bool {
        if table.roles.is_empty() {
            return true;
        }
        let names = || std::iter::once(role).chain(parents.iter().map(AsRef::as_ref));
        let has_row =
            |kind: &Kind| kind.rows.iter().any(|row| names().any(|it| row.role.matches(it)));
        let has_rule = |role: &Role| role.rules.iter().any(|rule| rule.kind.matches(self.kind));
        policy.is_some_and(has_row)
            || names().any(|name| table.roles.get(name).is_some_and(has_rule))
    }

    /// The rows of a resource policy. A DENY decides; an ALLOW is returned.
    pub(super) fn resource_rows(
        &mut self,
        kind: &'c Kind,
        (role, parents): Roles<'c>,
        scope: &'c str,
        action: &'c str,
        found: &mut Found<'c>,
    ) -> Result<Option<Cause<'c>>, Failed<'c>> {
        let mut allowed = None;
        let mut denied: Option<&'c Row> = None;
        for row in kind.candidates(action) {
            let as_role = if row.role.matches(role) {
                role
            } else {
                match parents.iter().find(|parent| row.role.matches(parent)) {
                    Some(parent) => parent,
                    None => continue,
                }
            };
            let derived = row.derived.and_then(|index| kind.derived.get(index));
            if let Some(by) = denied {
                // The PDP takes the derived roles of a rule in any order: one that fails first
                // ends the action.
                if row.derived.is_some() && std::sync::Arc::ptr_eq(&by.rule, &row.rule) {
                    self.state.row(&row.rule, derived, row.key).map_err(failed(&row.rule))?;
                    continue;
                }
                break;
            }
            let said = self.state.row(&row.rule, derived, row.key);
            self.note(&row.rule, action, &said);
            if !self.tell(&row.rule, said, action)? {
                continue;
            }
            let name = derived.map(|it| &*it.name);
            let cause = Cause::Rule {
                name: &row.rule.name,
                allows: &row.rule.allows,
                line: row.rule.line,
                // It was not for this role that a rule for everybody spoke.
                role: if matches!(row.role, Pattern::Any) { "*" } else { as_role },
                derived: name,
            };
            match row.rule.effect {
                Effect::Allow => allowed = allowed.or(Some(cause)),
                Effect::Deny => {
                    found.deny(scope, cause);
                    if row.derived.is_none() {
                        break;
                    }
                    denied = Some(row);
                }
            }
        }
        Ok(allowed.filter(|_| denied.is_none()))
    }

    pub(super) fn principal_rows(
        &mut self,
        policy: &'c Principal,
        scope: &'c str,
        action: &'c str,
        found: &mut Found<'c>,
    ) -> Result<Option<Cause<'c>>, Failed<'c>> {
        let mut allowed = None;
        for row in &policy.rows {
            if !row.action.matches(action) || !row.kind.matches(self.kind) {
                continue;
            }
            let said = self.principal_row(policy, row, action);
            self.note(&row.rule, action, &said);
            if !self.tell(&row.rule, said, action)? {
                continue;
            }
            let role = self.state.input.principal.id;
            let cause = Cause::Rule {
                name: &row.rule.name,
                allows: &row.rule.allows,
                line: row.rule.line,
                role,
                derived: None,
            };
            match row.rule.effect {
                Effect::Allow => allowed = allowed.or(Some(cause)),
                Effect::Deny => {
                    found.deny(scope, cause);
                    break;
                }
            }
        }
        Ok(allowed)
    }

    /// Where the PDP mixes up rows, whichever answer is more restrictive.
    fn principal_row(
        &mut self,
        policy: &'c Principal,
        row: &'c PrincipalRow,
        action: &str,
    ) -> Result<Said, EvalError> {
        let mut said = self.state.row(&row.rule, None, row.key)?;
        for other in row.alike.iter().filter_map(|index| policy.rows.get(*index)) {
            let was_asked = self.was_asked(action, |it| other.action.matches(it));
            if !was_asked || !other.kind.matches(self.kind) {
                continue;
            }
            // What failed is not remembered, and so is taken for nothing.
            let Ok(theirs) = self.state.row(&other.rule, None, other.key) else { continue };
            said = match row.rule.effect {
                Effect::Allow if theirs == Said::Yes => said,
                Effect::Allow => Said::No,
                Effect::Deny if theirs == Said::Yes => Said::Yes,
                Effect::Deny => said,
            };
        }
        Ok(said)
    }

    /// What role policies do not allow is denied, before any row of a resource policy is asked.
    /// `true` where the PDP may not deny, as it mixes up rules.
    pub(super) fn role_policies(
        &mut self,
        table: &'c Scope,
        (role, parents): Roles<'c>,
        scope: &'c str,
        action: &'c str,
        found: &mut Found<'c>,
    ) -> Result<bool, Failed<'c>> {
        if table.roles.is_empty() {
            return Ok(false);
        }
        let mut is_perhaps = false;
        let mut denied: Option<(usize, Option<&'c RoleRule>)> = None;
        let names = std::iter::once(role).chain(parents.iter().map(AsRef::as_ref));
        for (place, name) in names.enumerate() {
            let Some(policy) = table.roles.get(name) else { continue };
            let rules = policy.rules.iter().filter(|rule| rule.kind.matches(self.kind));
            let mut is_matched = false;
            for rule in rules.filter(|rule| rule.allows(action)) {
                is_matched = true;
                match denied {
                    None => {}
                    Some(_) if is_perhaps => {
                        let said = self.state.outputs.len();
                        is_perhaps = self.refuses(policy, rule, action)? != Refusal::Yes;
                        self.state.outputs.truncate(said);
                        continue;
                    }
                    // The PDP takes parents, and kinds of one role, in any order: one that fails
                    // first ends the action.
                    Some((at, by)) if is_unordered((at, by), (place, rule)) => {
                        self.state.row(&rule.rule, None, rule.key).map_err(failed(&rule.rule))?;
                        continue;
                    }
                    Some(_) => continue,
                }
                let refusal = self.refuses(policy, rule, action)?;
                if refusal != Refusal::No {
                    found.deny(scope, Cause::RolePolicy { role: name });
                    found.policy = Some(&policy.policy);
                    denied = Some((place, Some(rule)));
                    is_perhaps = refusal == Refusal::Perhaps;
                }
            }
            if !is_matched && denied.is_none() {
                found.deny(scope, Cause::RolePolicy { role: name });
                found.policy = Some(&policy.policy);
                denied = Some((place, None));
            }
            is_perhaps &= is_matched;
        }
        Ok(is_perhaps)
    }

    /// A rule of a role policy that allows the action refuses when its condition does not hold.
    fn refuses(
        &mut self,
        policy: &'c Role,
        rule: &'c RoleRule,
        action: &'c str,
    ) -> Result<Refusal, Failed<'c>> {
        let said = self.state.row(&rule.rule, None, rule.key);
        self.note(&rule.rule, action, &said);
        let allows = self.tell(&rule.rule, said, action)?;
        if rule.rule.condition.is_none() {
            return Ok(Refusal::No);
        }
        let refusal = if allows { Refusal::No } else { Refusal::Yes };
        for other in rule.alike.iter().filter_map(|index| policy.rules.get(*index)) {
            let was_asked = self.was_asked(action, |it| other.allows(it));
            if !was_asked || !other.kind.matches(self.kind) {
                continue;
            }
            let theirs = if other.rule.condition.is_some() {
                // What failed is not remembered, and so is taken for nothing.
                let Ok(said) = self.state.row(&other.rule, None, other.key) else { continue };
                said == Said::Yes
            } else if other.rule.activated.is_some() || other.rule.not_met.is_some() {
                false
            } else {
                continue;
            };
            if theirs != allows {
                return Ok(Refusal::Perhaps);
            }
        }
        Ok(refusal)
    }

    /// Whether an action, or one before it in the request, is meant: the PDP remembers what those
    /// found.
    fn was_asked(&self, action: &str, is_meant: impl Fn(&str) -> bool) -> bool {
        let mut before = self.state.input.actions.iter().take_while(|it| **it != action);
        is_meant(action) || before.any(|it| is_meant(it))
    }

    fn note(&mut self, rule: &'c Rule, action: &'c str, said: &Result<Said, EvalError>) {
        if let Some(tried) = &mut self.tried {
            tried.push(Tried {
                action,
                policy: &rule.policy,
                rule: &rule.name,
                line: rule.line,
                effect: rule.effect,
                applies: said.as_ref().ok().map(|said| *said == Said::Yes),
            });
        }
    }

    /// Emits the output that belongs to what a row said; `true` when it applies.
    fn tell(
        &mut self,
        rule: &'c Rule,
        said: Result<Said, EvalError>,
        action: &str,
    ) -> Result<bool, Failed<'c>> {
        match said.map_err(failed(rule))? {
            Said::Nothing => Ok(false),
            Said::No => {
                self.state.output(rule, rule.not_met.as_ref(), action);
                Ok(false)
            }
            Said::Yes => {
                self.state.output(rule, rule.activated.as_ref(), action);
                Ok(true)
            }
        }
    }
}

/// Whether a rule of a role policy denies what it speaks about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    No,
    /// Denied here; the PDP may take the answer of another rule for it.
    Perhaps,
    Yes,
}

/// Whether the PDP may ask the second before the first, which denies.
fn is_unordered(
    (denied_at, by): (usize, Option<&RoleRule>),
    (place, rule): (usize, &RoleRule),
) -> bool {
    if place == denied_at {
        return by.is_some_and(|by| by.kind.text() != rule.kind.text());
    }
    denied_at > 0
}

fn failed<'c>(rule: &'c Rule) -> impl FnOnce(EvalError) -> Failed<'c> {
    move |why| Failed { rule, why }
}

impl<'c> Found<'c> {
    fn deny(&mut self, scope: &'c str, cause: Cause<'c>) {
        (self.effect, self.scope, self.cause) = (Some(Effect::Deny), scope, cause);
    }
}

impl RoleRule {
    fn allows(&self, action: &str) -> bool {
        self.actions.iter().any(|it| it.matches(action) || it.text() == action)
    }
}

impl Kind {
    /// The rows for an action, in the order of the policy.
    fn candidates<'c>(&'c self, action: &'c str) -> impl Iterator<Item = &'c Row> {
        let mut plain = self.by_action.get(action).map_or(&[][..], Vec::as_slice).iter().peekable();
        let is_match = move |number: &&u32| {
            self.rows.get(**number as usize).is_some_and(|row| row.action.matches(action))
        };
        let mut globs = self.globs.iter().filter(is_match).peekable();
        std::iter::from_fn(move || {
            let number = match (plain.peek(), globs.peek()) {
                (Some(left), Some(right)) if right < left => globs.next(),
                (Some(_), _) => plain.next(),
                (None, _) => globs.next(),
            };
            self.rows.get(*number? as usize)
        })
    }
}
