//! Many people decide the same requests at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{World, oracle, scale};

const CLIENTS: usize = 50;

#[test]
fn fifty_people_deciding_at_once_give_one_outcome_each() {
    let world = World::start();
    let count = scale(40, 10_000);
    let ids: Vec<String> = (0..count)
        .map(|n| {
            world.api(&format!("user-{n}")).submit("reader")["id"]
                .as_str()
                .expect("an id")
                .to_owned()
        })
        .collect();
    let decided: Vec<AtomicUsize> = ids.iter().map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (ids, decided, world) = (&ids, &decided, &world);
            scope.spawn(move || {
                let approver = ["bob", "ben", "bea"][client % 3];
                let mut api = world.api(approver);
                for (n, id) in ids.iter().enumerate() {
                    let (verb, body) = match (client + n) % 3 {
                        0 => ("approve", json!({})),
                        1 => ("deny", json!({ "reason": "no" })),
                        _ => ("cancel", json!({})),
                    };
                    let path = format!("/requests/{id}/{verb}");
                    let answer = if verb == "cancel" {
                        world.api(&format!("user-{n}")).post(&path, &body)
                    } else {
                        api.post(&path, &body)
                    };
                    match answer.status {
                        200 => {
                            decided[n].fetch_add(1, Ordering::SeqCst);
                        }
                        409 => assert_eq!(answer.problem(), "already-decided", "{answer:?}"),
                        other => panic!("{other}: {answer:?}"),
                    }
                }
            });
        }
    });
    for (n, times) in decided.iter().enumerate() {
        assert_eq!(times.load(Ordering::SeqCst), 1, "request {n} was decided more than once");
    }
    check_outcomes(&world, &ids);
}

/// At most one grant per request, and one decision event that agrees with its state.
fn check_outcomes(world: &World, ids: &[String]) {
    let mut api = world.api("bob");
    let requests: Vec<Value> =
        ids.iter().map(|id| api.get(&format!("/requests/{id}")).json()).collect();
    let audit = world.audit_file();
    let decisions = ["request.approved", "request.denied", "request.cancelled"];
    let events =
        crate::harness::eventually("every event", std::time::Duration::from_secs(30), || {
            let events = oracle::events(&audit);
            let decided = events.iter().filter(|event| is_one_of(event, &decisions)).count();
            (decided >= ids.len()).then_some(events)
        });
    for request in requests {
        let status = request["status"].as_str().expect("a status");
        let grants = request["grants"].as_array().map_or(0, Vec::len);
        assert_eq!(grants, usize::from(status == "approved"), "{request}");
        let subject = format!("requests/{}", request["id"].as_str().expect("an id"));
        let mut of_request = events
            .iter()
            .filter(|event| event["subject"] == subject.as_str() && is_one_of(event, &decisions));
        let only = of_request.next().expect("a decision event");
        assert!(is_one_of(only, &[&format!("request.{status}")]), "{only}");
        assert!(of_request.next().is_none(), "two decision events for {subject}");
    }
}

fn is_one_of(event: &Value, names: &[&str]) -> bool {
    let kind = event["type"].as_str().unwrap_or_default();
    names.iter().any(|name| kind == format!("dev.tidegate.{name}.v1"))
}
