//! The kill switch for a tool, and what the sweeper records of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::sweeper::{self, Sweeper};
use super::faults;
use super::harness::World;

async fn kill(world: &World, tool: &str) {
    let body = json!({ "tool": tool, "reason": "incident 7" });
    let thrown = world.post("root", "/revocations", body).await;
    assert_eq!((thrown.status.as_u16(), &thrown.body["pending"]), (200, &json!(true)));
}

async fn sweep(world: &World, sweeper: &mut Sweeper) {
    sweep_at(world, sweeper, Instant::now()).await;
}

async fn sweep_at(world: &World, sweeper: &mut Sweeper, now: Instant) {
    for partition in world.api.store.partitions().all() {
        sweeper.look(partition, now, || false).await;
    }
}

async fn items(world: &World, path: &str) -> Vec<Value> {
    world.get("erin", path).await.body["items"].as_array().cloned().expect("items")
}

async fn events(world: &World, kind: &str) -> Vec<Value> {
    items(world, &format!("/audit/events?type=dev.tidegate.{kind}.v1")).await
}

#[tokio::test]
async fn a_kill_shows_in_lists_and_events_once_whoever_sweeps() {
    let world = World::new();
    world.granted("alice").await;
    world.granted("dave").await;
    world.ask("alice", "notes").await.id();
    let spared = world.ask("alice", "vault").await.id();
    kill(&world, "notes").await;
    let (mut one, mut two) = (Sweeper::new(world.api.clone()), Sweeper::new(world.api.clone()));
    tokio::join!(sweep(&world, &mut one), sweep(&world, &mut two));
    sweep(&world, &mut one).await;
    sweep(&world, &mut Sweeper::new(world.api.clone())).await;

    let revoked = items(&world, "/grants?status=revoked").await;
    assert_eq!(revoked.len(), 2);
    assert_eq!(revoked[0]["ended"]["by"], "root");
    assert_eq!(revoked[0]["ended"]["reason"], "incident 7");
    assert!(items(&world, "/grants?status=active").await.is_empty());
    assert_eq!(items(&world, "/requests?status=cancelled").await.len(), 1);
    assert_eq!(items(&world, "/requests?status=pending").await[0]["id"], spared.as_str());
    for (kind, expected) in [("grant.revoked", 2), ("request.cancelled", 1)] {
        let events = events(&world, kind).await;
        assert_eq!(events.len(), expected, "{kind}");
        for event in events {
            assert_eq!(event["authid"], "root");
            assert_eq!(event["data"]["actor"], json!({ "type": "person", "name": "root" }));
            assert_eq!(event["data"]["reason"], "incident 7");
        }
    }
}

#[tokio::test]
async fn what_is_asked_and_granted_after_a_kill_is_not_swept() {
    let world = World::new();
    let (_, old) = world.granted("alice").await;
    let waiting = world.ask("alice", "notes").await.id();
    kill(&world, "notes").await;
    assert_eq!(world.approve("bob", &waiting).await.problem(), (409, "already-decided".into()));
    let (_, new) = world.granted("alice").await;
    sweep(&world, &mut Sweeper::new(world.api.clone())).await;
    let status =
        async |id: &str| world.get("alice", &format!("/grants/{id}")).await.body["status"].clone();
    assert_eq!((status(&old).await, status(&new).await), ("revoked".into(), "active".into()));
}

#[tokio::test]
async fn the_sweeper_is_woken_by_a_kill_and_stops_when_told() {
    let world = World::new();
    world.granted("alice").await;
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(sweeper::run(world.api.clone(), stopping));
    let mut moved = world.api.store.moved();
    kill(&world, "notes").await;
    while events(&world, "grant.revoked").await.is_empty() {
        moved.recv().await.expect("a commit");
    }
    stop.send_replace(true);
    running.await.expect("it stops");
}

#[tokio::test]
async fn a_sweep_that_failed_pauses_before_it_is_made_again() {
    let (world, faults) = faults::world();
    world.granted("alice").await;
    kill(&world, "notes").await;
    let mut sweeper = Sweeper::new(world.api.clone());
    let now = Instant::now();
    let later = |millis| now + Duration::from_millis(millis);
    faults.loads.store(2, Ordering::SeqCst);
    for (at, failures_left) in [(0, 1), (999, 1), (1000, 0), (2999, 0)] {
        sweep_at(&world, &mut sweeper, later(at)).await;
        assert_eq!(faults.loads.load(Ordering::SeqCst), failures_left, "after {at} ms");
        assert!(events(&world, "grant.revoked").await.is_empty());
    }
    sweep_at(&world, &mut sweeper, later(3000)).await;
    assert_eq!(events(&world, "grant.revoked").await.len(), 1);
}
