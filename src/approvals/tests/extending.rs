//! The end of a grant: moved by its holder, announced, reached.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::faults;
use super::flow::{HOUR, count, events, offer, run_all, timers_left};
use super::harness::{Reply, World};
use crate::domain::rules::{Extension, Rules};

const HALF: Duration = Duration::from_mins(30);

fn rules() -> Rules {
    let extension = Some(Extension { max: 2, steps: vec![HALF] });
    Rules { extension, warn_before_end: Some(Duration::from_mins(10)), ..Rules::default() }
}

fn offering(world: World) -> World {
    offer(&world, "notes", rules());
    world
}

fn body() -> Value {
    json!({ "duration": "PT30M", "justification": "INC-1 goes on" })
}

async fn extend(world: &World, who: &str, grant: &str, headers: &[(&str, &str)]) -> Reply {
    world.call(who, &format!("POST /grants/{grant}/extend"), Some(body()), headers).await
}

#[tokio::test]
async fn a_holder_extends_a_grant_as_often_as_its_template_allows() {
    let world = offering(World::new());
    let (request, grant) = world.granted("alice").await;
    let shown = world.get("alice", &format!("/grants/{grant}")).await;
    assert_eq!(shown.body["extension"], json!({ "left": 2, "steps": ["PT30M"] }));
    assert_eq!(shown.body["extended"], Value::Null);

    let reply = extend(&world, "alice", &grant, &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.headers["etag"], "\"2\"");
    assert_eq!(reply.body["expires_at"], "2027-01-15T09:30:00.000Z");
    assert_eq!(reply.body["extended"], 1);
    assert_eq!(reply.body["extension"]["left"], 1);
    assert_eq!(reply.body, world.get("alice", &format!("/grants/{grant}")).await.body);

    let told = events(&world, "grant.extended").await;
    let data = &told[0]["data"];
    assert_eq!((told.len(), &told[0]["correlationid"]), (1, &json!(request)));
    assert_eq!(told[0]["subject"], format!("grants/{grant}"));
    assert_eq!(data["actor"], json!({ "type": "person", "name": "alice" }));
    assert_eq!(data["before"]["expires_at"], "2027-01-15T09:00:00.000Z");
    assert_eq!(data["after"]["expires_at"], "2027-01-15T09:30:00.000Z");
    assert_eq!(data["reason"], "INC-1 goes on");

    assert_eq!(extend(&world, "alice", &grant, &[]).await.status, 200);
    let used = extend(&world, "alice", &grant, &[]).await;
    assert_eq!(used.problem(), (409, "conflict".into()));
    world.clock.advance(HOUR * 2);
    let over = extend(&world, "alice", &grant, &[]).await;
    assert_eq!(over.problem(), (409, "conflict".into()));
}

#[tokio::test]
async fn an_extension_is_for_the_holder_and_those_whom_policy_lets() {
    let world = offering(World::new());
    let (_, grant) = world.granted("alice").await;
    assert_eq!(extend(&world, "dave", &grant, &[]).await.problem(), (404, "not-found".into()));
    for who in ["bob", "root", "erin"] {
        let refused = extend(&world, who, &grant, &[]).await;
        assert_eq!(refused.problem(), (403, "not-eligible".into()), "{who}");
    }
    let nothing = extend(&world, "alice", "grt_00_7vk48h8ts944m9325x4xcp3qaz", &[]).await;
    assert_eq!(nothing.problem(), (404, "not-found".into()));
    assert_eq!(extend(&world, "alice", "x", &[]).await.problem(), (404, "not-found".into()));
    world.policy.deny.store(true, Ordering::SeqCst);
    assert_eq!(extend(&world, "alice", &grant, &[]).await.problem(), (403, "policy-denied".into()));
    world.policy.deny.store(false, Ordering::SeqCst);
    assert_eq!(count(&world, "grant.extended").await, 0);
}

#[tokio::test]
async fn every_bad_value_of_an_extension_is_named_by_its_pointer() {
    let world = offering(World::new());
    let (_, grant) = world.granted("alice").await;
    let path = format!("/grants/{grant}/extend");
    for (change, pointer) in [
        (json!({ "duration": "PT0S" }), "/duration"),
        (json!({ "duration": "PT1H" }), "/duration"),
        (json!({ "duration": "-PT30M" }), "/duration"),
        (json!({ "duration": "P9999999D" }), "/duration"),
        (json!({ "duration": 1800 }), "/duration"),
        (json!({ "duration": null }), "/duration"),
        (json!({ "justification": "" }), "/justification"),
        (json!({ "justification": "x".repeat(5000) }), "/justification"),
        (json!({ "expires_at": "2030-01-01T00:00:00Z" }), "/expires_at"),
    ] {
        let mut body = body();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = world.post("alice", &path, body).await;
        assert_eq!(reply.problem(), (422, "invalid-input".into()), "{change}");
        assert_eq!(reply.pointers(), [pointer], "{change}");
    }
    let missing = world.post("alice", &path, json!({})).await;
    assert_eq!(missing.pointers(), ["/duration"]);
    let shown = world.get("alice", &format!("/grants/{grant}")).await;
    assert_eq!(shown.headers["etag"], "\"1\"", "nothing has changed");
}

#[tokio::test]
async fn an_extension_sent_twice_under_its_key_counts_once_and_if_match_guards_it() {
    let world = offering(World::new());
    let (_, grant) = world.granted("alice").await;
    let key = [("idempotency-key", "k")];
    let first = extend(&world, "alice", &grant, &key).await;
    let again = extend(&world, "alice", &grant, &key).await;
    assert_eq!((first.status.as_u16(), first.text), (200, again.text));
    let path = format!("POST /grants/{grant}/extend");
    let other = json!({ "duration": "PT30M", "justification": "INC-2" });
    let other = world.call("alice", &path, Some(other), &key).await;
    assert_eq!(other.problem(), (409, "idempotency-mismatch".into()));
    let stale = extend(&world, "alice", &grant, &[("if-match", "\"1\"")]).await;
    assert_eq!(stale.problem(), (412, "precondition-failed".into()));
    assert_eq!(extend(&world, "alice", &grant, &[("if-match", "\"2\"")]).await.status, 200);
    assert_eq!(count(&world, "grant.extended").await, 2);
}

#[tokio::test]
async fn a_killed_grant_is_not_extended_before_it_is_swept() {
    let world = offering(World::new());
    let (_, grant) = world.granted("alice").await;
    let kill = json!({ "tool": "notes", "reason": "incident" });
    assert_eq!(world.post("root", "/revocations", kill).await.status, 200);
    let refused = extend(&world, "alice", &grant, &[]).await;
    assert_eq!(refused.problem(), (409, "conflict".into()));
    assert!(refused.text.contains("revoked"), "{}", refused.text);
}

#[tokio::test]
async fn an_extension_that_is_not_kept_is_not_acknowledged() {
    let (world, faults) = faults::world();
    faults.can_lose.store(true, Ordering::SeqCst);
    let world = offering(world);
    let (_, grant) = world.granted("alice").await;
    let key = [("idempotency-key", "k")];
    let unconfirmed = (503, "unconfirmed".to_owned());
    faults.unconfirmed.store(1, Ordering::SeqCst);
    assert_eq!(extend(&world, "alice", &grant, &key).await.problem(), unconfirmed);
    faults.unsettled.store(1, Ordering::SeqCst);
    assert_eq!(extend(&world, "alice", &grant, &key).await.problem(), unconfirmed);
    let kept = extend(&world, "alice", &grant, &key).await;
    assert_eq!((kept.status.as_u16(), &kept.body["extended"]), (200, &json!(1)));
    assert_eq!(count(&world, "grant.extended").await, 1);
}

#[tokio::test]
async fn an_unconfirmed_grant_is_not_extended() {
    let (world, faults) = faults::world();
    faults.can_lose.store(true, Ordering::SeqCst);
    let world = offering(world);
    let id = world.ask("alice", "notes").await.id();
    faults.unconfirmed.store(1, Ordering::SeqCst);
    assert_eq!(world.approve("bob", &id).await.problem(), (503, "unconfirmed".into()));
    let grants = world.get("alice", "/grants").await;
    let grant = grants.body["items"][0]["id"].as_str().expect("a grant");
    let refused = extend(&world, "alice", grant, &[]).await;
    assert_eq!(refused.problem(), (409, "conflict".into()));
}

#[tokio::test]
async fn the_holder_is_warned_once_of_each_end_and_the_grant_ends_at_the_last() {
    let world = offering(World::new());
    let (_, grant) = world.granted("alice").await;
    world.clock.advance(Duration::from_secs(50 * 60 - 1));
    run_all(&world).await;
    assert_eq!(count(&world, "grant.expiring").await, 0);
    world.clock.advance(Duration::from_secs(1));
    tokio::join!(run_all(&world), run_all(&world));
    run_all(&world).await;
    let told = events(&world, "grant.expiring").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["actor"]["type"], "system");
    assert_eq!(told[0]["data"]["after"]["expires_at"], "2027-01-15T09:00:00.000Z");
    // Whoever is warned can extend what they last saw.
    let moved = extend(&world, "alice", &grant, &[("if-match", "\"1\"")]).await;
    assert_eq!(moved.status, 200, "{}", moved.text);
    world.clock.advance(Duration::from_mins(10));
    run_all(&world).await;
    assert_eq!(count(&world, "grant.expired").await, 0, "the old end is none");
    world.clock.advance(Duration::from_mins(20));
    run_all(&world).await;
    assert_eq!(count(&world, "grant.expiring").await, 2);
    world.clock.advance(Duration::from_mins(10));
    run_all(&world).await;
    assert_eq!(count(&world, "grant.expired").await, 1);
    assert_eq!(timers_left(&world).await, 0);
}

#[tokio::test]
async fn a_grant_that_is_given_back_leaves_no_timer_and_is_not_warned_of() {
    let world = offering(World::new());
    let (_, grant) = world.granted("alice").await;
    assert_eq!(timers_left(&world).await, 2);
    let released = world.post("alice", &format!("/grants/{grant}/release"), json!({})).await;
    assert_eq!(released.status, 200);
    assert_eq!(timers_left(&world).await, 0);
    assert_eq!(extend(&world, "alice", &grant, &[]).await.problem(), (409, "conflict".into()));
}

#[tokio::test]
async fn a_warning_whose_commit_is_lost_on_its_way_is_given_once() {
    let (world, faults) = faults::world();
    let world = offering(world);
    world.granted("alice").await;
    world.clock.advance(Duration::from_mins(50));
    // Both tries of the first commit are written, and nobody hears of it.
    faults.replies.store(2, Ordering::SeqCst);
    run_all(&world).await;
    run_all(&world).await;
    assert_eq!(count(&world, "grant.expiring").await, 1);
}
