//! The engine cases of the Cerbos project (`tests/conformance/cerbos`), all of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

use super::api::{AuxData, CheckRequest, Principal, Resource, ResourceEntry, ResultEntry};
use super::{Attributes, Effect, Enforcement, Engine, Options};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    description: String,
    inputs: Vec<CaseInput>,
    #[serde(default, alias = "want_outputs")]
    want_outputs: Vec<Wanted>,
    #[serde(default, alias = "want_error")]
    want_error: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CaseInput {
    actions: Vec<String>,
    principal: Principal,
    resource: Resource,
    #[serde(default, alias = "aux_data")]
    aux_data: AuxData,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    actions: BTreeMap<String, WantedEffect>,
    #[serde(alias = "effective_derived_roles")]
    effective_derived_roles: Vec<String>,
    outputs: Vec<super::OutputEntry>,
    #[serde(alias = "validation_errors")]
    validation_errors: Vec<Json>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct WantedEffect {
    effect: String,
    policy: String,
    scope: String,
}

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cerbos")
}

fn engine() -> Engine {
    let globals: Attributes = serde_json::from_str(r#"{"environment": "test"}"#).unwrap();
    let options = Options::default().with_globals(&globals);
    Engine::load_with(&data().join("store"), options).unwrap_or_else(|it| panic!("{it}"))
}

fn cases(folder: &str) -> Vec<(PathBuf, Case)> {
    let mut paths: Vec<_> =
        fs::read_dir(data().join(folder)).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let case = serde_saphyr::from_str(&text).unwrap_or_else(|it| panic!("{path:?}: {it}"));
        (path, case)
    };
    paths.into_iter().map(read).collect()
}

/// Answers of the PDP with strict evaluation, where they differ from those of the project:
/// by `file#number of the input`.
fn strict_answers() -> BTreeMap<String, Wanted> {
    let text = fs::read_to_string(data().join("strict/answers.json")).unwrap_or("{}".to_owned());
    serde_json::from_str(&text).unwrap()
}

fn compare(got: &ResultEntry, want: &Wanted) -> Vec<String> {
    let mut differences = Vec::new();
    let meta = got.meta.as_ref().unwrap();
    for (action, wanted) in &want.actions {
        let effect = match got.actions.get(action) {
            Some(Effect::Allow) => "EFFECT_ALLOW",
            Some(Effect::Deny) => "EFFECT_DENY",
            None => "none",
        };
        let told = &meta.actions[action];
        let it = WantedEffect {
            effect: effect.to_owned(),
            policy: told.matched_policy.clone(),
            scope: told.matched_scope.clone(),
        };
        if it != *wanted {
            differences.push(format!("{action}: {it:?}, wanted {wanted:?}"));
        }
    }
    if got.actions.len() != want.actions.len() {
        differences.push(format!("{} actions", got.actions.len()));
    }
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    let (roles, wanted) = (&meta.effective_derived_roles, &want.effective_derived_roles);
    if sorted(roles) != sorted(wanted) {
        differences.push(format!("derived roles {roles:?}, wanted {wanted:?}"));
    }
    let entries = |list: &[super::OutputEntry]| {
        let text = |it: &super::OutputEntry| serde_json::to_string(&normal(it)).unwrap();
        let mut list: Vec<_> = list.iter().map(text).collect();
        list.sort();
        list
    };
    let (outputs, wanted) = (entries(&got.outputs), entries(&want.outputs));
    if outputs != wanted {
        differences.push(format!("outputs {outputs:?}, wanted {wanted:?}"));
    }
    let place = |it: &Json| (it["path"].as_str().unwrap().to_owned(), it["source"].clone());
    let errors: Vec<Json> =
        got.validation_errors.iter().map(|it| serde_json::to_value(it).unwrap()).collect();
    let mut errors: Vec<_> = errors.iter().map(place).collect();
    let mut wanted: Vec<_> = want.validation_errors.iter().map(place).collect();
    errors.sort_by_key(|it| format!("{it:?}"));
    wanted.sort_by_key(|it| format!("{it:?}"));
    if errors != wanted {
        differences.push(format!("validation errors {errors:?}, wanted {wanted:?}"));
    }
    differences
}

/// Numbers are doubles, and the time of an output is the time of the run.
fn normal(entry: &super::OutputEntry) -> super::OutputEntry {
    fn doubles(value: &Json) -> Json {
        match value {
            Json::Number(number) => Json::from(number.as_f64().unwrap()),
            Json::Array(items) => items.iter().map(doubles).collect(),
            Json::Object(members) => {
                members.iter().map(|(key, value)| (key.clone(), doubles(value))).collect()
            }
            other => other.clone(),
        }
    }
    super::OutputEntry { val: entry.val.as_ref().map(doubles), ..entry.clone() }
}

fn run(engine: &Engine, folder: &str) -> (usize, Vec<String>) {
    let strict = strict_answers();
    let (mut compared, mut failures) = (0, Vec::new());
    for (path, case) in cases(folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for (index, input) in case.inputs.iter().enumerate() {
            let request = CheckRequest {
                request_id: "test".to_owned(),
                include_meta: true,
                principal: input.principal.clone(),
                resources: vec![ResourceEntry {
                    actions: input.actions.clone(),
                    resource: input.resource.clone(),
                }],
                aux_data: input.aux_data.clone(),
                request_context: None,
            };
            let response = engine.check_unvalidated(&request);
            assert!(!case.want_error, "{name}: {}", case.description);
            let key = format!("{folder}/{name}#{index}");
            let want = strict.get(&key).unwrap_or(&case.want_outputs[index]);
            let differences = compare(&response.results[0], want);
            compared += 1;
            if !differences.is_empty() {
                failures.push(format!("{key} {}: {differences:#?}", case.description));
            }
        }
    }
    (compared, failures)
}

fn all_pass(engine: &Engine, folder: &str, inputs: usize) {
    let (compared, failures) = run(engine, folder);
    assert!(failures.is_empty(), "{} of {compared}:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(compared, inputs);
}

fn asked(lenient_scope_search: bool, schema_enforcement: Enforcement) -> Engine {
    let engine = engine();
    let options = engine.options().clone();
    engine.with_options(Options { lenient_scope_search, schema_enforcement, ..options })
}

#[test]
fn conformance_of_all_engine_cases() {
    all_pass(&asked(true, Enforcement::None), "engine", 76);
}

#[test]
fn conformance_of_the_strict_scope_search() {
    all_pass(&asked(false, Enforcement::None), "engine_strict_scope_search", 3);
}

#[test]
fn conformance_of_enforced_schemas() {
    all_pass(&asked(true, Enforcement::Reject), "engine_schema_enforcement/reject", 3);
    all_pass(&asked(true, Enforcement::Warn), "engine_schema_enforcement/warn", 3);
}

#[test]
fn conformance_data_is_complete() {
    let count = |folder: &str| fs::read_dir(data().join(Path::new(folder))).unwrap().count();
    assert_eq!((count("engine"), count("engine_strict_scope_search")), (39, 2));
}

/// With strict evaluation the PDP fails two of the three: a derived role reads an attribute that
/// is not there.
#[test]
fn conformance_of_the_suites_beside_the_policies() {
    let results = engine().run_suites(&data().join("store")).unwrap();
    let verdicts: Vec<_> = results.suites.iter().flat_map(|suite| &suite.cases).collect();
    let denied = super::TestVerdict::Failed {
        expected: Effect::Allow,
        actual: Effect::Deny,
        outputs: Vec::new(),
    };
    let wanted = [denied.clone(), denied, super::TestVerdict::Passed];
    assert!(verdicts.iter().map(|it| &it.verdict).eq(&wanted), "{results:#?}");
}
