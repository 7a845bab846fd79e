//! The results for people: what did not pass, and how often the rest did.

use std::fmt::Write;

use super::report::{self, Outcome};
use crate::cli::output::visible;
use crate::policy::embedded::{CaseResult, SuiteResult, SuiteResults, TestVerdict};

/// Lines of text; names in them cannot steer a terminal.
pub(super) fn shown(results: &SuiteResults, verbose: bool) -> String {
    let mut lines = Vec::new();
    for suite in &results.suites {
        whole(suite, verbose, &mut lines);
    }
    let count = report::all(results).count();
    lines.push(format!("{count} {}{}", word(count, "test"), told(report::all(results))));
    let broken = results.suites.iter().filter(|suite| suite.error.is_some()).count();
    if broken > 0 {
        lines.push(format!("{broken} {} could not be run", word(broken, "suite")));
    }
    lines.iter().map(|line| visible(line)).collect::<Vec<_>>().join("\n")
}

fn word(count: usize, of: &str) -> String {
    if count == 1 { of.to_owned() } else { format!("{of}s") }
}

fn told<'r>(cases: impl Iterator<Item = &'r CaseResult>) -> String {
    let mut told = String::new();
    for (outcome, count) in report::counts(cases) {
        let before = if told.is_empty() { ":" } else { "," };
        // Writing to a text does not fail.
        let _ = write!(told, "{before} {count} {}", outcome.word());
    }
    told
}

fn whole(suite: &SuiteResult, verbose: bool, lines: &mut Vec<String>) {
    let head = format!("{} ({})", suite.name, suite.file.display());
    if let Some(why) = &suite.error {
        lines.push(format!("{head}: cannot be run"));
        lines.extend(why.lines().map(|line| format!("  {line}")));
        return;
    }
    if let Some(reason) = &suite.skipped {
        lines.push(format!("{head}: skipped{}", because(reason)));
        return;
    }
    lines.push(format!("{head}{}", told(suite.cases.iter())));
    let is_shown = |case: &&CaseResult| verbose || Outcome::of(&case.verdict) > Outcome::Passed;
    let shown: Vec<&CaseResult> = suite.cases.iter().filter(is_shown).collect();
    for cases in shown.chunk_by(|one, other| one.test == other.test) {
        lines.extend(cases.first().map(|case| format!("  {}", case.test)));
        for case in cases {
            one(case, lines);
        }
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

fn one(case: &CaseResult, lines: &mut Vec<String>) {
    let CaseResult { principal, resource, action, verdict, .. } = case;
    let said = Outcome::of(verdict).word();
    let line = format!("    {principal} {action} {resource}: {said}");
    match verdict {
        TestVerdict::Passed => lines.push(line),
        TestVerdict::Skipped { reason } => lines.push(line + &because(reason)),
        TestVerdict::Errored { error } => lines.push(format!("{line}: {error}")),
        TestVerdict::Failed { expected, actual, outputs } => {
            lines.push(line);
            if expected != actual {
                let (expected, actual) = (expected.name(), actual.name());
                lines.push(format!("      expected {expected}, was {actual}"));
            }
            lines.extend(outputs.iter().map(|output| format!("      output {output}")));
        }
    }
}
