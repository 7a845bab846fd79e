//! A server whose clock is wrong: refused when it is too far off, and never asked how long a grant
//! lasts.

use std::time::Duration;

use serde_json::json;

use crate::harness::eventually;
use crate::harness::tokens::now_millis;

use super::servers::{Program, Server, folder};
use super::world::RedisWorld;

fn off_by(seconds: i64) -> Server {
    let library = folder().join("lib/libfaketime.so.1").display().to_string();
    let shift = format!("{seconds:+}s");
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME", shift.as_str()),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    // The other server's allocator and libfaketime do not get along.
    let server = Server::start_with(Program::Valkey, &["--appendonly", "yes"], &environment);
    let told: i64 =
        super::resp::Raw::connect(server.address()).expect("the server").say(&["TIME"]).items()[0]
            .text()
            .parse()
            .expect("seconds");
    let now = i64::try_from(now_millis() / 1000).expect("a time");
    assert!((told - now - seconds).abs() < 5, "libfaketime: {told} at {now}");
    server
}

#[test]
fn a_server_whose_clock_is_an_hour_off_is_refused() {
    for seconds in [-3600, 3600] {
        let mut world = RedisWorld::without_gateways(off_by(seconds));
        world.join(|config| config);
        eventually("the clock to be looked at", Duration::from_secs(5), || {
            world.reasons(0).contains("clock").then_some(())
        });
        for target in ["/", "/me", "/policy"] {
            let answer = world.get(0, target, "alice");
            assert_eq!((answer.status, answer.problem().as_str()), (503, "clock-skew"), "{target}");
        }
        assert!(world.reasons(0).contains("clock"), "{}", world.reasons(0));
        let answer = super::outages::submit(&world, 0, "alice");
        assert_eq!(answer.status, 503, "{answer:?}");
        let counted = world.metric(0, "tidegate_store_errors_total{kind=\"clock-skew\"}");
        assert!(counted >= 3, "{counted}");
    }
}

#[test]
fn a_bound_that_is_raised_neither_extends_nor_shortens_a_grant() {
    for seconds in [-3600, 3600] {
        let mut world = RedisWorld::without_gateways(off_by(i64::from(seconds)));
        world.join(|config| {
            config.replace("drain_timeout: 2s", "drain_timeout: 2s, clock_skew: 2h")
        });
        world.is_ready(0);
        // This clock minus the store's.
        let told = eventually("the skew to be told", Duration::from_secs(5), || {
            let told = world.gauge(0, "tidegate_clock_skew_seconds");
            (told != 0.0).then_some(told)
        });
        assert!(
            (told + f64::from(seconds)).abs() < 5.0,
            "{told} s, the store is {seconds} s ahead"
        );
        let grant = world.grant_for("alice", &json!({ "duration": "PT3S" }));
        let end = world.api(0, "alice").get(&format!("/grants/{grant}")).json()["expires_at"]
            .as_str()
            .map(|text| tidegate::iso8601::parse_time(text).expect("a time").millis())
            .expect("an end");
        let mut allowed = 0;
        loop {
            let sent = now_millis();
            let status = world.whole_status(0, "alice");
            let answered = now_millis();
            // What is under way at the end is refused or broken off.
            if answered < end {
                assert_eq!(status, Some(200), "lost {} ms early", end - answered);
                allowed += 1;
            }
            if sent >= end {
                assert_eq!(status, Some(403), "let in {} ms late", sent - end);
                break;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        assert!(allowed > 10, "{allowed}");
        assert_eq!(world.visit(0, "alice").problem(), "grant-expired");
    }
}
