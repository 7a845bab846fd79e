//! One process: loading, reloading, bypassing, and answers that do not fit.

use std::fs;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::policy::{Attributes, Principal, Resource};

const ALLOWS: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: tool
  version: default
  rules:
    - { actions: [read], effect: EFFECT_ALLOW, roles: [user] }
";

/// The embedded engine never waits.
fn now<T>(answer: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(answer).poll(&mut context) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the engine waited"),
    }
}

fn ask<T>(actions: &[&str], ask: impl FnOnce(&Query<'_>) -> T) -> T {
    let attr = Attributes::new();
    ask(&Query {
        principal: Principal { id: "alice", roles: &["user"], attr: &attr },
        resource: Resource { kind: "tool", id: "notes", scope: "", attr: &attr },
        claims: None,
        actions,
        decision: "d-1",
        token: None,
    })
}

fn policy_with(text: &str) -> (tempfile::TempDir, Policy) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("tool.yaml"), text).unwrap();
    let policy = Policy::load(directory.path()).unwrap();
    (directory, policy)
}

#[test]
fn a_reload_takes_effect_and_a_broken_one_keeps_the_old_set() {
    let (directory, policy) = policy_with(ALLOWS);
    assert!(ask(&["read"], |query| now(policy.decide(query)).0).allowed);

    let file = directory.path().join("tool.yaml");
    fs::write(&file, ALLOWS.replace("EFFECT_ALLOW", "MAYBE")).unwrap();
    let problems = policy.reload().unwrap_err();
    assert_eq!(problems.0.len(), 1);
    assert!(ask(&["read"], |query| now(policy.decide(query)).0).allowed);

    fs::write(&file, ALLOWS.replace("EFFECT_ALLOW", "EFFECT_DENY")).unwrap();
    policy.reload().unwrap();
    assert!(!ask(&["read"], |query| now(policy.decide(query)).0).allowed);
}

#[test]
fn an_empty_directory_denies_everything_and_knows_no_kind() {
    let directory = tempfile::tempdir().unwrap();
    let policy = Policy::load(directory.path()).unwrap();
    let decision = ask(&["read"], |query| now(policy.decide(query)).0);
    assert_eq!((decision.allowed, decision.reason), (false, Reason::Denied));
    assert!(decision.unknown_kind);
    assert_eq!(&*decision.policy, "NO_MATCH");
}

#[test]
fn a_missing_directory_is_an_error_also_on_reload() {
    assert!(Policy::load(Path::new("/nowhere/at/all")).is_err());
    let (directory, policy) = policy_with(ALLOWS);
    directory.close().unwrap();
    assert!(policy.reload().is_err());
    assert!(ask(&["read"], |query| now(policy.decide(query)).0).allowed);
}

#[test]
fn the_bypass_is_refused_in_production_and_allows_in_development() {
    let (_directory, policy) = policy_with(ALLOWS);
    assert_eq!(policy.bypassed(Environment::Production).err(), Some(BypassRefused));
    let (_directory, policy) = policy_with(ALLOWS);
    let policy = policy.bypassed(Environment::Development).unwrap();
    let decisions = ask(&["write", "read"], |query| now(policy.decide_all(query)));
    assert!(decisions.iter().all(|it| it.allowed && it.reason == Reason::Bypassed));
    assert_eq!(decisions.len(), 2);
}

#[test]
fn an_answer_of_the_wrong_length_is_unreachable_for_every_action() {
    let (_directory, policy) = policy_with(ALLOWS);
    ask(&["read", "write"], |query| {
        let one = vec![now(policy.decide(query)).0];
        assert!(one[0].allowed);
        for decision in policy.complete(query, one) {
            assert_eq!((decision.allowed, decision.reason), (false, Reason::Unreachable));
        }
    });
    let none = ask(&[], |query| now(policy.decide(query)).0);
    assert_eq!((none.allowed, none.reason), (false, Reason::Unreachable));
}

#[test]
fn attributes_that_cannot_be_made_are_unreachable_not_a_crash() {
    struct Broken;
    impl crate::policy::AttributeSource for Broken {
        fn attributes(&self) -> Attributes {
            panic!("broken");
        }
    }
    let rule = "roles: [user], condition: { match: { expr: P.attr.x == 1 } }";
    let (_directory, policy) = policy_with(&ALLOWS.replace("roles: [user]", rule));
    let attr = Attributes::new();
    let query = Query {
        principal: Principal { id: "alice", roles: &["user"], attr: &Broken },
        resource: Resource { kind: "tool", id: "notes", scope: "", attr: &attr },
        claims: None,
        actions: &["read"],
        decision: "d-1",
        token: None,
    };
    assert_eq!(now(policy.decide(&query)).0.reason, Reason::Unreachable);
    assert_eq!(now(policy.decide_all(&query))[0].reason, Reason::Unreachable);
}
