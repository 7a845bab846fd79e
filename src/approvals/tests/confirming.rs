//! Grants of a store whose commits can be lost: inert until their commit is known to be kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::super::timers;
use super::faults::{Faults, world};
use super::harness::{Reply, World};

fn losing() -> (World, Arc<Faults>) {
    let (world, faults) = world();
    faults.can_lose.store(true, Ordering::SeqCst);
    (world, faults)
}

/// What any process does a second later.
async fn a_second_later(world: &World) {
    world.clock.advance(Duration::from_secs(1));
    let mut unconfirmed = Vec::new();
    for partition in world.api.store.partitions().all() {
        unconfirmed.extend(timers::run_due(&world.api, partition, || false).await);
    }
    timers::confirm_all(&world.api, unconfirmed).await;
}

async fn approve(world: &World, id: &str, key: &str) -> Reply {
    let line = format!("POST /requests/{id}/approve");
    world.call("bob", &line, None, &[("idempotency-key", key)]).await
}

async fn status(world: &World, grant: &str) -> String {
    let shown = world.get("alice", &format!("/grants/{grant}")).await;
    shown.body["status"].as_str().expect("a status").to_owned()
}

async fn only_grant(world: &World) -> String {
    let grants = world.get("alice", "/grants").await;
    let items = grants.body["items"].as_array().expect("items");
    assert_eq!(items.len(), 1, "{}", grants.text);
    items[0]["id"].as_str().expect("an id").to_owned()
}

async fn kinds(world: &World) -> Vec<String> {
    let events = world.get("erin", "/audit/events").await;
    let items = events.body["items"].as_array().expect("items");
    let kind = |event: &serde_json::Value| event["type"].as_str().expect("a type").to_owned();
    let mut kinds: Vec<String> = items.iter().map(kind).collect();
    kinds.sort();
    kinds
}

const ACTIVATED: &str = "dev.tidegate.grant.activated.v1";
const APPROVED: &str = "dev.tidegate.request.approved.v1";
const SUBMITTED: &str = "dev.tidegate.request.submitted.v1";
const REVOKED: &str = "dev.tidegate.grant.revoked.v1";

#[tokio::test]
async fn a_commit_that_is_kept_is_confirmed_before_the_answer() {
    let (world, _) = losing();
    let (_, grant) = world.granted("alice").await;
    assert_eq!(status(&world, &grant).await, "active");
    assert_eq!(kinds(&world).await, [ACTIVATED, APPROVED, SUBMITTED]);
    a_second_later(&world).await;
    assert_eq!(kinds(&world).await, [ACTIVATED, APPROVED, SUBMITTED]);
}

#[tokio::test]
async fn what_is_not_confirmed_is_inert_until_another_process_carries_on() {
    let (world, faults) = losing();
    let id = world.ask("alice", "notes").await.id();
    faults.unconfirmed.store(1, Ordering::SeqCst);
    assert_eq!(approve(&world, &id, "k").await.problem(), (503, "unconfirmed".into()));
    let grant = only_grant(&world).await;
    assert_eq!(status(&world, &grant).await, "unconfirmed");
    assert_eq!(kinds(&world).await, [APPROVED, SUBMITTED]);
    // Its answer waits as well, and asking again grants nothing more.
    assert_eq!(approve(&world, &id, "k").await.problem(), (503, "unconfirmed".into()));

    faults.unsettled.store(1, Ordering::SeqCst);
    a_second_later(&world).await;
    assert_eq!(status(&world, &grant).await, "unconfirmed");
    a_second_later(&world).await;
    assert_eq!(status(&world, &grant).await, "active");
    let answer = approve(&world, &id, "k").await;
    assert_eq!((answer.status.as_u16(), &answer.body["grants"][0]), (200, &json!(grant)));
    assert_eq!(only_grant(&world).await, grant);
    assert_eq!(kinds(&world).await, [ACTIVATED, APPROVED, SUBMITTED]);
    let other = approve(&world, &id, "other").await;
    assert_eq!(other.problem(), (409, "already-decided".into()));
}

#[tokio::test]
async fn a_retry_after_a_lost_reply_asks_whether_the_commit_is_kept() {
    let (world, faults) = losing();
    let id = world.ask("alice", "notes").await.id();
    faults.replies.store(1, Ordering::SeqCst);
    assert_eq!(approve(&world, &id, "k").await.status, 200);
    assert_eq!(status(&world, &only_grant(&world).await).await, "active");
}

#[tokio::test]
async fn a_confirming_commit_that_fails_leaves_the_grant_inert_and_the_timer_behind() {
    let (world, faults) = losing();
    let id = world.ask("alice", "notes").await.id();
    // The first load is the approval's, the second the confirmation's.
    faults.spare_loads.store(1, Ordering::SeqCst);
    faults.loads.store(1, Ordering::SeqCst);
    assert_eq!(approve(&world, &id, "k").await.problem(), (503, "unconfirmed".into()));
    let grant = only_grant(&world).await;
    assert_eq!(status(&world, &grant).await, "unconfirmed");
    a_second_later(&world).await;
    assert_eq!(status(&world, &grant).await, "active");
    assert_eq!(approve(&world, &id, "k").await.status, 200);
}

#[tokio::test]
async fn a_grant_revoked_while_unconfirmed_is_never_activated() {
    let (world, faults) = losing();
    let id = world.ask("alice", "notes").await.id();
    faults.unconfirmed.store(1, Ordering::SeqCst);
    assert_eq!(approve(&world, &id, "k").await.problem(), (503, "unconfirmed".into()));
    let grant = only_grant(&world).await;
    let path = format!("/grants/{grant}/revoke");
    assert_eq!(world.post("bob", &path, json!({ "reason": "over" })).await.status, 200);
    a_second_later(&world).await;
    assert_eq!(status(&world, &grant).await, "revoked");
    assert_eq!(kinds(&world).await, [REVOKED, APPROVED, SUBMITTED]);
    // What was decided stays decided; the grant is told as it is.
    assert_eq!(approve(&world, &id, "k").await.body["status"], "approved");
}

#[tokio::test]
async fn a_killed_grant_is_not_confirmed_and_its_timer_goes() {
    let (world, faults) = losing();
    let id = world.ask("alice", "notes").await.id();
    faults.unconfirmed.store(1, Ordering::SeqCst);
    assert_eq!(approve(&world, &id, "k").await.problem(), (503, "unconfirmed".into()));
    let grant = only_grant(&world).await;
    let kill = json!({ "tool": "notes", "reason": "incident" });
    assert_eq!(world.post("root", "/revocations", kill).await.status, 200);
    a_second_later(&world).await;
    assert_eq!(status(&world, &grant).await, "revoked");
    assert!(!kinds(&world).await.contains(&ACTIVATED.to_owned()));
    let place = grant.parse::<crate::domain::ids::GrantId>().expect("an id").partition;
    let later = world.api.clock.now().plus(Duration::from_mins(30));
    let due = world.api.store.due_timers(place, later, None, 10).await.expect("timers");
    assert_eq!(due.timers, []);
}

#[tokio::test]
async fn a_revocation_that_is_not_kept_says_so_again_until_it_is() {
    let (world, faults) = losing();
    let (_, grant) = world.granted("alice").await;
    let revoke = async || {
        let line = format!("POST /grants/{grant}/revoke");
        let (body, key) = (json!({ "reason": "over" }), [("idempotency-key", "k")]);
        let reply = world.call("bob", &line, Some(body), &key).await;
        (reply.status.as_u16(), reply.body["durability"].clone())
    };
    let unconfirmed = (202, json!("unconfirmed"));
    faults.unconfirmed.store(1, Ordering::SeqCst);
    assert_eq!(revoke().await, unconfirmed);
    faults.unsettled.store(1, Ordering::SeqCst);
    assert_eq!(revoke().await, unconfirmed);
    assert_eq!(revoke().await, (200, json!(null)));
}

#[tokio::test]
async fn ending_everything_of_a_subject_again_asks_whether_the_first_time_is_kept() {
    let (world, faults) = losing();
    world.granted("alice").await;
    let kill = async || {
        let body = json!({ "subject": "alice", "reason": "incident" });
        let reply = world.post("root", "/revocations", body).await;
        (reply.status.as_u16(), reply.body["durability"].clone())
    };
    faults.unconfirmed.store(1, Ordering::SeqCst);
    assert_eq!(kill().await, (202, json!("unconfirmed")));
    faults.unsettled.store(1, Ordering::SeqCst);
    assert_eq!(kill().await, (202, json!("unconfirmed")));
    assert_eq!(kill().await, (200, json!(null)));
}

#[tokio::test]
async fn a_kill_that_one_partition_may_lose_is_told_as_unconfirmed() {
    let (world, faults) = losing();
    let kill = async || {
        let body = json!({ "tool": "notes", "reason": "incident" });
        let reply = world.post("root", "/revocations", body).await;
        (reply.status.as_u16(), reply.body["pending"].clone(), reply.body["durability"].clone())
    };
    faults.unconfirmed.store(1, Ordering::SeqCst);
    assert_eq!(kill().await, (202, json!(true), json!("unconfirmed")));
    assert_eq!(kill().await, (200, json!(true), json!(null)));
}
