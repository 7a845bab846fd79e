use serde_json::json;

use super::harness::World;

#[tokio::test]
async fn a_request_is_asked_approved_used_and_revoked() {
    let world = World::new();
    let asked = world.ask("alice", "notes").await;
    assert_eq!(asked.status, 201, "{}", asked.text);
    assert_eq!(asked.headers["etag"], "\"1\"");
    let id = asked.id();
    assert_eq!(asked.headers["location"], format!("/api/v1/requests/{id}"));
    assert_eq!(asked.body["status"], "pending");
    assert_eq!(asked.body["steps"][0]["status"], "current");

    let approved = world.approve("bob", &id).await;
    assert_eq!((approved.status.as_u16(), &approved.body["status"]), (200, &json!("approved")));
    assert_eq!(approved.body["requester"]["groups"], json!(["engineering"]));
    let grant = approved.body["grants"][0].as_str().unwrap().to_owned();

    let shown = world.get("alice", &format!("/grants/{grant}")).await;
    assert_eq!(shown.body["status"], "active");
    assert_eq!(shown.body["tool"], "notes");
    assert_eq!(shown.body["request"], json!(id));
    assert_eq!(shown.body["approvers"], json!(["bob"]));

    let path = format!("/grants/{grant}/revoke");
    let revoked = world.post("bob", &path, json!({ "reason": "over" })).await;
    assert_eq!((revoked.status.as_u16(), &revoked.body["status"]), (200, &json!("revoked")));
    assert_eq!(revoked.body["ended"]["reason"], "over");
    let again = world.post("bob", &path, json!({ "reason": "over" })).await;
    assert_eq!(again.problem(), (409, "conflict".into()));

    let events = world.get("erin", "/audit/events").await;
    let types: Vec<&str> = events.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["type"].as_str())
        .collect();
    let expected = ["request.submitted", "request.approved", "grant.activated", "grant.revoked"];
    assert_eq!(types, expected.map(|t| format!("dev.tidegate.{t}.v1")));
    let metric =
        world.api.metrics.approvals.get_or_create(&crate::telemetry::metrics::ApprovalLabels {
            template: "notes".into(),
            outcome: "approved",
        });
    assert_eq!(metric.get(), 1);
}

#[tokio::test]
async fn steps_are_decided_in_order_and_a_person_counts_once() {
    let world = World::new();
    let id = world.ask("alice", "vault").await.id();
    assert_eq!(world.approve("carol", &id).await.problem(), (403, "not-eligible".into()));
    let second = world.post("carol", &format!("/requests/{id}/steps/2/approve"), json!({})).await;
    assert_eq!(second.problem(), (409, "conflict".into()));
    let first = world.post("bob", &format!("/requests/{id}/steps/1/approve"), json!({})).await;
    assert_eq!(first.body["status"], "pending", "{}", first.text);
    let steps = world.get("alice", &format!("/requests/{id}/steps")).await;
    assert_eq!(steps.body["items"][0]["approvals"][0]["by"], "bob");
    assert_eq!(steps.body["items"][1]["status"], "current");
    assert_eq!(world.approve("carol", &id).await.body["status"], "approved");
    assert_eq!(world.approve("carol", &id).await.problem(), (409, "already-decided".into()));

    let pair = world.ask("alice", "pair").await.id();
    assert_eq!(world.approve("bob", &pair).await.status, 200);
    assert_eq!(world.approve("bob", &pair).await.problem(), (409, "already-decided".into()));
    assert_eq!(world.approve("lead1", &pair).await.body["status"], "approved");
}

#[tokio::test]
async fn nobody_decides_on_their_own_request_not_even_through_a_second_identity() {
    let world = World::new();
    let id = world.ask("alice", "notes").await.id();
    assert_eq!(world.approve("alice", &id).await.problem(), (403, "self-approval".into()));
    let own = world.post("alice", &format!("/requests/{id}/deny"), json!({})).await;
    assert_eq!(own.problem(), (403, "self-approval".into()));
    let shown = world.get("alice", &format!("/requests/{id}")).await;
    assert_eq!(shown.body["status"], "pending");
    let id = world.ask("lead", "notes").await;
    assert_eq!(id.problem(), (403, "not-eligible".into()));
}

#[tokio::test]
async fn fifty_approvals_at_once_give_one_grant_and_one_decision() {
    let world = std::sync::Arc::new(World::new());
    let id = world.ask("alice", "notes").await.id();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (world, id) = (world.clone(), id.clone());
        calls.spawn(async move { world.approve(&format!("lead{number}"), &id).await });
    }
    let replies = calls.join_all().await;
    let won = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(won, 1);
    for lost in replies.iter().filter(|reply| reply.status != 200) {
        assert_eq!(lost.problem(), (409, "already-decided".into()));
    }
    let grants = world.get("alice", "/grants").await;
    assert_eq!(grants.body["items"].as_array().map(Vec::len), Some(1));
    let kind = "dev.tidegate.request.approved.v1";
    let events = world.get("erin", &format!("/audit/events?type={kind}")).await;
    assert_eq!(events.body["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn forty_commands_on_one_subject_at_once_all_find_their_place() {
    let world = std::sync::Arc::new(World::new());
    let id = world.ask("alice", "pair").await.id();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..40 {
        let (world, id) = (world.clone(), id.clone());
        let line = format!("POST /requests/{id}/comments");
        calls.spawn(async move {
            let body = json!({ "text": format!("comment {number}") });
            world.call("alice", &line, Some(body), &[]).await
        });
    }
    let replies = calls.join_all().await;
    let written = replies.iter().filter(|reply| reply.status == 201).count();
    let comments = world.get("alice", &format!("/requests/{id}/comments")).await;
    assert_eq!(comments.body["items"].as_array().map(Vec::len), Some(written));
    assert_eq!(written, 40, "{:?}", replies.iter().find(|reply| reply.status != 201));
}

#[tokio::test]
async fn an_approver_may_make_it_shorter_and_narrower_never_longer() {
    let world = World::new();
    let id = world.ask("alice", "notes").await.id();
    let path = format!("/requests/{id}/approve");
    for (body, pointer) in [
        (json!({ "duration": "PT2H" }), "/duration"),
        (json!({ "duration": "PT0S" }), "/duration"),
        (json!({ "duration": 5 }), "/duration"),
        (json!({ "expires_at": "2200-01-01T00:00:00Z" }), "/expires_at"),
        (json!({ "expires_at": "soon" }), "/expires_at"),
        (json!({ "duration": "PT1M", "expires_at": "2027-01-15T08:30:00Z" }), "/expires_at"),
        (json!({ "methods": ["get"] }), "/methods"),
        (json!({ "methods": ["GET", 1] }), "/methods/1"),
        (json!({ "paths": ["/a", "b"] }), "/paths/1"),
        (json!({ "status": "approved" }), "/status"),
    ] {
        let reply = world.post("bob", &path, body.clone()).await;
        assert_eq!(reply.problem(), (422, "invalid-input".into()), "{body}");
        assert_eq!(reply.pointers(), [pointer], "{body}");
    }
    let body = json!({ "duration": "PT10M", "methods": ["GET"], "paths": ["/docs/**"] });
    let grant = world.post("bob", &path, body).await.body["grants"][0].as_str().unwrap().to_owned();
    let grant = world.get("alice", &format!("/grants/{grant}")).await;
    assert_eq!(grant.body["expires_at"], "2027-01-15T08:10:00.000Z");
    assert_eq!(grant.body["narrowings"], json!([{ "methods": ["GET"], "paths": ["/docs/**"] }]));
}

#[tokio::test]
async fn a_denial_or_a_withdrawal_ends_a_request_with_no_grant() {
    let world = World::new();
    let denied = world.ask("alice", "notes").await.id();
    let reply =
        world.post("bob", &format!("/requests/{denied}/deny"), json!({"reason": "no"})).await;
    assert_eq!(reply.body["status"], "denied");
    assert_eq!(reply.body["reason"], "no");
    assert_eq!(reply.body["steps"][0]["status"], "denied");
    assert_eq!(world.approve("bob", &denied).await.problem().0, 409);

    let own = world.ask("alice", "notes").await.id();
    let path = format!("/requests/{own}/cancel");
    let foreign = world.post("bob", &path, json!({})).await;
    assert_eq!(foreign.problem(), (403, "not-eligible".into()));
    let line = format!("POST {path}");
    let cancelled = world.call("alice", &line, None, &[]).await;
    assert_eq!(cancelled.body["status"], "cancelled");
}

#[tokio::test]
async fn the_kill_switch_ends_everything_of_a_subject_with_exact_counts() {
    let world = World::new();
    let (_, grant) = world.granted("alice").await;
    let pending = world.ask("alice", "vault").await.id();
    let body = json!({ "subject": "alice", "reason": "left" });
    let refused = world.post("bob", "/revocations", body.clone()).await;
    assert_eq!(refused.problem(), (403, "policy-denied".into()));
    let done = world.post("root", "/revocations", body.clone()).await;
    assert_eq!(done.body, json!({ "revoked": 1, "cancelled": 1, "pending": false }));
    let grant = world.get("alice", &format!("/grants/{grant}")).await;
    assert_eq!(grant.body["status"], "revoked");
    let pending = world.get("alice", &format!("/requests/{pending}")).await;
    assert_eq!(pending.body["status"], "cancelled");
    let again = world.post("root", "/revocations", body).await;
    assert_eq!(again.body["revoked"], 0);
}

#[tokio::test]
async fn the_kill_switch_for_a_tool_binds_at_once_and_spares_what_comes_later() {
    let world = World::new();
    let (_, grant) = world.granted("alice").await;
    let other = world.ask("alice", "vault").await.id();
    let body = json!({ "tool": "notes", "reason": "incident" });
    let done = world.post("root", "/revocations", body).await;
    assert_eq!(done.body, json!({ "revoked": 0, "cancelled": 0, "pending": true }));
    let killed = world.get("alice", &format!("/grants/{grant}")).await;
    assert_eq!(killed.body["status"], "revoked");
    assert_eq!(killed.body["ended"]["by"], "root");
    let other = world.get("alice", &format!("/requests/{other}")).await;
    assert_eq!(other.body["status"], "pending");
    let (_, later) = world.granted("dave").await;
    let later = world.get("dave", &format!("/grants/{later}")).await;
    assert_eq!(later.body["status"], "active");
    for body in [
        json!({ "reason": "x" }),
        json!({ "tool": "a", "template": "b", "reason": "x" }),
        json!({ "tool": "a:b", "reason": "x" }),
        json!({ "tool": "a" }),
    ] {
        let reply = world.post("root", "/revocations", body.clone()).await;
        assert_eq!(reply.problem(), (422, "invalid-input".into()), "{body}");
    }
}

#[tokio::test]
async fn a_holder_gives_back_and_only_the_step_s_approvers_or_an_admin_revoke() {
    let world = World::new();
    let (_, grant) = world.granted("alice").await;
    let (revoke, release) = (format!("/grants/{grant}/revoke"), format!("/grants/{grant}/release"));
    let reason = json!({ "reason": "r" });
    let carol = world.post("carol", &revoke, reason.clone()).await;
    assert_eq!(carol.problem(), (403, "not-eligible".into()));
    let erin = world.post("erin", &revoke, reason.clone()).await;
    assert_eq!(erin.problem(), (403, "policy-denied".into()));
    let foreign = world.post("bob", &release, json!({})).await;
    assert_eq!(foreign.problem(), (403, "not-eligible".into()));
    let released = world.post("alice", &release, json!({})).await;
    assert_eq!(released.body["status"], "released", "{}", released.text);
    let (_, grant) = world.granted("alice").await;
    let revoked = world.post("root", &format!("/grants/{grant}/revoke"), reason).await;
    assert_eq!(revoked.body["status"], "revoked");
}
