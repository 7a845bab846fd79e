//! Sources of CEL, compiled once however often they are written.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::cel::{Declarations, Environment, Program};
use super::file::{self, Text};
use super::pattern::Pattern;
use super::problem::{At, Problems};
use super::set::{Condition, Output, Variables, VariablesId};

const MAX_NESTING: usize = 32;

/// The names that the expressions of one policy may use.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// The same number means the same names.
    pub id: VariablesId,
    pub declarations: Arc<Declarations>,
}

type Compiled = Result<Arc<Program>, Refusal>;

/// Why a source is refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub message: String,
    /// What it would fail with, were it not refused.
    pub always_fails: Option<Arc<str>>,
}

/// Programs and globs by what was written.
#[derive(Debug, Default)]
pub(super) struct Cache {
    programs: FxHashMap<VariablesId, FxHashMap<String, Compiled>>,
    globs: FxHashMap<String, Result<Pattern, String>>,
}

impl Cache {
    /// # Errors
    /// It is no CEL that the engine knows.
    pub fn program(&mut self, source: &str, names: &Names) -> Compiled {
        let id = if uses_names(source) { names.id } else { VariablesId(0) };
        let known = self.programs.entry(id).or_default();
        if let Some(compiled) = known.get(source) {
            return compiled.clone();
        }
        let compiled = Environment::cerbos().compile(source, &names.declarations);
        let compiled = compiled.map(Arc::new).map_err(|error| {
            let line =
                if error.line > 1 { format!("line {}, ", error.line) } else { String::new() };
            let message =
                format!("{} ({line}column {} of `{}`)", error.message, error.column, shown(source));
            Refusal { message, always_fails: error.always_fails().map(Into::into) }
        });
        known.insert(source.to_owned(), compiled.clone());
        compiled
    }

    /// # Errors
    /// It is a glob that cannot be read.
    pub fn pattern(&mut self, text: &str, always_glob: bool) -> Result<Pattern, String> {
        if !always_glob && !text.contains('*') {
            return Pattern::parse(text);
        }
        if let Some(known) = self.globs.get(text) {
            return known.clone();
        }
        let pattern = Pattern::glob(text);
        self.globs.insert(text.to_owned(), pattern.clone());
        pattern
    }
}

/// Whether the names of the policy may occur in it: if not, it means the same in every policy.
pub(super) fn uses_names(source: &str) -> bool {
    source
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .any(|word| matches!(word, "V" | "C" | "variables" | "constants"))
}

fn shown(source: &str) -> String {
    let mut shown: String = source.trim().chars().take(80).collect();
    if shown.len() < source.trim().len() {
        shown.push('…');
    }
    shown
}

/// Compiles what one policy says; everything that is not acceptable becomes a problem.
pub(super) struct Compiler<'c> {
    pub cache: &'c mut Cache,
    pub names: &'c Names,
    pub problems: &'c mut Problems,
}

impl Compiler<'_> {
    pub fn program(&mut self, source: &Text, place: &str) -> Option<Arc<Program>> {
        match self.cache.program(&source.value, self.names) {
            Ok(program) => Some(program),
            Err(why) => {
                self.problems.add(source.into(), place, why.message);
                None
            }
        }
    }

    /// An output that fails only says so: nobody is allowed anything by it.
    fn said(&mut self, source: &Text, place: &str) -> Option<Output> {
        match source.value.trim() {
            "P" | "request.principal" => return Some(Output::Principal),
            "R" | "request.resource" => return Some(Output::Resource),
            _ => {}
        }
        match self.cache.program(&source.value, self.names) {
            Err(Refusal { always_fails: Some(error), .. }) => Some(Output::Fails(error)),
            _ => self.program(source, place).map(Output::Program),
        }
    }

    pub fn condition(&mut self, written: &file::Condition, place: &str) -> Option<Condition> {
        if written.script.is_some() {
            self.problems.add(At::NOWHERE, place, "scripts are not supported");
        }
        let Some(tree) = &written.matches else {
            self.problems.add(At::NOWHERE, place, "the condition has no `match`");
            return None;
        };
        self.tree(tree, place, 0)
    }

    fn tree(&mut self, tree: &file::Match, place: &str, depth: usize) -> Option<Condition> {
        if depth > MAX_NESTING {
            self.problems.add(At::NOWHERE, place, "the condition is nested too deep");
            return None;
        }
        match (&tree.expr, &tree.all, &tree.any, &tree.none) {
            (Some(source), None, None, None) => match required_role(&source.value) {
                Some(role) => Some(Condition::HasRole(role.into())),
                None => self.program(source, place).map(Condition::Expression),
            },
            (None, Some(of), None, None) => self.each(of, place, depth).map(Condition::All),
            (None, None, Some(of), None) => self.each(of, place, depth).map(Condition::Any),
            (None, None, None, Some(of)) => self.each(of, place, depth).map(Condition::NoneOf),
            _ => {
                let message = "a `match` has exactly one of `expr`, `all`, `any`, `none`";
                self.problems.add(At::NOWHERE, place, message);
                None
            }
        }
    }

    fn each(
        &mut self,
        matches: &file::Matches,
        place: &str,
        depth: usize,
    ) -> Option<Box<[Condition]>> {
        if matches.of.is_empty() {
            self.problems.add(At::NOWHERE, place, "`of` is empty");
            return None;
        }
        let all: Vec<_> = matches.of.iter().map(|it| self.tree(it, place, depth + 1)).collect();
        all.into_iter().collect()
    }

    /// What is said when the rule holds, and when its condition does not.
    pub fn output(
        &mut self,
        written: Option<&file::Output>,
        place: &str,
    ) -> (Option<Output>, Option<Output>) {
        fn filled(text: Option<&Text>) -> Option<&Text> {
            text.filter(|it| !it.value.is_empty())
        }
        let Some(written) = written else { return (None, None) };
        let when = written.when.as_ref();
        let old = filled(written.expr.as_ref());
        let activated = filled(when.and_then(|when| when.rule_activated.as_ref()));
        let not_met = filled(when.and_then(|when| when.condition_not_met.as_ref()));
        if activated.or(old).or(not_met).is_none() {
            self.problems.add(At::NOWHERE, place, "the output has no expression");
        }
        // The old form has to be acceptable also where the new one replaces it.
        let old = old.map(|source| self.said(source, place));
        let activated = activated.map(|source| self.said(source, place)).or(old);
        let not_met = not_met.map(|source| self.said(source, place));
        (activated.flatten(), not_met.flatten())
    }

    pub fn pattern(&mut self, text: &Text, place: &str, always_glob: bool) -> Option<Pattern> {
        if text.value.is_empty() {
            self.problems.add(text.into(), place, "an empty name");
            return None;
        }
        match self.cache.pattern(&text.value, always_glob) {
            Ok(pattern) => Some(pattern),
            Err(why) => {
                self.problems.add(text.into(), place, why);
                None
            }
        }
    }

    /// One pattern each; `*` among roles stands for all of them.
    pub fn roles(&mut self, written: &[Text], place: &str) -> Vec<Pattern> {
        unique(written, place, self.problems);
        if written.iter().any(|text| text.value == "*") {
            return vec![Pattern::Any];
        }
        written.iter().filter_map(|text| self.pattern(text, place, false)).collect()
    }

    pub fn actions(&mut self, written: &[Text], place: &str, always_glob: bool) -> Vec<Pattern> {
        unique(written, place, self.problems);
        if written.is_empty() {
            self.problems.add(At::NOWHERE, place, "names no action");
        }
        written.iter().filter_map(|text| self.pattern(text, place, always_glob)).collect()
    }
}

/// The PDP takes no list that says something twice.
pub(super) fn unique(written: &[Text], place: &str, problems: &mut Problems) {
    for (index, text) in written.iter().enumerate() {
        if written.iter().take(index).any(|earlier| earlier.value == text.value) {
            problems.add(text.into(), place, format!("'{}' is listed twice", text.value));
        }
    }
}

/// `"x" in P.roles` -> `x`
fn required_role(source: &str) -> Option<&str> {
    let (role, rest) = source.trim().strip_prefix('"')?.split_once('"')?;
    let list = rest.trim_start().strip_prefix("in")?;
    let is_roles = matches!(list.trim_start(), "P.roles" | "request.principal.roles");
    let is_plain = !role.contains(['\\', '\n', '\r']) && list.starts_with(char::is_whitespace);
    (is_roles && is_plain).then_some(role)
}

/// Whether the effective derived roles can decide a condition.
pub(super) fn reads_runtime(condition: &Condition, variables: Option<&Variables>) -> bool {
    match condition {
        Condition::HasRole(_) => false,
        Condition::Expression(program) => program_reads_runtime(program, variables, 0),
        Condition::All(of) | Condition::Any(of) | Condition::NoneOf(of) => {
            of.iter().any(|it| reads_runtime(it, variables))
        }
    }
}

fn program_reads_runtime(program: &Program, variables: Option<&Variables>, depth: usize) -> bool {
    let reads = program.reads();
    reads.derived_roles
        || depth > 16
        || reads.variables.iter().any(|slot| {
            variables
                .and_then(|it| it.programs.get(*slot))
                .is_none_or(|program| program_reads_runtime(program, variables, depth + 1))
        })
}

#[cfg(test)]
mod tests {
    use super::{required_role, uses_names};

    #[test]
    fn a_plain_question_for_a_role_is_recognised() {
        assert_eq!(required_role(" \"admin\" in P.roles "), Some("admin"));
        assert_eq!(required_role("\"a b\" in request.principal.roles"), Some("a b"));
        for other in ["\"a\\n\" in P.roles", "\"a\" inP.roles", "\"a\" in P.roles && true", "x"] {
            assert_eq!(required_role(other), None, "{other}");
        }
    }

    #[test]
    fn names_of_the_policy_are_seen_wherever_they_are() {
        assert!(uses_names("V.a && true") && uses_names("size(constants)") && uses_names("(C).x"));
        assert!(!uses_names("P.attr.Visible == request.resource.attr.variable"));
    }
}
