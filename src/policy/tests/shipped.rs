//! The shipped policies.

use std::path::PathBuf;

use crate::policy::embedded::Engine;
use crate::policy::{Attributes, Principal, Query, Resource};

#[test]
fn the_shipped_policies_pass_their_own_suites() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("policies");
    let engine = Engine::load(&root).unwrap_or_else(|problems| panic!("{problems}"));
    let results = engine.run_suites(&root).unwrap();
    assert!(results.passed(), "{results:#?}");
    let compared: usize = results.suites.iter().map(|suite| suite.cases.len()).sum();
    assert!(compared >= 260, "{compared} decisions compared");
}

#[test]
fn a_suspended_person_is_denied_everything_whatever_other_roles_there_are() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("policies");
    let engine = Engine::load(&root).unwrap();
    let attr = Attributes::new();
    let every: &[&str] = &["read", "list", "create", "write"];
    // Everything at `audit` but the reading of why has no rule that allows it to anybody.
    let kinds = ["tool", "access_request", "grant", "template"].map(|kind| (kind, every));
    for (kind, actions) in kinds.into_iter().chain([("audit", &["read"][..])]) {
        let query = Query {
            principal: Principal {
                id: "dave",
                roles: &["user", "admin", "operator", "auditor", "suspended"],
                attr: &attr,
            },
            resource: Resource { kind, id: "it", scope: "", attr: &attr },
            claims: None,
            actions,
            decision: "d-1",
            token: None,
        };
        for decision in engine.decide_all(&query) {
            assert_eq!(&*decision.detail, "explicitly denied by role 'suspended'", "{kind}");
        }
    }
}
