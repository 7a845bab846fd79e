//! The example policies of a company, `examples/company`.

use std::path::PathBuf;

use crate::policy::embedded::{Engine, SuiteResults};
use crate::policy::{Attributes, Principal, Query, Resource};

fn folder(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn load() -> Engine {
    let root = folder("examples/company/policies");
    Engine::load(&root).unwrap_or_else(|problems| panic!("{problems}"))
}

fn compared(results: &SuiteResults) -> usize {
    results.suites.iter().map(|suite| suite.cases.len()).sum()
}

#[test]
fn the_examples_pass_their_own_suites() {
    let results = load().run_suites(&folder("examples/company/policies")).unwrap();
    assert!(results.passed(), "{results:#?}");
    assert!(compared(&results) >= 4400, "{} decisions compared", compared(&results));
}

#[test]
fn the_examples_answer_as_the_shipped_policies_where_they_take_their_place() {
    let results = load().run_suites(&folder("policies")).unwrap();
    assert!(results.passed(), "{results:#?}");
    assert!(compared(&results) >= 260, "{} decisions compared", compared(&results));
}

#[test]
fn a_suspended_person_is_denied_in_every_kind_and_scope_of_the_examples() {
    let engine = load();
    let attr = Attributes::new();
    let unscoped =
        ["tool", "access_request", "grant", "template", "audit", "document", "workspace"];
    let unscoped = unscoped.into_iter().chain(["payment", "dataset"]).map(|kind| (kind, ""));
    let scoped = [
        ("tool", "console"),
        ("tool", "console.production"),
        ("document", "finance"),
        ("document", "finance.payroll"),
        ("document", "legal"),
    ];
    for (kind, scope) in unscoped.chain(scoped) {
        let roles = ["user", "employee", "contractor", "admin", "operator", "auditor", "suspended"];
        let query = Query {
            principal: Principal { id: "dave", roles: &roles, attr: &attr },
            resource: Resource { kind, id: "it", scope, attr: &attr },
            claims: None,
            actions: &["read", "list", "create", "write", "describe", "release"],
            decision: "",
            token: None,
        };
        for decision in engine.decide_all(&query) {
            assert!(!decision.allowed, "{kind} {scope}");
            // Nobody may do more at `audit` than read and explain, so nothing else is told there.
            let told = decision.policy.starts_with("resource.");
            assert!(told || kind == "audit", "{kind} {scope}");
        }
    }
}
