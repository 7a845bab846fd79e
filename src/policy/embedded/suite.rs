//! The policies' own tests, `*_test.yaml`, with the verdicts of `cerbos compile
//! --strict-evaluation`: what a test does not expect to be allowed must be denied.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::api::{AuxData, CheckRequest, Principal, Resource, ResourceEntry, ResultEntry};
use super::cel::Timestamp;
use super::fixtures::{self, Fixtures};
use super::listing::{self, Kind};
use super::matrix;
use super::snapshot::Snapshot;
use super::{Attributes, Effect, Engine, Options, PolicyProblems, load};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Suite {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default, rename = "$schema")]
    _schema: Option<String>,
    #[serde(default)]
    skip: bool,
    #[serde(default, alias = "skip_reason")]
    skip_reason: String,
    #[serde(default)]
    principals: BTreeMap<String, Principal>,
    #[serde(default)]
    resources: BTreeMap<String, Resource>,
    #[serde(default, alias = "aux_data")]
    aux_data: BTreeMap<String, AuxData>,
    #[serde(default, alias = "principal_groups")]
    principal_groups: BTreeMap<String, fixtures::PrincipalGroup>,
    #[serde(default, alias = "resource_groups")]
    resource_groups: BTreeMap<String, fixtures::ResourceGroup>,
    #[serde(default)]
    options: Option<TestOptions>,
    tests: Vec<matrix::Table>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct TestOptions {
    now: Option<String>,
    #[serde(alias = "lenient_scope_search")]
    lenient_scope_search: bool,
    globals: Attributes,
    #[serde(alias = "default_policy_version")]
    default_policy_version: String,
    #[serde(alias = "default_scope")]
    default_scope: String,
    /// Evaluation is strict in any case.
    #[serde(alias = "strict_evaluation")]
    _strict_evaluation: bool,
}

/// How much the suites of a directory may do.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Actions of all tests, principals and resources.
    pub cases: usize,
    pub until: Option<Instant>,
}

impl Default for Bound {
    fn default() -> Self {
        Self { cases: matrix::MAX_CASES, until: None }
    }
}

impl Bound {
    fn take(&mut self, cases: usize) -> Result<(), String> {
        let told = || format!("the suites have more than {} cases", matrix::MAX_CASES);
        self.cases = self.cases.checked_sub(cases).ok_or_else(told)?;
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return Err("the suites take too long".to_owned());
        }
        Ok(())
    }
}

/// The results of all suites of a directory.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SuiteResults {
    pub suites: Vec<SuiteResult>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SuiteResult {
    pub file: PathBuf,
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The suite as a whole cannot be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why the suite as a whole is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    pub cases: Vec<CaseResult>,
}

/// One action of one principal on one resource.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseResult {
    pub test: String,
    pub principal: String,
    pub resource: String,
    pub action: String,
    pub verdict: TestVerdict,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "result")]
pub enum TestVerdict {
    Passed,
    Skipped { reason: String },
    Failed { expected: Effect, actual: Effect, outputs: Vec<String> },
    Errored { error: String },
}

impl SuiteResults {
    /// Nothing failed or could not be run.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.suites.iter().all(|suite| {
            suite.error.is_none()
                && suite.cases.iter().all(|case| {
                    matches!(case.verdict, TestVerdict::Passed | TestVerdict::Skipped { .. })
                })
        })
    }
}

impl Engine {
    /// Runs every test suite below a directory against these policies.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn run_suites(&self, directory: &Path) -> Result<SuiteResults, PolicyProblems> {
        let snapshot = Snapshot::read(directory)?;
        if let [problem, ..] = snapshot.problems() {
            return Err(PolicyProblems(vec![problem.clone()]));
        }
        Ok(self.run_suites_of(&snapshot, Bound::default()))
    }

    /// Runs every test suite of a snapshot. Those that the bound cuts off have errors.
    #[must_use]
    pub fn run_suites_of(&self, snapshot: &Snapshot, mut bound: Bound) -> SuiteResults {
        let suites = snapshot.of(Kind::Suite);
        let suites = suites.map(|file| self.run_suite(snapshot, file, &mut bound)).collect();
        SuiteResults { suites }
    }

    fn run_suite(&self, snapshot: &Snapshot, file: &Path, bound: &mut Bound) -> SuiteResult {
        let mut result = SuiteResult {
            file: file.to_owned(),
            name: "Unknown".to_owned(),
            description: String::new(),
            error: None,
            skipped: None,
            cases: Vec::new(),
        };
        if let Err(why) = bound.take(0) {
            result.error = Some(why);
            return result;
        }
        let suite = snapshot.text(file).and_then(load::document::<Suite>);
        let folder = file.parent().unwrap_or(Path::new(".")).join(listing::FIXTURES);
        let shared = Fixtures::load(snapshot, &folder);
        match (suite, shared) {
            (Err(why), _) | (Ok(_), Err(why)) => result.error = Some(why),
            (Ok(suite), Ok(shared)) => {
                result.name.clone_from(&suite.name);
                result.description.clone_from(&suite.description);
                if suite.skip {
                    result.skipped = Some(suite.skip_reason);
                } else if let Err(why) = self.run_tests(suite, shared, bound, &mut result.cases) {
                    result.error = Some(why);
                }
            }
        }
        result
    }

    fn run_tests(
        &self,
        suite: Suite,
        shared: Fixtures,
        bound: &mut Bound,
        results: &mut Vec<CaseResult>,
    ) -> Result<(), String> {
        let fixtures = shared.with(Fixtures {
            principals: suite.principals,
            resources: suite.resources,
            aux_data: suite.aux_data,
            principal_groups: suite.principal_groups,
            resource_groups: suite.resource_groups,
        });
        fixtures.check()?;
        if suite.name.is_empty() || suite.tests.is_empty() {
            return Err("a suite has a name and tests".to_owned());
        }
        let mut matrices = Vec::new();
        let mut names = BTreeSet::new();
        let mut cases = 0;
        for table in &suite.tests {
            if !names.insert(&table.name) {
                return Err(format!("another test named '{}' already exists", table.name));
            }
            let told = |why| format!("invalid test '{}': {why}", table.name);
            let matrix = table.matrix(&fixtures).map_err(told)?;
            cases += matrix.len() * table.input.actions.len();
            matrix::few(cases)?;
            matrices.push(matrix);
        }
        for (table, matrix) in suite.tests.iter().zip(matrices) {
            let options = table.options.as_ref().or(suite.options.as_ref());
            for element in matrix {
                bound.take(table.input.actions.len())?;
                self.run_element(table, &element, options, results)?;
            }
        }
        Ok(())
    }

    fn run_element(
        &self,
        table: &matrix::Table,
        element: &matrix::Element<'_>,
        options: Option<&TestOptions>,
        cases: &mut Vec<CaseResult>,
    ) -> Result<(), String> {
        let needs_now = Arc::new(AtomicBool::new(false));
        let engine = self.with_options(self.test_options(options, &needs_now)?);
        let mut add = |action: &str, verdict| {
            cases.push(CaseResult {
                test: table.name.clone(),
                principal: element.principal.to_owned(),
                resource: element.resource.to_owned(),
                action: action.to_owned(),
                verdict,
            });
        };
        let request = CheckRequest {
            request_id: String::new(),
            include_meta: false,
            principal: element.who.clone(),
            resources: vec![ResourceEntry {
                actions: table.input.actions.clone(),
                resource: element.what.clone(),
            }],
            aux_data: element.aux_data.cloned().unwrap_or_default(),
            request_context: None,
        };
        let entry = engine.check_unvalidated(&request).results.pop();
        for action in &table.input.actions {
            let verdict = match &entry {
                _ if table.skip => TestVerdict::Skipped { reason: table.skip_reason.clone() },
                _ if needs_now.load(Ordering::Relaxed) => TestVerdict::Errored {
                    error: "a condition asks for the time: set `options.now`".to_owned(),
                },
                Some(entry) => verdict(entry, action, element),
                None => TestVerdict::Errored { error: "no answer".to_owned() },
            };
            add(action, verdict);
        }
        Ok(())
    }

    fn test_options(
        &self,
        options: Option<&TestOptions>,
        needs_now: &Arc<AtomicBool>,
    ) -> Result<Options, String> {
        let options = options.cloned().unwrap_or_default();
        let own = self.options();
        let or = |given: String, default: &String| {
            if given.is_empty() { default.clone() } else { given }
        };
        let mut made = Options {
            default_policy_version: or(options.default_policy_version, &own.default_policy_version),
            default_scope: or(options.default_scope, &own.default_scope),
            lenient_scope_search: own.lenient_scope_search || options.lenient_scope_search,
            ..own.clone()
        };
        if !options.globals.is_empty() {
            made = made.with_globals(&options.globals);
        }
        if let Some(text) = options.now {
            let now = Timestamp::parse(&text);
            return Ok(made.at(now.ok_or_else(|| format!("'{text}' is no time"))?));
        }
        let flag = Arc::clone(needs_now);
        made.clock = Arc::new(move || {
            flag.store(true, Ordering::Relaxed);
            Timestamp::default()
        });
        Ok(made)
    }
}

fn verdict(entry: &ResultEntry, action: &str, element: &matrix::Element<'_>) -> TestVerdict {
    let actual = entry.actions.get(action).copied().unwrap_or(Effect::Deny);
    let expected = element.expected.actions.get(action).copied().unwrap_or(Effect::Deny);
    let mut failures = Vec::new();
    for (source, value) in element.expected.outputs.get(action).into_iter().flatten() {
        // Of several with one source the last counts.
        let told = entry.outputs.iter().rev().find(|it| it.action == action && it.src == *source);
        match told {
            None => failures.push(format!("{source}: missing, expected {value}")),
            Some(it) if !it.error.is_empty() => failures.push(format!("{source}: {}", it.error)),
            Some(it) => {
                let said = it.val.clone().unwrap_or(Json::Null);
                if !same(&said, value) {
                    failures.push(format!("{source}: {said}, expected {value}"));
                }
            }
        }
    }
    if actual == expected && failures.is_empty() {
        return TestVerdict::Passed;
    }
    TestVerdict::Failed { expected, actual, outputs: failures }
}

/// Every number is a double.
pub(super) fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => left.as_f64() == right.as_f64(),
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|it| same(left, it)))
        }
        _ => left == right,
    }
}
