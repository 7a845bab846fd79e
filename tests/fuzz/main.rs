//! Hostile input for the policy engine: nothing panics, takes long, or takes much memory.
//!
//! `scripts/fuzz-targets` runs the targets for minutes, with other seeds.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that is surprised should stop"
)]

mod mutate;
mod seeds;
mod work;

use std::fs;
use std::path::Path;

use serde_json::json;
use tidegate::policy::embedded::api::CheckRequest;
use tidegate::policy::embedded::cel::{
    Budget, Declarations, Environment, Inputs, Principal, Resource, Timestamp, Value,
};
use tidegate::policy::embedded::{Engine, Snapshot};

use mutate::Mutator;
use work::bounded;

#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

const HEAD: &str = "apiVersion: api.cerbos.dev/v1\n";

/// Loads a folder, runs its suites, and asks what came of it.
fn load_and_ask(folder: &Path, requests: &[CheckRequest]) {
    let Ok(snapshot) = Snapshot::read(folder) else { return };
    let Ok(engine) = Engine::of(&snapshot, tidegate::policy::embedded::Options::default()) else {
        return;
    };
    for request in requests {
        let _answers_or_refuses = engine.check(request);
    }
    let _results = engine.run_suites_of(&snapshot, work::suites());
}

fn request(action: &str, attr: &serde_json::Value) -> CheckRequest {
    let request = json!({
        "requestId": "r", "principal": { "id": "alice", "roles": ["user", "employee"], "attr": attr },
        "resources": [{ "actions": [action, "view:public", "approve"], "resource": { "kind": "leave_request", "id": "1", "attr": attr } }],
    });
    CheckRequest::parse(request.to_string().as_bytes()).expect("a request")
}

#[test]
fn no_policy_file_harms_the_loader() {
    let folder = tempfile::tempdir().expect("a folder");
    let seeds = seeds::policies();
    let requests = [request("create", &json!({ "n": 1, "geography": "GB" }))];
    bounded("loader", |random| {
        let count = 1 + random.below(2);
        let texts = Mutator::new(random, &seeds, mutate::YAML).files(count);
        let name = |index| folder.path().join(format!("p{index}.yaml"));
        for (index, text) in texts.iter().enumerate() {
            fs::write(name(index), text).expect("written");
        }
        let input = texts.concat();
        (input, Box::new(|| load_and_ask(folder.path(), &requests)))
    });
}

#[test]
fn no_suite_harms_its_runner() {
    let folder = tempfile::tempdir().expect("a folder");
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
    for entry in fs::read_dir(policies).expect("policies").flatten() {
        let name = entry.file_name();
        if entry.path().is_file() && !name.to_string_lossy().contains("_test.") {
            fs::copy(entry.path(), folder.path().join(name)).expect("copied");
        }
    }
    let engine = Engine::load(folder.path()).expect("the shipped policies");
    let seeds = seeds::suites();
    bounded("suites", |random| {
        let text = Mutator::new(random, &seeds, mutate::YAML).files(1).concat();
        fs::write(folder.path().join("x_test.yaml"), &text).expect("written");
        let run = || {
            if let Ok(snapshot) = Snapshot::read(folder.path()) {
                let _results = engine.run_suites_of(&snapshot, work::suites());
            }
        };
        (text, Box::new(run))
    });
}

#[test]
fn no_request_harms_a_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let stored = seeds::store(folder.path());
    let shipped = Engine::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies")));
    let engines = [stored, shipped.expect("the shipped policies")];
    let seeds = seeds::requests();
    bounded("check", |random| {
        let text = Mutator::new(random, &seeds, mutate::JSON).files(1).concat();
        let bytes = text.clone();
        let engines = &engines;
        let run = move || {
            let Ok(request) = CheckRequest::parse(&bytes) else { return };
            for engine in engines {
                let _answers_or_refuses = engine.check(&request);
            }
        };
        (text, Box::new(run))
    });
}

#[test]
fn no_expression_harms_the_evaluator() {
    let seeds = seeds::expressions();
    let fixture = Fixture::new();
    bounded("cel", |random| {
        let text = Mutator::new(random, &seeds, mutate::CEL).files(1).concat();
        let source = String::from_utf8_lossy(&text).into_owned();
        let fixture = &fixture;
        (text, Box::new(move || fixture.evaluate(&source)))
    });
}

/// What people write to bring an evaluator down; each is refused, fails, or is cheap.
#[test]
fn expressions_that_multiply_end_within_their_budget() {
    let fixture = Fixture::new();
    for source in seeds::bombs() {
        work::measure("bombs", source.as_bytes(), || fixture.evaluate(&source));
    }
}

/// A condition that is too much work is no ALLOW, and the next check is answered as ever.
#[test]
fn a_condition_beyond_its_budget_denies() {
    let folder = tempfile::tempdir().expect("a folder");
    let condition = "P.attr.l.all(a, P.attr.l.all(b, P.attr.l.all(c, a + b + c >= 0)))";
    let rules = format!(
        "resourcePolicy: {{ resource: leave_request, version: default, rules: [
  {{ actions: [create], effect: EFFECT_ALLOW, roles: [user], condition: {{ match: {{ expr: '{condition}' }} }} }} ] }}"
    );
    fs::write(folder.path().join("a.yaml"), format!("{HEAD}{rules}")).expect("written");
    let engine = Engine::load(folder.path()).expect("a policy");
    for (length, allowed) in [(200, false), (3, true)] {
        let list: Vec<u32> = (0..length).collect();
        let answer = engine.check(&request("create", &json!({ "l": list }))).expect("an answer");
        let answer = serde_json::to_value(answer).expect("JSON");
        let effect = if allowed { "EFFECT_ALLOW" } else { "EFFECT_DENY" };
        assert_eq!(answer["results"][0]["actions"]["create"], effect, "{length} elements");
    }
}

struct Fixture {
    request: (Principal, Resource),
    globals: Value,
    declarations: Declarations,
}

impl Fixture {
    fn new() -> Self {
        let attr = json!({
            "n": 5, "half": 0.5, "t": true, "name": "Jöhn", "nil": null, "big": i64::MAX,
            "l": (0..300).collect::<Vec<_>>(), "s": "ab".repeat(2000), "list": ["a", "b", "c"],
            "map": { "k": "v", "deep": { "x": [1, [2, [3]]] } }, "ip": "10.0.0.1",
            "when": "2021-05-01T12:00:00-05:00", "pattern": "^(a+)+$", "path": "a.b.c",
        });
        let mut declarations = Declarations::new();
        declarations.declare_constant("limit", Value::Double(10.0));
        declarations.declare_globals(["env".to_owned()]);
        Self {
            request: (
                Principal { attr: Value::from_json(&attr), ..Principal::nobody() },
                Resource::nothing(),
            ),
            globals: Value::from_json(&json!({ "env": "test" })),
            declarations,
        }
    }

    fn evaluate(&self, source: &str) {
        let Ok(program) = Environment::cerbos().compile(source, &self.declarations) else { return };
        let now = Timestamp::parse("2024-01-02T03:04:05Z").expect("a time");
        let inputs =
            Inputs { request: &self.request, globals: &self.globals, ..Inputs::empty(now) };
        let mut budget = Budget::STANDARD;
        if let Ok(value) = program.evaluate(&inputs, &mut budget) {
            let _shown = value.to_json();
        }
    }
}
