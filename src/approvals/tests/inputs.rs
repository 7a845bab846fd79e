use axum::body::Body;
use http::Request;
use serde_json::json;

use super::harness::World;

fn submission() -> serde_json::Value {
    json!({ "template": "notes", "duration": "PT1H", "justification": "INC-1" })
}

#[tokio::test]
async fn every_bad_value_of_a_request_is_named_by_its_pointer() {
    let world = World::new();
    for (change, pointer) in [
        (json!({ "status": "approved" }), "/status"),
        (json!({ "approver": "alice" }), "/approver"),
        (json!({ "requester": "bob" }), "/requester"),
        (json!({ "template": "hidden" }), "/template"),
        (json!({ "template": "scoped" }), "/template"),
        (json!({ "template": "none" }), "/template"),
        (json!({ "template": 7 }), "/template"),
        (json!({ "duration": 3600 }), "/duration"),
        (json!({ "duration": "PT0S" }), "/duration"),
        (json!({ "duration": "-PT1H" }), "/duration"),
        (json!({ "duration": "PT0.5S" }), "/duration"),
        (json!({ "duration": "P9999999D" }), "/duration"),
        (json!({ "duration": "PT18446744073709551616S" }), "/duration"),
        (json!({ "duration": "PT2H" }), "/duration"),
        (json!({ "duration": "1h" }), "/duration"),
        (json!({ "justification": "" }), "/justification"),
        (json!({ "justification": "x".repeat(5000) }), "/justification"),
        (json!({ "fields": { "ticket": "longer than ten" } }), "/fields/ticket"),
        (json!({ "fields": { "ticket": [] } }), "/fields/ticket"),
        (json!({ "fields": { "a/b": "x" } }), "/fields/a~1b"),
    ] {
        let mut body = submission();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = world.post("alice", "/requests", body).await;
        assert_eq!(reply.problem(), (422, "invalid-input".into()), "{change}");
        assert_eq!(reply.pointers(), [pointer], "{change}");
    }
    let missing = world.post("alice", "/requests", json!({ "duration": "PT1H" })).await;
    assert_eq!(missing.pointers(), ["/template"]);
    assert_eq!(world.get("alice", "/requests").await.body["items"], json!([]));
}

#[tokio::test]
async fn a_megabyte_of_justification_is_too_large() {
    let world = World::new();
    let mut body = submission();
    body["justification"] = json!("x".repeat(1 << 20));
    let reply = world.post("alice", "/requests", body).await;
    assert_eq!(reply.problem(), (413, "too-large".into()));
}

#[tokio::test]
async fn only_json_that_is_whole_is_read() {
    let world = World::new();
    let typed = ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"];
    let text = submission().to_string();
    let cut = text[..20].to_owned();
    let two = format!("{text}{text}");
    let mut cases: Vec<(&str, String)> = typed.map(|kind| (kind, text.clone())).to_vec();
    cases.extend([("application/json", cut), ("application/json", two)]);
    cases.push(("application/json", "\u{feff}{}".to_owned()));
    for (kind, body) in cases {
        let request = Request::post("/api/v1/requests").header("authorization", "Bearer alice");
        let request = request.header("content-type", kind).body(Body::from(body.clone())).unwrap();
        let reply = world.send(request).await;
        assert_eq!(reply.problem(), (400, "bad-request".into()), "{kind} {body}");
    }
}

#[tokio::test]
async fn a_body_that_two_readers_could_understand_differently_is_refused() {
    let world = World::new();
    for (body, pointer) in [
        (r#"["notes", "PT1H", "INC-1", {}, null]"#, ""),
        (r#"{"template":"notes","template":"hidden","justification":"INC-1"}"#, "/template"),
        (
            r#"{"template":"notes","justification":"INC-1","fields":{"ticket":"a","ticket":"b"}}"#,
            "/fields/ticket",
        ),
    ] {
        let request = Request::post("/api/v1/requests").header("authorization", "Bearer alice");
        let request = request.header("content-type", "application/json");
        let reply = world.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(reply.problem(), (422, "invalid-input".into()), "{body}");
        assert_eq!(reply.pointers(), [pointer], "{body}");
    }
    assert_eq!(world.get("alice", "/requests").await.body["items"], json!([]));
}

#[tokio::test]
async fn one_request_may_be_pending_and_groups_are_asked() {
    let world = World::new();
    let first = world.ask("alice", "notes").await.id();
    let second = world.ask("alice", "notes").await;
    assert_eq!(second.problem(), (409, "duplicate-request".into()));
    assert!(second.body["detail"].as_str().unwrap().contains(&first));
    assert_eq!(world.ask("carol", "notes").await.problem(), (403, "not-eligible".into()));
    assert_eq!(world.ask("alice", "closed").await.problem(), (403, "not-eligible".into()));
}

#[tokio::test]
async fn the_same_idempotency_key_gives_the_same_answer_once() {
    let world = World::new();
    let key = [("idempotency-key", "k-1")];
    let line = "POST /requests";
    let first = world.call("alice", line, Some(submission()), &key).await;
    let again = world.call("alice", line, Some(submission()), &key).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.headers["location"], first.headers["location"]);
    let mut other = submission();
    other["justification"] = json!("INC-2");
    let mismatch = world.call("alice", line, Some(other), &key).await;
    assert_eq!(mismatch.problem(), (409, "idempotency-mismatch".into()));
    let dave = world.call("dave", line, Some(submission()), &key).await;
    assert_ne!(dave.id(), first.id(), "a key belongs to its principal");

    let approve = format!("POST /requests/{}/approve", first.id());
    let one = world.call("bob", &approve, None, &key).await;
    let two = world.call("bob", &approve, None, &key).await;
    assert_eq!((one.status.as_u16(), &one.text), (200, &two.text));
    let other = format!("POST /requests/{}/approve", dave.id());
    let other = world.call("bob", &other, None, &key).await;
    assert_eq!(other.id(), dave.id(), "a key belongs to its route");
    for key in ["", &"k".repeat(256)] {
        let reply =
            world.call("alice", line, Some(submission()), &[("idempotency-key", key)]).await;
        assert_eq!(reply.problem(), (400, "bad-request".into()));
    }
}

#[tokio::test]
async fn a_stale_version_changes_nothing() {
    let world = World::new();
    let id = world.ask("alice", "pair").await.id();
    let approve = format!("POST /requests/{id}/approve");
    for stale in ["\"2\"", "W/\"1\"", "1", "\"x\""] {
        let reply = world.call("bob", &approve, None, &[("if-match", stale)]).await;
        assert_eq!(reply.problem(), (412, "precondition-failed".into()), "{stale}");
    }
    let shown = world.get("bob", &format!("/requests/{id}")).await;
    let etag = shown.headers["etag"].to_str().unwrap();
    let reply = world.call("bob", &approve, None, &[("if-match", etag)]).await;
    assert_eq!(reply.headers["etag"], "\"2\"", "{}", reply.text);
    let reply = world.call("lead1", &approve, None, &[("if-match", "*")]).await;
    assert_eq!(reply.body["status"], "approved");
}

#[tokio::test]
async fn somebody_else_may_be_named_only_where_policy_allows() {
    let world = World::new();
    let mut body = submission();
    body["subject"] = json!("dave");
    let reply = world.post("alice", "/requests", body.clone()).await;
    assert_eq!(reply.problem(), (403, "policy-denied".into()));
    body["subject"] = json!("alice");
    assert_eq!(world.post("alice", "/requests", body).await.body["subject"], "alice");
}
