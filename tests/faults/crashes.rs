//! Gateways and Redis are killed at random moments under load: what was acknowledged is there
//! afterwards, and a retry is answered as the first try would have been.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::{Answer, Client};
use crate::harness::gateway::Gateway;
use crate::harness::tokens::Issuer;
use crate::harness::{eventually, oracle, scale};

use super::servers::{Program, Server};
use super::world::RedisWorld;

const CLIENTS: usize = 4;

/// Where the gateways are now, and what was acknowledged.
struct Load<'a> {
    issuer: &'a Issuer,
    addresses: Mutex<Vec<SocketAddr>>,
    decided: Mutex<BTreeMap<String, &'static str>>,
    number: AtomicUsize,
    retries: AtomicUsize,
    stop: AtomicBool,
}

#[test]
fn every_acknowledged_decision_and_its_event_survive_kills_of_gateways_and_redis() {
    let arguments = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut world = RedisWorld::on(Server::start(Program::Redis, &arguments), 2);
    world.nodes.iter_mut().for_each(|node| node.oracle = false);
    let rounds = scale(6, 200);
    let load = Load {
        issuer: &world.issuer,
        addresses: Mutex::new(world.nodes.iter().map(|node| node.gateway.api).collect()),
        decided: Mutex::default(),
        number: AtomicUsize::new(0),
        retries: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| decide_until_told(&load))).collect();
        for round in 0..rounds {
            let enough = load.decided.lock().expect("no panic").len() + 1 + round % 5;
            eventually("some decisions", Duration::from_secs(30), || {
                let died = clients.iter().any(thread::ScopedJoinHandle::is_finished);
                assert!(!died, "a client met something else than a fault");
                (load.decided.lock().expect("no panic").len() >= enough).then_some(())
            });
            match round % 3 {
                2 => world.server.restart(),
                number => {
                    let node = &mut world.nodes[number];
                    node.gateway.kill();
                    node.gateway = Gateway::start(node.folder.path());
                    load.addresses.lock().expect("no panic")[number] = node.gateway.api;
                }
            }
        }
        load.stop.store(true, Ordering::SeqCst);
    });
    let (decided, retries) = (load.decided.into_inner(), load.retries.into_inner());
    let decided = decided.expect("no panic");
    println!(
        "proof: {rounds} kills, {} decisions acknowledged, {retries} retries, 0 lost",
        decided.len()
    );
    for node in 0..2 {
        let mut api = world.api(node, "bob");
        for (id, status) in &decided {
            let request = api.get(&format!("/requests/{id}")).json();
            assert_eq!(request["status"], *status, "{request}");
            let grants = request["grants"].as_array().map_or(0, Vec::len);
            assert_eq!(grants, usize::from(*status == "approved"), "{request}");
        }
    }
    every_event_arrives(&world, &decided);
}

fn decide_until_told(load: &Load<'_>) {
    while !load.stop.load(Ordering::SeqCst) {
        let n = load.number.fetch_add(1, Ordering::SeqCst);
        let user = format!("user-{n}");
        let ask = json!({ "template": "reader", "justification": "x" });
        let Some(made) = until_answered(load, &user, "/requests", &ask, n) else { return };
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.json()["id"].as_str().expect("an id").to_owned();
        let (verb, status) =
            if n.is_multiple_of(2) { ("approve", "approved") } else { ("deny", "denied") };
        let path = format!("/requests/{id}/{verb}");
        let Some(answer) = until_answered(load, "bob", &path, &json!({}), n) else { return };
        // A retry finds the answer of the try whose reply was lost, not "already decided".
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["status"], status, "{answer:?}");
        load.decided.lock().expect("no panic").insert(id, status);
    }
}

/// Tries both gateways in turn, always with the same key, until one of them answers. `None`: it was
/// time to stop before.
fn until_answered(
    load: &Load<'_>,
    user: &str,
    path: &str,
    body: &Value,
    n: usize,
) -> Option<Answer> {
    let (bearer, key) =
        (format!("Bearer {}", load.issuer.token_of(user)), format!("key-{user}-{n}"));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", key.as_str()),
    ];
    let (target, body) = (format!("/api/v1{path}"), body.to_string());
    let start = Instant::now();
    for attempt in n.. {
        let address = load.addresses.lock().expect("no panic")[attempt % 2];
        let mut client = Client::new(address);
        match client.try_send("POST", "api", &target, &headers, body.as_bytes()) {
            Ok(answer) if answer.status != 503 => return Some(answer),
            Ok(_) | Err(_) => {
                load.retries.fetch_add(1, Ordering::Relaxed);
                if load.stop.load(Ordering::SeqCst) {
                    return None;
                }
                assert!(start.elapsed() < Duration::from_secs(30), "no answer for {path}");
                thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
    None
}

/// At least once each, from whichever gateway; what came twice carries the same id.
fn every_event_arrives(world: &RedisWorld, decided: &BTreeMap<String, &'static str>) {
    let read = || -> Vec<Value> {
        let files = world.nodes.iter().map(|node| node.folder.path().join("audit.jsonl"));
        files.flat_map(|file| oracle::events(&file)).collect()
    };
    let kind_of = |event: &Value| {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        (text("subject"), text("type"))
    };
    let events = eventually("every event", Duration::from_secs(30), || {
        let events = read();
        let told: BTreeSet<(String, String)> = events.iter().map(kind_of).collect();
        let arrived = |(id, status): (&String, &&str)| {
            told.contains(&(format!("requests/{id}"), format!("dev.tidegate.request.{status}.v1")))
        };
        decided.iter().all(arrived).then_some(events)
    });
    let mut ids: BTreeMap<(String, String), String> = BTreeMap::new();
    for event in events.iter().filter(|event| kind_of(event).0.starts_with("requests/")) {
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        let first = ids.entry(kind_of(event)).or_insert_with(|| id.clone());
        assert_eq!(*first, id, "a duplicate with another id: {event}");
    }
}
