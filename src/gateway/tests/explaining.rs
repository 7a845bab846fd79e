use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::subject::{Subject, SubjectKey};
use crate::explain::{Explain, Explanation, Known, TokenOutcome, WhoseRefusals};
use crate::gateway::Explainer;
use crate::policy::Policy;
use crate::store::StoreFault;

use super::harness::Harness;
use super::wire::Response;
use super::world::Verdict;

/// What is known of the decision that `response` names, and whose it is.
fn explained(gateway: &Harness, response: &Response) -> (Explanation, Option<String>) {
    let empty = tempfile::tempdir().expect("a folder");
    let explainer = Explainer {
        recent: gateway.shared.recent.clone(),
        policy: Arc::new(Policy::load(empty.path()).expect("nothing to load")),
        roles: gateway.shared.roles.clone(),
    };
    let id = response.header("tidegate-decision-id").expect("an id");
    match explainer.explain(id) {
        Known::Here(tell, about) => {
            let explanation = tell();
            assert_eq!(explanation.id, id);
            (explanation, about.map(|subject| subject.name.to_string()))
        }
        Known::Elsewhere { instance } => panic!("{id} is one of {instance}"),
        Known::Unknown => panic!("{id} is not known"),
    }
}

#[tokio::test]
async fn a_store_that_is_down_and_a_subject_that_is_suspended_are_told() {
    let gateway = Harness::start().await;
    gateway.world.change(|state| state.fault = Some(StoreFault::Deadline));
    let (down, about) = explained(&gateway, &gateway.get("/a").await);
    assert_eq!((down.allowed, down.reason.as_str()), (false, "store-unreachable"));
    assert_eq!((down.grants, down.policy, about.as_deref()), (None, None, Some("alice")));
    assert_eq!(down.token.outcome, TokenOutcome::Verified);

    gateway.world.change(|state| {
        state.fault = None;
        state.suspended.push(SubjectKey::new("https://idp.test", "alice"));
    });
    let (suspended, _) = explained(&gateway, &gateway.get("/a").await);
    assert_eq!(suspended.reason, "suspended");
    assert!(suspended.roles.is_empty() && suspended.policy.is_none());
}

#[tokio::test]
async fn a_role_that_only_a_grant_may_give_is_told_as_dropped_and_every_other_with_its_source() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "viewer");
    gateway.world.change(|state| state.verdict = Verdict::Role("operator"));
    let (refused, _) = explained(&gateway, &gateway.get("/a").await);
    assert_eq!(refused.reason, "policy-denied");
    let roles: Vec<_> =
        refused.roles.iter().map(|it| (it.role.as_str(), it.from.join(", "), it.counts)).collect();
    assert_eq!(
        roles,
        [
            ("user", "everyone signed in".to_owned(), true),
            ("auditor", "roles claim".to_owned(), true),
            ("viewer", "group engineering".to_owned(), true),
            ("engineer", "group engineering".to_owned(), true),
            ("operator", "roles claim".to_owned(), false),
        ]
    );
}

#[tokio::test]
async fn a_permit_that_found_no_room_in_the_decision_log_is_told_as_refused() {
    let gateway = Harness::start().await;
    gateway.world.log_full.store(true, std::sync::atomic::Ordering::SeqCst);
    let response = gateway.get("/policy/a").await;
    assert_eq!(response.status, 503);
    let (explanation, _) = explained(&gateway, &response);
    assert_eq!((explanation.allowed, explanation.reason.as_str()), (false, "overloaded"));
}

#[tokio::test]
async fn no_query_string_and_no_credential_is_told() {
    let gateway = Harness::start().await;
    let request = "GET /policy/a?token=hush-hush HTTP/1.1\r\nHost: notes.localhost\r\n\
        Authorization: Bearer alice\r\nCookie: session=hush-hush\r\n\r\n";
    let (explanation, _) = explained(&gateway, &gateway.call(request).await);
    assert!(explanation.allowed);
    let told = serde_json::to_string(&explanation).expect("JSON");
    assert!(told.contains("/policy/a") && !told.contains("hush-hush") && !told.contains("Bearer"));
}

#[tokio::test]
async fn what_somebody_was_refused_is_told_newest_first_and_nothing_of_others() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "viewer");
    assert_eq!(gateway.get("/a/allowed").await.status, 200);
    gateway.world.change(|state| state.verdict = Verdict::Deny);
    assert_eq!(gateway.get("/a/one?secret=1").await.status, 403);
    gateway.world.clock.advance(Duration::from_secs(5));
    assert_eq!(gateway.get("/a/two").await.status, 403);
    let empty = tempfile::tempdir().expect("a folder");
    let explainer = Explainer {
        recent: gateway.shared.recent.clone(),
        policy: Arc::new(Policy::load(empty.path()).expect("nothing to load")),
        roles: gateway.shared.roles.clone(),
    };
    let alice = Subject::new("https://idp.test", "alice");
    let now = gateway.world.clock.now();
    let told = |subject: &Subject, tool: &str, ago: u64, limit: usize| -> Vec<String> {
        let since = now.minus(Duration::from_secs(ago));
        let whose = WhoseRefusals { subject, tools: &[tool.into()], since, limit };
        let all = explainer.refusals(&whose);
        all.iter().map(|it| format!("{} {} {}", it.method, it.path, it.reason)).collect()
    };
    let both = ["GET /a/two policy-denied", "GET /a/one policy-denied"];
    assert_eq!(told(&alice, "notes", 5, 100), both);
    assert_eq!(told(&alice, "notes", 5, 1), both[..1]);
    assert_eq!(told(&alice, "notes", 4, 100), both[..1]);
    assert!(told(&alice, "ware", 5, 100).is_empty());
    assert!(told(&Subject::new("https://other.test", "alice"), "notes", 5, 100).is_empty());
}
