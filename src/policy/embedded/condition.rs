//! Conditions: trees of expressions, compiled once.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue};

use super::expression;
use super::file;
use super::problem::Problems;
use super::scope::{self, Compiled, Inputs, Scope};
use super::variables::Variables;

#[derive(Debug)]
pub(super) enum Condition {
    Expression(IdedExpr),
    /// `"x" in P.roles`: asked of almost every request, and answered without CEL.
    HasRole(Box<str>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    NoneOf(Vec<Condition>),
}

impl Condition {
    /// Asking again costs less than remembering.
    pub fn is_cheap(&self) -> bool {
        matches!(self, Self::HasRole(_))
    }

    /// Left to right, and no further than needed.
    ///
    /// # Errors
    /// Why it could not be evaluated. Strict evaluation denies then.
    pub fn holds(&self, inputs: &Inputs<'_>, regexes: &[Compiled]) -> Result<bool, String> {
        match self {
            Self::Expression(expr) => Scope::new(inputs, regexes).is_true(expr),
            Self::HasRole(role) => Ok(inputs.roles().contains(&&**role)),
            Self::All(conditions) => {
                for condition in conditions {
                    if !condition.holds(inputs, regexes)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(conditions) => any(conditions, inputs, regexes),
            Self::NoneOf(conditions) => Ok(!any(conditions, inputs, regexes)?),
        }
    }
}

fn any(
    conditions: &[Condition],
    inputs: &Inputs<'_>,
    regexes: &[Compiled],
) -> Result<bool, String> {
    for condition in conditions {
        if condition.holds(inputs, regexes)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Compiles conditions of one policy; every expression that is not acceptable is a problem.
pub(super) struct Compiler<'c, 'v> {
    pub variables: Variables<'v>,
    pub regexes: &'c mut Vec<Compiled>,
    pub problems: &'c mut Problems,
}

impl Compiler<'_, '_> {
    pub fn condition(&mut self, written: &file::Condition, place: &str) -> Option<Condition> {
        if written.script.is_some() {
            self.problems.add(None, place, "scripts are not supported");
        }
        let Some(tree) = &written.matches else {
            self.problems.add(None, place, "the condition has no `match`");
            return None;
        };
        self.tree(tree, place)
    }

    /// Variables that nobody uses have to be acceptable as well.
    pub fn unused(&mut self) {
        for name in self.variables.names() {
            if let Err(why) = self.variables.variable(&name, self.regexes) {
                self.problems.add(None, "variables", why);
            }
        }
    }

    fn tree(&mut self, tree: &file::Match, place: &str) -> Option<Condition> {
        match (&tree.expr, &tree.all, &tree.any, &tree.none) {
            (Some(source), None, None, None) => self.expression(source, place),
            (None, Some(of), None, None) => self.each(of, place).map(Condition::All),
            (None, None, Some(of), None) => self.each(of, place).map(Condition::Any),
            (None, None, None, Some(of)) => self.each(of, place).map(Condition::NoneOf),
            _ => {
                let message = "a match has exactly one of `expr`, `all`, `any`, `none`";
                self.problems.add(None, place, message);
                None
            }
        }
    }

    fn each(&mut self, matches: &file::Matches, place: &str) -> Option<Vec<Condition>> {
        if matches.of.is_empty() {
            self.problems.add(None, place, "`of` is empty");
            return None;
        }
        let compiled: Vec<_> = matches.of.iter().map(|tree| self.tree(tree, place)).collect();
        compiled.into_iter().collect()
    }

    fn expression(&mut self, source: &file::Text, place: &str) -> Option<Condition> {
        match expression::check(&source.value, &mut self.variables, self.regexes) {
            Ok(checked) => Some(role_test(&checked.expr).map_or_else(
                || Condition::Expression(checked.expr.clone()),
                |role| Condition::HasRole(role.into()),
            )),
            Err(why) => {
                let message = format!("expression `{}`: {why}", source.value.trim());
                self.problems.add(Some(source.referenced.line()), place, message);
                None
            }
        }
    }
}

/// The role of `"x" in P.roles`, as the checker has rewritten it.
fn role_test(expr: &IdedExpr) -> Option<&str> {
    let Expr::Call(test) = &expr.expr else { return None };
    let (scope::WITHIN, [needle, range]) = (test.func_name.as_str(), test.args.as_slice()) else {
        return None;
    };
    let Expr::Literal(LiteralValue::String(role)) = &needle.expr else { return None };
    match &range.expr {
        Expr::Ident(name) if name == scope::PRINCIPAL_ROLES => Some(role.inner()),
        _ => None,
    }
}
