//! What came out, counted, and in the JSON of `cerbos compile --test-output json`.

use serde_json::{Value, json};

use crate::cli::output;
use crate::policy::embedded::{CaseResult, SuiteResult, SuiteResults, TestVerdict};

/// From the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Skipped,
    Passed,
    Failed,
    Errored,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Skipped, Self::Passed, Self::Failed, Self::Errored];

    pub const fn of(verdict: &TestVerdict) -> Self {
        match verdict {
            TestVerdict::Passed => Self::Passed,
            TestVerdict::Skipped { .. } => Self::Skipped,
            TestVerdict::Failed { .. } => Self::Failed,
            TestVerdict::Errored { .. } => Self::Errored,
        }
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Errored => "errored",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Skipped => "RESULT_SKIPPED",
            Self::Passed => "RESULT_PASSED",
            Self::Failed => "RESULT_FAILED",
            Self::Errored => "RESULT_ERRORED",
        }
    }
}

/// Of those that are there, how many of each outcome.
pub(super) fn counts<'r>(cases: impl Iterator<Item = &'r CaseResult>) -> Vec<(Outcome, usize)> {
    let found: Vec<Outcome> = cases.map(|case| Outcome::of(&case.verdict)).collect();
    let count = |outcome| (outcome, found.iter().filter(|it| **it == outcome).count());
    Outcome::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
}

pub(super) fn all(results: &SuiteResults) -> impl Iterator<Item = &CaseResult> + Clone {
    results.suites.iter().flat_map(|suite| &suite.cases)
}

pub(super) fn json(results: &SuiteResults) -> String {
    let worst = results.suites.iter().filter_map(worst).max();
    let report = json!({
        "suites": results.suites.iter().map(suite).collect::<Vec<_>>(),
        "summary": summary(worst, all(results)),
    });
    output::json(&report)
}

/// A suite without tests has none.
fn worst(suite: &SuiteResult) -> Option<Outcome> {
    match suite {
        SuiteResult { error: Some(_), .. } => Some(Outcome::Errored),
        SuiteResult { skipped: Some(_), .. } => Some(Outcome::Skipped),
        suite => suite.cases.iter().map(|case| Outcome::of(&case.verdict)).max(),
    }
}

fn summary<'r>(
    worst: Option<Outcome>,
    cases: impl Iterator<Item = &'r CaseResult> + Clone,
) -> Value {
    let counts: Vec<Value> = counts(cases.clone())
        .into_iter()
        .map(|(outcome, count)| json!({ "result": outcome.name(), "count": count }))
        .collect();
    json!({
        "overallResult": worst.map_or("RESULT_UNSPECIFIED", Outcome::name),
        "testsCount": cases.count(),
        "resultCounts": counts,
    })
}

fn suite(suite: &SuiteResult) -> Value {
    let mut shown = json!({
        "file": suite.file,
        "name": suite.name,
        "summary": summary(worst(suite), suite.cases.iter()),
        "testCases": tests(&suite.cases),
    });
    let more = [
        ("description", Some(&suite.description).filter(|it| !it.is_empty())),
        ("error", suite.error.as_ref()),
        ("skipReason", suite.skipped.as_ref()),
    ];
    for (key, text) in more {
        if let (Some(text), Some(members)) = (text, shown.as_object_mut()) {
            members.insert(key.to_owned(), text.as_str().into());
        }
    }
    shown
}

fn tests(cases: &[CaseResult]) -> Vec<Value> {
    let by_test = cases.chunk_by(|one, other| one.test == other.test);
    by_test
        .map(|cases| {
            let by_principal = cases.chunk_by(|one, other| one.principal == other.principal);
            let principals: Vec<_> = by_principal.map(principal).collect();
            named(cases, |case| &case.test, "principals", &principals)
        })
        .collect()
}

fn principal(cases: &[CaseResult]) -> Value {
    let by_resource = cases.chunk_by(|one, other| one.resource == other.resource);
    let resources: Vec<_> = by_resource
        .map(|cases| {
            let actions: Vec<_> = cases.iter().map(action).collect();
            named(cases, |case| &case.resource, "actions", &actions)
        })
        .collect();
    named(cases, |case| &case.principal, "resources", &resources)
}

fn named(
    cases: &[CaseResult],
    name: fn(&CaseResult) -> &String,
    key: &str,
    parts: &[Value],
) -> Value {
    json!({ "name": cases.first().map(name), key: parts })
}

fn action(case: &CaseResult) -> Value {
    let result = Outcome::of(&case.verdict).name();
    let details = match &case.verdict {
        TestVerdict::Passed => json!({ "result": result }),
        TestVerdict::Skipped { reason } => json!({ "result": result, "skipReason": reason }),
        TestVerdict::Failed { expected, actual, outputs } => json!({
            "result": result,
            "failure": { "expected": expected, "actual": actual, "outputs": outputs },
        }),
        TestVerdict::Errored { error } => json!({ "result": result, "error": error }),
    };
    json!({ "name": case.action, "details": details })
}
