//! The process is killed at random moments under load; what it acknowledged is there afterwards.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::gateway::Gateway;
use crate::harness::{World, eventually, oracle, scale};

const CLIENTS: usize = 4;

#[test]
fn every_acknowledged_decision_and_its_event_survive_a_kill() {
    let mut world = World::start();
    world.oracle = false;
    let acknowledged = Mutex::new(BTreeMap::new());
    let number = AtomicUsize::new(0);
    let rounds = scale(5, 100);
    for round in 0..rounds {
        let stop = AtomicBool::new(false);
        let enough = acknowledged.lock().expect("no panic").len() + 1 + round % 7;
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| decide_until_it_dies(&world, &acknowledged, &number, &stop));
            }
            eventually("some decisions", Duration::from_secs(30), || {
                (acknowledged.lock().expect("no panic").len() >= enough).then_some(())
            });
            crate::harness::gateway::signal(world.gateway.pid(), "KILL");
            stop.store(true, Ordering::SeqCst);
        });
        world.gateway.kill();
        world.gateway = Gateway::start(world.folder.path());
    }
    let acknowledged = acknowledged.into_inner().expect("no panic");
    println!("crash: {} decisions acknowledged over {rounds} kills", acknowledged.len());
    let mut api = world.api("bob");
    for (id, status) in &acknowledged {
        let request = api.get(&format!("/requests/{id}")).json();
        assert_eq!(request["status"], *status, "{request}");
    }
    every_event_arrives(&world, &acknowledged);
}

/// Submits and decides until the connection breaks; notes only what was answered with 200.
fn decide_until_it_dies(
    world: &World,
    acknowledged: &Mutex<BTreeMap<String, &'static str>>,
    number: &AtomicUsize,
    stop: &AtomicBool,
) {
    let mut bob = world.api("bob");
    while !stop.load(Ordering::SeqCst) {
        let n = number.fetch_add(1, Ordering::SeqCst);
        let user = world.api(&format!("user-{n}"));
        let Some(id) =
            try_post(user, "/requests", &json!({ "template": "reader", "justification": "x" }))
        else {
            return;
        };
        let (verb, status) =
            if n.is_multiple_of(2) { ("approve", "approved") } else { ("deny", "denied") };
        let path = format!("/api/v1/requests/{id}/{verb}");
        let bearer = format!("Bearer {}", bob.token);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        match bob.client.try_send("POST", "api", &path, &headers, b"{}") {
            Ok(answer) if answer.status == 200 => {
                acknowledged.lock().expect("no panic").insert(id, status);
            }
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => return,
        }
    }
}

fn try_post(mut api: crate::harness::Api, path: &str, body: &serde_json::Value) -> Option<String> {
    let bearer = format!("Bearer {}", api.token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let target = format!("/api/v1{path}");
    let answer =
        api.client.try_send("POST", "api", &target, &headers, body.to_string().as_bytes()).ok()?;
    assert_eq!(answer.status, 201, "{answer:?}");
    Some(answer.json()["id"].as_str().expect("an id").to_owned())
}

/// At least once each; what came twice carries the same id.
fn every_event_arrives(world: &World, acknowledged: &BTreeMap<String, &'static str>) {
    let events = eventually("every event", Duration::from_secs(30), || {
        let events = oracle::events(&world.audit_file());
        let arrived = |(id, status): (&String, &&str)| {
            let subject = format!("requests/{id}");
            let kind = format!("dev.tidegate.request.{status}.v1");
            events
                .iter()
                .any(|event| event["subject"] == subject.as_str() && event["type"] == kind.as_str())
        };
        acknowledged.iter().all(arrived).then(|| events.clone())
    });
    let mut by_meaning: BTreeMap<(String, String), String> = BTreeMap::new();
    for event in events
        .iter()
        .filter(|event| event["subject"].as_str().is_some_and(|s| s.starts_with("requests/")))
    {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let first = by_meaning.entry((text("subject"), text("type"))).or_insert_with(|| text("id"));
        assert_eq!(*first, text("id"), "a duplicate with another id: {event}");
    }
}
