//! Cerbos resource policies, evaluated in the process. Always strict: a condition that cannot be
//! evaluated denies the action.
//!
//! `load` reads the files, `compile` flattens rules into rows by resource kind, `condition`,
//! `expression` and `scope` hold CEL, and this file decides. What the engine does not know is
//! refused while loading, with file and rule.

pub mod cel;
mod compile;
mod condition;
mod expression;
mod file;
mod functions;
mod load;
mod pattern;
mod problem;
mod re2;
mod scope;
mod set;
mod variables;

#[cfg(test)]
mod load_tests;
#[cfg(test)]
mod suite;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use super::{Decision, PolicyEngine, Query, Reason};
pub use problem::{PolicyProblem, PolicyProblems};
use scope::Inputs;
use set::{ConditionId, Effect, Kind, Row, Set};

/// A loaded policy set.
#[derive(Debug)]
pub struct Engine(Set);

impl Engine {
    /// Loads every policy below `directory`. An empty directory is a set that knows nothing.
    ///
    /// # Errors
    /// Everything that is wrong, or not supported, at once.
    pub fn load(directory: &Path) -> Result<Self, PolicyProblems> {
        let sources = load::directory(directory).map_err(|it| PolicyProblems(vec![it]))?;
        compile::compile(sources).map(Self)
    }

    /// The answer for one action; those of the query are not looked at.
    #[must_use]
    pub fn decide(&self, query: &Query<'_>, action: &str) -> Decision {
        Evaluation::new(&self.0, query).decide(action)
    }

    /// The answers for all actions of the query, in order.
    #[must_use]
    pub fn decide_all(&self, query: &Query<'_>) -> Vec<Decision> {
        let mut evaluation = Evaluation::new(&self.0, query);
        query.actions.iter().map(|action| evaluation.decide(action)).collect()
    }
}

impl PolicyEngine for Engine {
    async fn check<'a>(&'a self, query: &'a Query<'a>) -> Vec<Decision> {
        self.decide_all(query)
    }
}

static NO_MATCH: LazyLock<Arc<str>> = LazyLock::new(|| "NO_MATCH".into());

/// One query: what conditions said is remembered for its other actions and roles.
struct Evaluation<'q> {
    set: &'q Set,
    kind: Option<&'q Kind>,
    query: &'q Query<'q>,
    inputs: Inputs<'q>,
    known: Vec<(ConditionId, Result<bool, String>)>,
}

/// What the rows of one role say.
enum Answer<'q> {
    Nothing,
    Decided(&'q Row),
    Failed(&'q Row, String),
}

impl<'q> Evaluation<'q> {
    fn new(set: &'q Set, query: &'q Query<'q>) -> Self {
        let kind = set.kinds.get(set::canonical(query.resource.kind).as_ref());
        Self { set, kind, query, inputs: Inputs::new(query), known: Vec::new() }
    }

    /// Role by role in the order of the request: the first ALLOW wins, and within a role a DENY
    /// wins. Without an ALLOW the first DENY is told. A failing condition denies at once.
    fn decide(&mut self, action: &str) -> Decision {
        let Some(kind) = self.kind else {
            return self.no_match(action);
        };
        if !is_root(self.query.resource.scope) {
            return self.no_match(action);
        }
        let mut denied: Option<&Row> = None;
        for role in self.query.principal.roles {
            match self.role(kind, role, action) {
                Answer::Nothing => {}
                Answer::Failed(row, why) => return failed(kind, row, &why),
                Answer::Decided(row) => match row.effect {
                    Effect::Allow => return decided(kind, row),
                    Effect::Deny => denied = denied.or(Some(row)),
                },
            }
        }
        match denied {
            Some(row) => decided(kind, row),
            None => self.no_match(action),
        }
    }

    fn role(&mut self, kind: &'q Kind, role: &str, action: &str) -> Answer<'q> {
        let mut allowed = None;
        for row in &kind.rows {
            if !row.role.matches(role) || !row.action.matches(action) {
                continue;
            }
            match self.applies(row) {
                Ok(false) => {}
                Err(why) => return Answer::Failed(row, why),
                Ok(true) => match row.effect {
                    Effect::Deny => return Answer::Decided(row),
                    Effect::Allow => allowed = allowed.or(Some(row)),
                },
            }
        }
        allowed.map_or(Answer::Nothing, Answer::Decided)
    }

    fn applies(&mut self, row: &Row) -> Result<bool, String> {
        for id in [row.derived, row.condition].into_iter().flatten() {
            if !self.holds(id)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn holds(&mut self, id: ConditionId) -> Result<bool, String> {
        let Some(condition) = self.set.conditions.get(id.0) else {
            return Err("the condition is missing".to_owned());
        };
        if condition.is_cheap() {
            return condition.holds(&self.inputs, &self.set.regexes);
        }
        if let Some((_, known)) = self.known.iter().find(|(known, _)| *known == id) {
            return known.clone();
        }
        let result = condition.holds(&self.inputs, &self.set.regexes);
        self.known.push((id, result.clone()));
        result
    }

    fn no_match(&self, action: &str) -> Decision {
        let resource = &self.query.resource;
        let (policy, detail) = match self.kind {
            None => (&*NO_MATCH, format!("no policy knows the resource kind '{}'", resource.kind)),
            Some(_) if !is_root(resource.scope) => {
                (&*NO_MATCH, format!("no policy has the scope '{}'", resource.scope))
            }
            // The PDP names the policy that had nothing to say.
            Some(kind) => {
                let roles = self.query.principal.roles.join(", ");
                let detail = format!("no rule matches action '{action}' for roles [{roles}]");
                (&kind.policy, detail)
            }
        };
        Decision {
            allowed: false,
            reason: Reason::Denied,
            policy: Arc::clone(policy),
            detail: detail.into(),
            unknown_kind: self.kind.is_none(),
        }
    }
}

fn is_root(scope: &str) -> bool {
    matches!(scope, "" | ".")
}

fn decided(kind: &Kind, row: &Row) -> Decision {
    let (allowed, reason) = match row.effect {
        Effect::Allow => (true, Reason::Allowed),
        Effect::Deny => (false, Reason::Denied),
    };
    Decision {
        allowed,
        reason,
        policy: Arc::clone(&kind.policy),
        detail: Arc::clone(&row.detail),
        unknown_kind: false,
    }
}

fn failed(kind: &Kind, row: &Row, why: &str) -> Decision {
    Decision {
        allowed: false,
        reason: Reason::Denied,
        policy: Arc::clone(&kind.policy),
        detail: format!("the condition of rule '{}' failed: {why}", row.rule).into(),
        unknown_kind: false,
    }
}
