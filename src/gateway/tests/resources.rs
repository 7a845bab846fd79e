//! What the provider of a resource says, on the way to the policy.

use serde_json::json;

use super::harness::{Harness, limits, with};
use super::world::{Document, Verdict};
use crate::config::AccessMode;
use crate::resources::NotProvided;

const SCOPED: &str = "x-team: team-a\r\n";

async fn documents(said: Document) -> Harness {
    let gateway = Harness::start().await;
    gateway.world.change(|state| state.document = Some(said));
    gateway
}

async fn view(gateway: &Harness) -> super::wire::Response {
    gateway.call(&with("GET", "/docs/doc-1", SCOPED)).await
}

#[tokio::test]
async fn a_policy_sees_what_the_provider_says_beside_what_the_request_is() {
    let said = json!({ "owner": "alice", "tool": "x", "method": "x", "path": "x", "host": "x" });
    let gateway = documents(Document::Has(said)).await;
    assert_eq!(view(&gateway).await.status, 200);
    let asked = gateway.world.asked();
    let expected = json!({
        "owner": "alice", "tool": "notes", "method": "GET", "path": "/docs/doc-1",
        "host": "notes.localhost",
    });
    assert_eq!(asked.resource, expected);
    assert_eq!(gateway.world.change(|state| state.wanted.clone()), ["notes/doc-1@team-a"]);
    let from = gateway.world.records()[0].attributes.clone();
    assert_eq!(from.as_deref(), Some("source 0 (static)"));
}

#[tokio::test]
async fn id_and_scope_of_a_query_reach_the_provider_decoded() {
    let gateway = documents(Document::Has(json!({}))).await;
    assert_eq!(gateway.get("/query?id=a%2Fb%20%C3%BC").await.status, 200);
    assert_eq!(gateway.world.change(|state| state.wanted.clone()), ["notes/a/b \u{fc}@"]);
}

#[tokio::test]
async fn whatever_the_provider_cannot_say_is_a_refusal_and_no_policy_is_asked() {
    let gateway = documents(Document::Panic).await;
    let text = || "as the test says".to_owned();
    for (why, status, code) in [
        (NotProvided::NotFound(text()), 404, "not-found"),
        (NotProvided::Denied(text()), 403, "policy-denied"),
        (NotProvided::Unreachable(text()), 503, "policy-unreachable"),
        (NotProvided::Unclear(text()), 400, "bad-request"),
    ] {
        gateway.world.change(|state| state.document = Some(Document::Not(why)));
        let answer = view(&gateway).await;
        assert_eq!((answer.status, answer.code()), (status, code.to_owned()));
    }
    assert!(gateway.world.change(|state| state.asked.is_empty()) && gateway.tool.seen().is_empty());
}

#[tokio::test]
async fn a_panic_of_the_provider_lets_nothing_through() {
    let gateway = documents(Document::Panic).await;
    assert!(gateway.raw(with("GET", "/docs/doc-1", SCOPED).as_bytes()).await.is_none());
    assert!(gateway.tool.seen().is_empty());
    gateway.world.change(|state| state.document = Some(Document::Has(json!({}))));
    assert_eq!(view(&gateway).await.status, 200);
}

#[tokio::test]
async fn a_resource_of_another_scope_is_denied_whatever_the_policy_would_say() {
    let gateway = Harness::with(limits(), |tool| {
        tool.rules.iter_mut().for_each(|rule| rule.default_effect_allow = true);
    })
    .await;
    for verdict in [Verdict::Allow, Verdict::UnknownKind, Verdict::Bypass] {
        gateway.world.change(|state| {
            state.verdict = verdict;
            state.document = Some(Document::Has(json!({ "scope": "team-b" })));
        });
        let answer = view(&gateway).await;
        assert_eq!((answer.status, answer.code()), (403, "policy-denied".to_owned()));
        assert!(answer.text().contains("the document belongs to another scope"));
    }
    assert!(gateway.world.change(|state| state.asked.is_empty()) && gateway.tool.seen().is_empty());
    assert!(gateway.world.records().iter().all(|record| record.roles.is_empty()));
    gateway.world.change(|state| {
        state.verdict = Verdict::Allow;
        state.document = Some(Document::Has(json!({ "scope": "team-a" })));
    });
    assert_eq!(view(&gateway).await.status, 200);
    // A request without a scope is no way around it.
    assert_eq!(gateway.get("/query?id=doc-1").await.status, 403);
}

#[tokio::test]
async fn nobody_learns_of_a_resource_before_identity_and_grant_are_there() {
    let gateway = Harness::with(limits(), |tool| {
        tool.rules.iter_mut().for_each(|rule| {
            if rule.access == AccessMode::Policy {
                rule.access = AccessMode::Grant;
            }
        });
    })
    .await;
    gateway.world.change(|state| {
        state.document = Some(Document::Not(NotProvided::NotFound("none".to_owned())));
    });
    let nobody = "GET /docs/doc-1 HTTP/1.1\r\nHost: notes.localhost\r\nx-team: a\r\n\r\n";
    assert_eq!(gateway.call(nobody).await.status, 401);
    assert_eq!(view(&gateway).await.code(), "no-grant");
    assert!(gateway.world.change(|state| state.wanted.is_empty()));
    gateway.world.grant(1, "alice", "notes", "operator");
    assert_eq!(view(&gateway).await.code(), "not-found");
}

#[tokio::test]
async fn other_kinds_are_not_asked_about() {
    let gateway = documents(Document::Panic).await;
    assert_eq!(gateway.get("/policy/x").await.status, 200);
}

#[tokio::test]
async fn roles_expand_through_the_hierarchy_and_grants_alone_give_what_grants_give() {
    let gateway = Harness::start().await;
    let ask = async |groups: &[&str], roles: &[&str], path: &str| {
        let person = super::world::person("alice", groups, roles);
        gateway.world.change(|state| state.people = vec![person]);
        assert_eq!(gateway.get(path).await.status, 200);
        gateway.world.asked().roles
    };
    // Where no grant is demanded, claims and groups give everything below them.
    assert_eq!(ask(&["chiefs"], &[], "/policy/x").await, ["user", "chief", "admin", "clerk"]);
    gateway.world.grant(1, "alice", "notes", "operator");
    // A template grants `admin` for this tool: above and below it, a claim stands for nothing.
    assert_eq!(ask(&["chiefs"], &["clerk"], "/x").await, ["user", "operator"]);
    assert_eq!(ask(&["vacation"], &[], "/x").await, ["user", "away", "suspended", "operator"]);
    gateway.world.grant(2, "alice", "notes", "admin");
    let granted = ask(&["chiefs"], &[], "/x").await;
    assert_eq!(granted, ["user", "operator", "admin", "clerk"]);
}
