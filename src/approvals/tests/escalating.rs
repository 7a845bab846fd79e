//! A request that nobody decides.

use std::time::Duration;

use serde_json::{Value, json};

use super::flow::{HOUR, count, events, offer, run_all, timers_left};
use super::harness::World;
use crate::domain::rules::{Escalation, Rules};

fn world() -> World {
    let world = World::new();
    let after = Duration::from_mins(15);
    let escalation = Some(Escalation { after, groups: vec!["security".into()] });
    offer(&world, "notes", Rules { escalation, ..Rules::default() });
    world
}

#[tokio::test]
async fn a_request_is_escalated_once_and_shows_who_may_decide_since() {
    let world = world();
    let id = world.ask("alice", "notes").await.id();
    let refused = world.approve("carol", &id).await;
    assert_eq!(refused.problem(), (403, "not-eligible".into()));
    world.clock.advance(Duration::from_secs(15 * 60 - 1));
    run_all(&world).await;
    assert_eq!(count(&world, "request.escalated").await, 0);
    world.clock.advance(Duration::from_secs(1));
    tokio::join!(run_all(&world), run_all(&world));
    run_all(&world).await;
    let told = events(&world, "request.escalated").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["subject"], format!("requests/{id}"));
    assert_eq!(told[0]["data"]["actor"]["type"], "system");

    let shown = world.get("alice", &format!("/requests/{id}")).await;
    assert_eq!(shown.headers["etag"], "\"2\"");
    assert_eq!(shown.body["escalated_at"], "2027-01-15T08:15:00.000Z");
    let steps = world.get("alice", &format!("/requests/{id}/steps")).await;
    let step = &steps.body["items"][0];
    assert_eq!(step["approvers"]["groups"], json!(["on-call-leads"]));
    assert_eq!(step["escalated_to"], json!(["security"]));
    let may = world.get("carol", &format!("/requests/{id}/permissions")).await;
    assert_eq!(may.body["approve"], true);

    let approved = world.approve("carol", &id).await;
    assert_eq!(approved.body["status"], "approved", "{}", approved.text);
    assert_eq!(approved.body["steps"][0]["escalated_to"], json!(["security"]));
    let grant = approved.body["grants"][0].as_str().expect("a grant");
    let revoked = json!({ "reason": "over" });
    let revoked = world.post("carol", &format!("/grants/{grant}/revoke"), revoked).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    assert_eq!(timers_left(&world).await, 0);
}

#[tokio::test]
async fn a_request_that_is_decided_in_time_is_not_escalated() {
    let world = world();
    for who in ["alice", "dave"] {
        let id = world.ask(who, "notes").await.id();
        assert_eq!(timers_left(&world).await, 2);
        let denied = world.post("bob", &format!("/requests/{id}/deny"), json!({})).await;
        assert_eq!(denied.body["status"], "denied", "{}", denied.text);
        assert_eq!(denied.body["escalated_at"], Value::Null);
        assert_eq!(denied.body["steps"][0]["escalated_to"], Value::Null);
        assert_eq!(timers_left(&world).await, 0);
    }
    world.clock.advance(HOUR);
    run_all(&world).await;
    assert_eq!(count(&world, "request.escalated").await, 0);
}

#[tokio::test]
async fn an_escalated_request_still_times_out() {
    let world = world();
    let id = world.ask("alice", "notes").await.id();
    world.clock.advance(HOUR * 24);
    // Both timers are due at once, as after a long stop.
    run_all(&world).await;
    run_all(&world).await;
    assert_eq!(count(&world, "request.expired").await, 1);
    assert_eq!(count(&world, "request.escalated").await, 0, "nobody can decide it any more");
    assert_eq!(world.approve("carol", &id).await.status, 409);
    assert_eq!(timers_left(&world).await, 0);
}

#[tokio::test]
async fn a_killed_request_is_not_escalated_and_its_timer_goes() {
    let world = world();
    world.ask("alice", "notes").await.id();
    let kill = json!({ "tool": "notes", "reason": "incident" });
    assert_eq!(world.post("root", "/revocations", kill).await.status, 200);
    world.clock.advance(HOUR);
    run_all(&world).await;
    assert_eq!(count(&world, "request.escalated").await, 0);
    assert_eq!(timers_left(&world).await, 1, "the time-out, until it is swept");
}
