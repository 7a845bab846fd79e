//! Revocation and expiry bind the very next request.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::tokens::now_millis;
use crate::harness::{World, eventually, oracle, scale};

const CONNECTIONS: usize = 64;

#[test]
fn no_request_that_starts_after_an_acknowledged_revocation_is_allowed() {
    let world = World::start();
    let request = world.grant("alice");
    let grant = request["grants"][0].as_str().expect("a grant").to_owned();
    let token = world.token("alice");
    let (revoked, allowed_after) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (allowed_before, refused_after) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let closed_after = AtomicUsize::new(0);
    let each = scale(10_000, 200_000) / CONNECTIONS;
    let start = Barrier::new(CONNECTIONS + 1);
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = world.proxy();
                start.wait();
                let mut after = 0;
                while after < each {
                    // Read before the request is sent: a request counts as "after" only when the
                    // acknowledgement was in hand before its first byte.
                    let is_after = revoked.load(Ordering::SeqCst);
                    let status = client.get("warehouse.localhost", "/", Some(&token)).status;
                    match (is_after, status) {
                        (true, 403) => refused_after.fetch_add(1, Ordering::Relaxed),
                        // A store that is too slow for its deadline lets nobody in.
                        (true, 503) => closed_after.fetch_add(1, Ordering::Relaxed),
                        (true, _) => allowed_after.fetch_add(1, Ordering::Relaxed),
                        (false, 200) => allowed_before.fetch_add(1, Ordering::Relaxed),
                        (false, _) => 0,
                    };
                    after += usize::from(is_after);
                }
            });
        }
        start.wait();
        eventually("requests to be allowed", Duration::from_secs(30), || {
            (allowed_before.load(Ordering::Relaxed) >= CONNECTIONS).then_some(())
        });
        let answer =
            world.api("bob").post(&format!("/grants/{grant}/revoke"), &json!({ "reason": "over" }));
        assert_eq!(answer.status, 200, "{answer:?}");
        revoked.store(true, Ordering::SeqCst);
    });
    assert_eq!(allowed_after.into_inner(), 0);
    let refused = refused_after.into_inner();
    let closed = closed_after.into_inner();
    println!(
        "revocation: 0 of {refused} requests allowed after the acknowledgement, {closed} answered 503"
    );
    assert!(refused + closed >= each * CONNECTIONS && closed * 10 <= refused);
}

#[test]
fn no_request_sent_at_or_after_the_end_is_allowed() {
    let world = World::start();
    let id = world.api("alice").submit("reader")["id"].as_str().expect("an id").to_owned();
    let answer =
        world.api("bob").post(&format!("/requests/{id}/approve"), &json!({ "duration": "PT1S" }));
    assert_eq!(answer.status, 200, "{answer:?}");
    let grant = answer.json()["grants"][0].as_str().expect("a grant").to_owned();
    let expires_at = world.api("alice").get(&format!("/grants/{grant}")).json()["expires_at"]
        .as_str()
        .map(|text| tidegate::iso8601::parse_time(text).expect("a time").millis())
        .expect("an end");
    let bearer = format!("Bearer {}", world.token("alice"));
    let headers = [("authorization", bearer.as_str())];
    let mut client = world.proxy();
    let (mut before, mut late, mut sent) = (0, 0, 0);
    // Steps of one millisecond, from well before the end until well after it.
    let mut step = expires_at.saturating_sub(200);
    while step < expires_at + 200 {
        while now_millis() < step {
            std::hint::spin_loop();
        }
        let sent_at = now_millis();
        let answer = client.try_send("GET", "warehouse.localhost", "/", &headers, b"");
        // An answer that was still on its way at the end is cut with it.
        let status = match answer {
            Ok(answer) => answer.status,
            Err(cut) => {
                assert!(sent_at < expires_at, "{cut}");
                0
            }
        };
        match (sent_at >= expires_at, status) {
            (true, 200) => late += 1,
            (true, _) => sent += 1,
            (false, 200) => before += 1,
            (false, _) => (),
        }
        step = now_millis().max(step) + 1;
    }
    println!("expiry: {before} allowed before, {late} of {sent} allowed at or after the end");
    assert!(before > 0 && sent > 0);
    assert_eq!(late, 0);
    let refused = world.visit("alice");
    assert_eq!((refused.status, refused.problem().as_str()), (403, "grant-expired"));
    // The timer records the end exactly once.
    eventually("the event of the expiry", Duration::from_secs(10), || {
        let events = oracle::events(&world.audit_file());
        let mut expired = events.iter().filter(|e| e["type"] == "dev.tidegate.grant.expired.v1");
        let first = expired.next()?;
        assert!(first["traceparent"].is_string(), "a timer begins a trace of its own: {first}");
        expired.next().is_none().then_some(())
    });
}
