//! Runs the `*_test.yaml` suites that lie beside the shipped policies, as `cerbos compile` does:
//! what a suite does not expect to be allowed must be denied.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Engine;
use crate::policy::{Attributes, Principal, Query, Resource};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    #[serde(rename = "name")]
    _name: String,
    #[serde(default)]
    principals: BTreeMap<String, Who>,
    resources: BTreeMap<String, What>,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    principals: BTreeMap<String, Who>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    id: String,
    roles: Vec<String>,
    #[serde(default)]
    attr: Attributes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct What {
    kind: String,
    id: String,
    #[serde(default)]
    attr: Attributes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: String,
    input: Input,
    expected: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    principals: Vec<String>,
    resources: Vec<String>,
    actions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    principal: String,
    resource: String,
    actions: BTreeMap<String, String>,
}

/// The number of decisions compared.
fn run(engine: &Engine, suite: &Suite, shared: &BTreeMap<String, Who>) -> usize {
    let mut compared = 0;
    for test in &suite.tests {
        for who in &test.input.principals {
            for what in &test.input.resources {
                let principal = suite.principals.get(who).or_else(|| shared.get(who)).unwrap();
                compared += compare(engine, test, (who, principal), (what, &suite.resources[what]));
            }
        }
    }
    compared
}

fn compare(engine: &Engine, test: &Test, who: (&str, &Who), what: (&str, &What)) -> usize {
    let roles: Vec<&str> = who.1.roles.iter().map(String::as_str).collect();
    let actions: Vec<&str> = test.input.actions.iter().map(String::as_str).collect();
    let decisions = engine.decide_all(&Query {
        principal: Principal { id: &who.1.id, roles: &roles, attr: &who.1.attr },
        resource: Resource { kind: &what.1.kind, id: &what.1.id, scope: "", attr: &what.1.attr },
        claims: None,
        actions: &actions,
    });
    for (action, decision) in actions.iter().zip(&decisions) {
        let expected = test.expected.iter().any(|it| {
            it.principal == who.0
                && it.resource == what.0
                && it.actions.get(*action).is_some_and(|effect| effect == "EFFECT_ALLOW")
        });
        assert_eq!(
            decision.allowed, expected,
            "{}: {} {action} {}",
            test.name, who.0, decision.detail
        );
    }
    decisions.len()
}

#[test]
fn the_shipped_policies_pass_their_own_suites() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("policies");
    let engine = Engine::load(&root).unwrap_or_else(|problems| panic!("{problems}"));
    let fixture = fs::read_to_string(root.join("testdata/principals.yaml")).unwrap();
    let shared: Fixture = serde_saphyr::from_str(&fixture).unwrap();
    let suites: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|it| it.unwrap().path()).collect();
    let is_suite = |path: &Path| path.to_string_lossy().ends_with("_test.yaml");
    let mut compared = 0;
    for path in suites.iter().filter(|path| is_suite(path)) {
        let suite: Suite = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        compared += run(&engine, &suite, &shared.principals);
    }
    assert!(compared >= 260, "{compared} decisions compared");
}

#[test]
fn a_suspended_person_is_denied_everything_whatever_other_roles_there_are() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("policies");
    let engine = Engine::load(&root).unwrap();
    let attr = Attributes::new();
    for kind in ["tool", "access_request", "grant", "template", "audit"] {
        let query = Query {
            principal: Principal {
                id: "dave",
                roles: &["user", "admin", "operator", "auditor", "suspended"],
                attr: &attr,
            },
            resource: Resource { kind, id: "it", scope: "", attr: &attr },
            claims: None,
            actions: &["read", "list", "create", "write"],
        };
        for decision in engine.decide_all(&query) {
            assert_eq!(&*decision.detail, "explicitly denied by role 'suspended'", "{kind}");
        }
    }
}
