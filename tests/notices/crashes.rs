//! The gateway is killed at random moments under load: whatever it acknowledged arrives at the
//! endpoint, and what arrives again has the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::receiver::{Receiver, Reply};
use super::{Hook, Kept, Scene, is_genuine, template};
use crate::harness::{World, eventually, gateway, scale};

on_both_stores!(every_acknowledged_transition_arrives_although_the_gateway_is_killed);

const CLIENTS: usize = 4;
/// So many more transitions than it takes: what is not delivered meanwhile has to be afterwards.
const AHEAD: usize = 50;
/// A process that takes over waits until the lease of the killed one is over.
const LEASE: Duration = Duration::from_secs(60);

/// Resource and type of what a caller was told is so.
type Acknowledged = BTreeSet<(String, String)>;

fn every_acknowledged_transition_arrives_although_the_gateway_is_killed(kept: Kept) {
    let receiver = Receiver::start(Reply::Status(200));
    let templates = json!([template("asked", &["leads"], &json!({}))]);
    let mut scene = Scene::start(kept, &templates, &[Hook::to("siem", &receiver)]);
    scene.world.oracle = false;
    let (acknowledged, number) = (Mutex::new(Acknowledged::new()), AtomicUsize::new(0));
    let rounds = scale(3, 60);
    for round in 0..rounds {
        // Sometimes it dies in the middle of a call.
        let is_held = round % 4 == 0;
        receiver.behave(if is_held { Reply::Held } else { Reply::Status(200) });
        let arrived = receiver.count();
        let enough = acknowledged.lock().expect("no panic").len() + 1 + round % 7;
        let most = enough + AHEAD;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let (world, acknowledged, number) = (&scene.world, &acknowledged, &number);
                let stop = &stop;
                scope
                    .spawn(move || decide_until_it_dies(world, acknowledged, number, (stop, most)));
            }
            eventually("some transitions", LEASE, || {
                let there = acknowledged.lock().expect("no panic").len() >= enough;
                let calls = !is_held || receiver.count() > arrived;
                (there && calls).then_some(())
            });
            gateway::signal(scene.world.gateway.pid(), "KILL");
            stop.store(true, Ordering::SeqCst);
        });
        receiver.behave(Reply::Status(200));
        scene.restart();
    }
    let acknowledged = acknowledged.into_inner().expect("no panic");
    everything_arrives(&receiver, &acknowledged, rounds);
}

fn everything_arrives(receiver: &Receiver, acknowledged: &Acknowledged, rounds: usize) {
    let calls = eventually("every event", LEASE, || {
        let calls = receiver.calls();
        let told: Acknowledged =
            calls.iter().map(|call| (call.text("subject").into(), call.kind().into())).collect();
        acknowledged.is_subset(&told).then_some(calls)
    });
    let mut ids: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for call in &calls {
        is_genuine(call);
        let first = ids.entry((call.text("subject"), call.kind())).or_insert_with(|| call.id());
        assert_eq!(*first, call.id(), "a duplicate with another id: {call:?}");
    }
    let (transitions, again) = (acknowledged.len(), calls.len() - ids.len());
    println!(
        "proof: {rounds} kills, {transitions} transitions acknowledged, {again} calls again, 0 lost"
    );
    assert!(again > 0, "calls were under way when it was killed");
}

/// Asks and decides until the connection breaks; notes only what was acknowledged.
fn decide_until_it_dies(
    world: &World,
    acknowledged: &Mutex<Acknowledged>,
    number: &AtomicUsize,
    (stop, most): (&AtomicBool, usize),
) {
    while !stop.load(Ordering::SeqCst) {
        if acknowledged.lock().expect("no panic").len() > most {
            thread::park_timeout(Duration::from_millis(10));
            continue;
        }
        let n = number.fetch_add(1, Ordering::SeqCst);
        let ask = json!({ "template": "asked", "justification": "x" });
        let Some(made) = try_post(world, &format!("user-{n}"), "/requests", &ask, 201) else {
            return;
        };
        let id = made["id"].as_str().expect("an id");
        note(acknowledged, format!("requests/{id}"), "request.submitted");
        let is_approved = n.is_multiple_of(2);
        let (verb, kind) =
            if is_approved { ("approve", "request.approved") } else { ("deny", "request.denied") };
        let path = format!("/requests/{id}/{verb}");
        let Some(decided) = try_post(world, "bob", &path, &json!({}), 200) else { return };
        note(acknowledged, format!("requests/{id}"), kind);
        if is_approved {
            let grant = decided["grants"][0].as_str().expect("a grant");
            note(acknowledged, format!("grants/{grant}"), "grant.activated");
        }
    }
}

fn note(acknowledged: &Mutex<Acknowledged>, resource: String, kind: &str) {
    acknowledged.lock().expect("no panic").insert((resource, kind.to_owned()));
}

/// Asks again under the same key while a busy machine lets the store be late. `None`: it died before it
/// answered.
fn try_post(world: &World, user: &str, path: &str, body: &Value, expected: u16) -> Option<Value> {
    let mut api = world.api(user);
    let (bearer, key) = (format!("Bearer {}", api.token), format!("{user} {path}"));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", key.as_str()),
    ];
    let (target, body) = (format!("/api/v1{path}"), body.to_string());
    loop {
        let answer = api.client.try_send("POST", "api", &target, &headers, body.as_bytes()).ok()?;
        if answer.status != 503 {
            assert_eq!(answer.status, expected, "{answer:?}");
            return Some(answer.json());
        }
        thread::park_timeout(Duration::from_millis(10));
    }
}
