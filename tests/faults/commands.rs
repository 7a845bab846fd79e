//! `tidegate store status | show | reconcile` on a Redis that a gateway uses, and what `/metrics` says
//! of the store.

use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

use crate::harness::eventually;
use crate::harness::gateway::binary;

use super::proxy::{Fault, Rule};
use super::world::{PROMPT, RedisWorld, live_key};

fn store(world: &RedisWorld, arguments: &[&str]) -> Output {
    let config = world.nodes[0].folder.path().join("tidegate.yaml");
    let mut command = Command::new(binary());
    command.arg("store").args(arguments).arg("--config").arg(config).output().expect("a process")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json_of(world: &RedisWorld, arguments: &[&str]) -> Value {
    let output = store(world, &[arguments, &["--output", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn the_store_can_be_looked_at_beside_a_gateway_that_uses_it() {
    let mut world = RedisWorld::start();
    let (kept, ended) = (world.grant("alice"), world.grant("rita"));
    world.revoked(0, &ended);

    let status = json_of(&world, &["status"]);
    let partitions = status["partitions"].as_array().expect("partitions");
    assert_eq!(partitions.len(), 64);
    assert!(partitions.iter().all(|one| one["epoch"] == 1), "{status}");
    let open = |one: &Value| one["open_grants"].as_str().and_then(|text| text.parse::<u64>().ok());
    assert_eq!(partitions.iter().filter_map(open).sum::<u64>(), 1, "{status}");
    assert_eq!(status["store"]["back end"], "redis", "{status}");

    let alice = json_of(&world, &["show", "alice"]);
    assert_eq!(
        (&alice["grants"][0]["id"], &alice["grants"][0]["counts"]),
        (&kept.into(), &true.into())
    );
    let rita = json_of(&world, &["show", "rita"]);
    assert_eq!(
        (&rita["ended"][0]["id"], &rita["ended"][0]["why"]),
        (&ended.into(), &"revoked".into())
    );

    let nothing = store(&world, &["reconcile", "--gateways", "1"]);
    let told = text(&nothing.stdout);
    assert_eq!(nothing.status.code(), Some(0), "{told}{}", text(&nothing.stderr));
    assert!(told.contains("nothing to do"), "{told}");
    let missed = store(&world, &["reconcile", "--gateways", "2", "--wait", "200ms"]);
    assert_eq!(missed.status.code(), Some(1), "{}", text(&missed.stdout));
    assert_eq!((world.status(0, "alice"), world.status(0, "rita")), (200, 403));

    // A value that somebody edited is told, not passed over.
    let key = live_key("alice");
    let good = world.redis().get(key.as_str()).expect("a value");
    world.redis().set(key.as_str(), b"edited");
    let edited = store(&world, &["show", "alice"]);
    assert_eq!(edited.status.code(), Some(78), "{}", text(&edited.stdout));
    assert!(text(&edited.stderr).contains("cannot be trusted"), "{}", text(&edited.stderr));
    world.redis().set(key.as_str(), &good);

    world.server.kill();
    // Each tries for three seconds.
    thread::scope(|scope| {
        for arguments in [&["status"][..], &["show", "alice"], &["reconcile", "--gateways", "1"]] {
            let world = &world;
            scope.spawn(move || {
                assert_eq!(store(world, arguments).status.code(), Some(69), "{arguments:?}");
            });
        }
    });
    world.server.restart();
    world.recovers("alice");
}

#[test]
fn what_went_wrong_with_the_store_is_told_by_kind() {
    let world = RedisWorld::start();
    world.grant("alice");
    assert_eq!(world.status(0, "alice"), 200);
    let of = |kind: &str| {
        let name = format!("tidegate_store_errors_total{{kind=\"{kind}\"}}");
        world.metric(0, &name)
    };
    world.proxy.refuse();
    assert_eq!(world.status(0, "alice"), 503);
    assert!(of("unreachable") > 0);
    world.proxy.heal();
    world.recovers("alice");
    let late = of("deadline");
    world.proxy.rule(Rule::all(Fault::Hold));
    eventually("a deadline to be missed", PROMPT, || {
        assert_eq!(world.status(0, "alice"), 503);
        (of("deadline") > late).then_some(())
    });
    world.proxy.heal();
    world.recovers("alice");
    assert_eq!((of("rolled-back"), of("missing"), of("grant-record-invalid")), (0, 0, 0));
}
