use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::domain::grant::EndedWhy;
use crate::domain::ids::Partition;
use crate::domain::subject::SubjectKey;
use crate::store::StoreFault;

use super::harness::{Harness, get, limits, with};
use super::world::{START, Verdict, grant_id};

#[tokio::test]
async fn a_public_path_needs_nobody_and_reads_nothing() {
    let gateway = Harness::start().await;
    let response = gateway.call("GET /healthz HTTP/1.1\r\nHost: notes.localhost\r\n\r\n").await;
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    assert_eq!(gateway.world.reads.load(Ordering::SeqCst), 0);
    assert_eq!(gateway.world.identified.load(Ordering::SeqCst), 0);
    assert_eq!(gateway.one_seen().header("tidegate-subject"), None);
    assert_eq!(gateway.verdict(), (true, "allowed"));
}

#[tokio::test]
async fn an_authenticated_path_needs_a_person_who_is_not_suspended() {
    let gateway = Harness::start().await;
    gateway.world.change(|state| state.verdict = Verdict::Deny);
    assert_eq!(gateway.get("/me").await.status, 200);
    assert_eq!(gateway.world.reads.load(Ordering::SeqCst), 1);
    let nobody = gateway.call("GET /me HTTP/1.1\r\nHost: notes.localhost\r\n\r\n").await;
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "no-credential"));
    assert_eq!(
        nobody.header("www-authenticate"),
        Some("Bearer realm=\"tidegate\", error=\"invalid_request\"")
    );
    gateway
        .world
        .change(|state| state.suspended.push(SubjectKey::new("https://idp.test", "alice")));
    let suspended = gateway.get("/me").await;
    assert_eq!((suspended.status, suspended.code().as_str()), (403, "suspended"));
    assert_eq!(gateway.tool.seen().len(), 1);
}

#[tokio::test]
async fn a_policy_path_asks_the_policy_but_needs_no_grant() {
    let gateway = Harness::start().await;
    assert_eq!(gateway.get("/policy/a?x=1").await.status, 200);
    let asked = gateway.world.asked();
    assert_eq!(
        (asked.kind.as_str(), asked.id.as_str(), asked.action.as_str()),
        ("tool", "notes", "read")
    );
    assert_eq!(asked.roles, ["user", "operator", "auditor", "viewer", "engineer"]);
    assert_eq!(asked.resource["path"], "/policy/a");
    assert_eq!(asked.resource["host"], "notes.localhost");
    assert_eq!(asked.principal["email"], "alice@example.com");
    gateway.world.change(|state| state.verdict = Verdict::Deny);
    let denied = gateway.get("/policy/a").await;
    assert_eq!((denied.status, denied.code().as_str()), (403, "policy-denied"));
    gateway.world.change(|state| state.verdict = Verdict::Unreachable);
    let failed = gateway.get("/policy/a").await;
    assert_eq!((failed.status, failed.code().as_str()), (503, "policy-unreachable"));
    assert_eq!(failed.header("retry-after"), Some("1"));
    assert_eq!(gateway.tool.seen().len(), 1);
}

#[tokio::test]
async fn a_grant_path_is_forwarded_with_the_grants_that_matched() {
    let gateway = Harness::start().await;
    gateway.world.grant(9, "alice", "notes", "viewer");
    gateway.world.grant(3, "alice", "notes", "operator");
    gateway.world.grant(4, "alice", "ware", "operator");
    gateway.world.grant(5, "bob", "notes", "admin");
    assert_eq!(gateway.get("/a").await.status, 200);
    let seen = gateway.one_seen();
    let grants = format!("{},{}", grant_id(3), grant_id(9));
    assert_eq!(seen.header("tidegate-grants"), Some(grants.as_str()));
    assert_eq!(seen.header("tidegate-subject"), Some("alice"));
    assert_eq!(gateway.world.records()[0].roles.len(), 5);
}

#[tokio::test]
async fn a_claimed_role_never_stands_in_for_one_that_grants_give() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "viewer");
    gateway.world.change(|state| state.verdict = Verdict::Role("operator"));
    let refused = gateway.get("/a").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "policy-denied"));
    assert_eq!(gateway.world.asked().roles, ["user", "auditor", "viewer", "engineer"]);
    gateway.world.grant(2, "alice", "notes", "operator");
    assert_eq!(gateway.get("/a").await.status, 200);
}

#[tokio::test]
async fn a_missing_grant_is_refused_and_told_how_to_get_it() {
    let gateway = Harness::start().await;
    let refused = gateway.get("/a").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "no-grant"));
    let body = refused.json();
    assert_eq!(body["request_url"], "http://api.test/api/v1/requests");
    assert_eq!(body["templates"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        body["templates"][0],
        serde_json::json!({
            "name": "notes-operator",
            "title": "The notes-operator",
            "accesses": ["notes:operator"],
            "durations": ["PT30M", "PT1H"],
            "default_duration": "PT30M",
        })
    );
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(refused.header("link"), Some("<http://api.test/problems/no-grant>; rel=\"help\""));
    assert_eq!(body["decision_id"].as_str(), refused.header("tidegate-decision-id"));
    assert_eq!(gateway.verdict(), (false, "no-grant"));
}

#[tokio::test]
async fn an_ended_grant_says_how_it_ended() {
    let gateway = Harness::start().await;
    let world = &gateway.world;
    world.grant(1, "alice", "notes", "operator");
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(gateway.get("/a").await.code(), "grant-expired", "before any timer has run");
    world.end(1, "notes", EndedWhy::Expired, START.plus(Duration::from_mins(1)));
    assert_eq!(gateway.get("/a").await.code(), "grant-expired");
    world.end(2, "notes", EndedWhy::Revoked, START.plus(Duration::from_mins(2)));
    world.end(3, "ware", EndedWhy::Expired, START.plus(Duration::from_mins(9)));
    assert_eq!(gateway.get("/a").await.code(), "grant-revoked");
    world.end(4, "notes", EndedWhy::Released, START.plus(Duration::from_mins(3)));
    assert_eq!(gateway.get("/a").await.code(), "no-grant");
    world.change(|state| state.ended.truncate(2));
    world.change(|state| {
        for person in &mut state.people {
            person.expires_at = START.plus(Duration::from_hours(100));
        }
    });
    world.clock.advance(Duration::from_hours(24));
    assert_eq!(gateway.get("/a").await.code(), "grant-revoked", "within a day of its end");
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(gateway.get("/a").await.code(), "no-grant", "a day after its end");
}

#[tokio::test]
async fn a_grant_ends_at_its_very_millisecond() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "viewer");
    let mut client = gateway.client().await;
    for (millis, status) in [(59_998, 200), (59_999, 200), (60_000, 403), (60_001, 403)] {
        gateway.world.clock.set(START.plus(Duration::from_millis(millis)));
        assert_eq!(client.call(&get("/a")).await.status, status, "{millis}");
    }
}

#[tokio::test]
async fn a_grant_that_does_not_cover_the_method_is_no_grant() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    gateway.world.change(|state| state.grants[0].methods = vec!["GET"]);
    assert_eq!(gateway.get("/a").await.status, 200);
    let refused = gateway.call(&with("POST", "/a", "Content-Length: 0\r\n")).await;
    assert_eq!(refused.code(), "no-grant");
    assert!(refused.json()["detail"].as_str().expect("text").contains("covers POST"));
}

#[tokio::test]
async fn what_ends_while_the_policy_is_asked_permits_nothing() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    gateway
        .world
        .change(|state| state.verdict = Verdict::AllowAt(START.plus(Duration::from_mins(1))));
    assert_eq!(gateway.get("/a").await.code(), "grant-expired");
    // The token ends as well: at that moment nobody is there any more.
    gateway.world.clock.set(START);
    gateway
        .world
        .change(|state| state.verdict = Verdict::AllowAt(START.plus(Duration::from_hours(1))));
    assert_eq!(gateway.get("/policy/a").await.code(), "invalid-token");
    assert!(gateway.tool.seen().is_empty());
}

#[tokio::test]
async fn a_token_that_ends_while_the_store_is_read_permits_nothing() {
    let gateway = Harness::start().await;
    let end = START.plus(Duration::from_hours(1));
    gateway.world.change(|state| state.read_until = Some(end));
    assert_eq!(gateway.get("/me").await.code(), "invalid-token");
    assert!(gateway.tool.seen().is_empty());
}

#[tokio::test]
async fn a_grant_that_outlives_another_is_asked_about_again() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    gateway.world.grant(2, "alice", "notes", "viewer");
    let end = START.plus(Duration::from_secs(30));
    gateway.world.change(|state| {
        state.grants[0].expires_at = end;
        state.verdict = Verdict::AllowAt(end);
    });
    assert_eq!(gateway.get("/a").await.status, 200);
    assert_eq!(gateway.one_seen().header("tidegate-grants"), Some(&*grant_id(2).to_string()));
    assert!(!gateway.world.asked().roles.contains(&"operator".to_owned()));
}

#[tokio::test]
async fn every_fault_of_the_store_refuses() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let partition = Partition(1);
    let faults = [
        (StoreFault::Unreachable("secret words".to_owned()), "store-unreachable"),
        (StoreFault::Deadline, "store-unreachable"),
        (StoreFault::RolledBack(partition), "store-unreachable"),
        (StoreFault::Missing { partition, what: "head" }, "store-unreachable"),
        (StoreFault::InvalidRecord { key: "k".to_owned(), why: "seal" }, "store-unreachable"),
        (StoreFault::ClockSkew(Duration::from_secs(3)), "clock-skew"),
    ];
    for (fault, code) in faults {
        gateway.world.change(|state| state.fault = Some(fault.clone()));
        for path in ["/a", "/me", "/policy/a"] {
            let refused = gateway.get(path).await;
            assert_eq!((refused.status, refused.code().as_str()), (503, code), "{fault}");
            assert_eq!(refused.header("retry-after"), Some("1"));
            assert!(!refused.text().contains("secret"));
        }
    }
    assert!(gateway.tool.seen().is_empty());
}

#[tokio::test]
async fn the_default_effect_counts_only_for_a_kind_that_no_policy_knows() {
    let gateway = Harness::start().await;
    for (verdict, status) in
        [(Verdict::UnknownKind, 200), (Verdict::Deny, 403), (Verdict::Unreachable, 503)]
    {
        gateway.world.change(|state| state.verdict = verdict);
        assert_eq!(gateway.get("/default/a").await.status, status);
    }
    gateway.world.change(|state| state.verdict = Verdict::UnknownKind);
    assert_eq!(gateway.get("/policy/a").await.status, 403, "the rule does not say so");
}

#[tokio::test]
async fn a_bypass_is_marked_and_still_needs_the_grant() {
    let gateway = Harness::start().await;
    gateway.world.change(|state| state.verdict = Verdict::Bypass);
    assert_eq!(gateway.get("/a").await.code(), "no-grant");
    gateway.world.grant(1, "alice", "notes", "viewer");
    assert_eq!(gateway.get("/a").await.status, 200);
    assert_eq!(gateway.world.records()[1].reason, "bypassed");
}

#[tokio::test]
async fn a_full_decision_log_refuses_before_anything_is_sent() {
    let gateway = Harness::start().await;
    gateway.world.log_full.store(true, Ordering::SeqCst);
    let refused = gateway.get("/healthz").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert!(gateway.tool.seen().is_empty());
}

#[tokio::test]
async fn too_many_requests_at_once_are_refused_before_identity() {
    let limits = crate::config::Limits { concurrent_requests: 1, ..limits() };
    let gateway = Harness::with(limits, |_| ()).await;
    gateway.tool.answers(|seen| match seen.target() {
        "/healthz?slow" => super::tool::Answer::Silence,
        _ => super::tool::Answer::ok(),
    });
    let mut slow = gateway.client().await;
    slow.send(get("/healthz?slow").as_bytes()).await;
    while gateway.tool.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    let refused = gateway.get("/me").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert_eq!(gateway.world.identified.load(Ordering::SeqCst), 0);
    assert_eq!(slow.next().await.expect("a response").status, 504);
    assert_eq!(gateway.get("/me").await.status, 200, "the place is free again");
}

#[tokio::test]
async fn only_the_grants_that_let_a_request_through_are_counted() {
    let gateway = Harness::start().await;
    let uses =
        || -> Vec<u64> { gateway.shared.uses.take().iter().map(|(_, used)| used.count).collect() };
    gateway.world.grant(1, "alice", "notes", "viewer");
    gateway.world.grant(2, "alice", "ware", "operator");
    for _ in 0..3 {
        assert_eq!(gateway.get("/a").await.status, 200);
    }
    assert_eq!(uses(), [3]);
    gateway.world.change(|state| state.verdict = Verdict::Deny);
    assert_eq!(gateway.get("/a").await.status, 403);
    assert_eq!(gateway.get("/me").await.status, 200);
    assert!(uses().is_empty(), "refused, and let through without a grant");
}
