//! What a gateway makes of the server that it finds when it starts.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tidegate::store::keys;

use crate::harness::eventually;

use super::outages::everything_is_refused;
use super::servers::{Program, Server};
use super::world::{RECOVERY, RedisWorld, beside_url, sealer};

#[test]
fn a_gateway_starts_without_its_server_and_heals_by_itself() {
    let mut world = RedisWorld::without_gateways(Server::redis());
    world.server.kill();
    world.join(|config| config);
    let reasons = world.reasons(0);
    assert!(reasons.contains("\"store\""), "{reasons}");
    everything_is_refused(&world);
    world.server.restart();
    eventually("the gateway to be ready", RECOVERY, || world.reasons(0).is_empty().then_some(()));
    assert_eq!(world.visit(0, "alice").problem(), "no-grant");
    world.grant("alice");
    assert_eq!(world.status(0, "alice"), 200);
}

#[test]
fn a_gateway_starts_while_the_server_loads_or_says_nothing() {
    use super::proxy::{Fault, Rule};
    for fault in [Fault::error("LOADING Redis is loading the dataset in memory"), Fault::Hold] {
        let mut world = RedisWorld::without_gateways(Server::redis());
        world.proxy.rule(Rule::all(fault));
        world.join(|config| config);
        assert!(!world.reasons(0).is_empty());
        assert_eq!(world.status(0, "alice"), 503);
        world.proxy.heal();
        eventually("the gateway to be ready", RECOVERY, || {
            world.reasons(0).is_empty().then_some(())
        });
    }
}

#[test]
fn two_gateways_that_start_at_once_initialise_an_empty_store_once() {
    let mut world = RedisWorld::without_gateways(Server::redis());
    world.server.kill();
    world.join(|config| config);
    world.join(|config| config);
    world.server.restart();
    for node in 0..2 {
        eventually("the gateway to be ready", RECOVERY, || {
            world.reasons(node).is_empty().then_some(())
        });
    }
    world.grant("alice");
    assert_eq!((world.status(0, "alice"), world.status(1, "alice")), (200, 200));
    assert_eq!(
        world.api(1, "alice").get("/grants").json()["items"].as_array().map(Vec::len),
        Some(1)
    );
}

/// The exit code 78 and every one of `words`, and no password.
fn misfit(world: &RedisWorld, words: &[&str], change: impl FnOnce(String) -> String) {
    misfit_of(world, words, change, |_| ());
}

fn misfit_of(
    world: &RedisWorld,
    words: &[&str],
    change: impl FnOnce(String) -> String,
    prepare: impl FnOnce(&Path),
) {
    let (code, told) = world.refused_start(change, prepare);
    assert_eq!(code, Some(78), "{told}");
    let low = told.to_lowercase();
    for word in words {
        assert!(low.contains(word), "{word:?} is not in {told}");
    }
    for secret in ["canary-of-a-password", "another-canary"] {
        assert!(!told.contains(secret), "{told}");
    }
}

const RIGHT: &str = "password: canary-of-a-password";
const WRONG: &str = "password: another-canary";

#[test]
fn a_wrong_password_is_refused_at_start() {
    let server = Server::start(Program::Redis, &["--appendonly", "yes"]);
    let mut world = RedisWorld::without_gateways(server);
    world.redis().say(&["CONFIG", "SET", "requirepass", "canary-of-a-password"]);
    misfit(&world, &["password"], beside_url(WRONG));
    misfit(&world, &["password"], |config| config);
    world.join(beside_url(RIGHT));
    assert_eq!(world.visit(0, "alice").problem(), "no-grant");
    assert!(!world.logs().contains("canary-of-a-password"));
}

#[test]
fn a_database_that_the_server_does_not_have_is_refused_at_start() {
    let server = Server::start(Program::Redis, &["--appendonly", "yes", "--databases", "2"]);
    let mut world = RedisWorld::without_gateways(server);
    misfit(
        &world,
        &["database 5", "out of range", "store.redis.database"],
        beside_url("database: 5"),
    );
    world.join(beside_url("database: 1"));
    assert_eq!(world.visit(0, "alice").problem(), "no-grant");
}

#[test]
fn a_replica_is_refused_at_start() {
    let primary = Server::redis();
    let (host, port) = ("127.0.0.1", primary.port.to_string());
    let replica = Server::start(Program::Redis, &["--replicaof", &format!("{host} {port}")]);
    let world = RedisWorld::without_gateways(replica);
    misfit(&world, &["replica", "primary"], |config| config);
}

#[test]
fn other_seal_keys_are_refused_at_start() {
    let world = RedisWorld::start();
    let other = |folder: &Path| fs::write(folder.join("seal.key"), [9; 32]).expect("written");
    misfit_of(&world, &["seal_keys"], |config| config, other);
    misfit(&world, &["seal_keys"], |config| config.replace("id: k1", "id: k2"));
}

/// `tg:meta` as a gateway of another kind would have sealed it.
fn with_meta(world: &RedisWorld, content: &serde_json::Value) {
    let key = keys::meta();
    let mut redis = world.redis();
    assert!(redis.get(key.as_str()).is_some(), "the store is initialised");
    redis.set(key.as_str(), &sealer().seal(&key, 0, content.to_string().as_bytes()));
}

#[test]
fn another_number_of_partitions_is_refused_at_start() {
    let world = RedisWorld::start();
    with_meta(&world, &json!({ "format": 1, "partitions": 32 }));
    misfit(&world, &["32", "64", "partitions"], |config| config);
}

#[test]
fn a_store_of_a_newer_version_is_refused_at_start() {
    let world = RedisWorld::start();
    with_meta(&world, &json!({ "format": 7, "partitions": 64 }));
    misfit(&world, &["7", "1", "format"], |config| config);
}

#[test]
fn a_forged_description_of_the_store_is_refused_at_start() {
    let world = RedisWorld::start();
    let mut redis = world.redis();
    let good = redis.get("tg:meta").expect("a value");
    for cut in [0, 1, 20, good.len() - 1] {
        redis.set("tg:meta", &good[..cut]);
        misfit(&world, &["seal"], |config| config);
    }
    redis.set("tg:meta", &good);
}

#[test]
fn a_server_that_evicts_is_refused_in_production_and_warned_of_in_development() {
    let evicting =
        ["--appendonly", "yes", "--maxmemory-policy", "allkeys-lru", "--requirepass", "secret"];
    let mut world = RedisWorld::without_gateways(Server::start(Program::Redis, &evicting));
    let production = |config: String| {
        beside_url("password: secret")(
            config.replace("environment: development", "environment: production"),
        )
    };
    misfit(&world, &["maxmemory-policy", "allkeys-lru", "noeviction"], production);
    world.join(beside_url("password: secret"));
    eventually("the warning", Duration::from_secs(5), || {
        world.nodes[0].gateway.log().contains("maxmemory-policy").then_some(())
    });
    assert_eq!(world.visit(0, "alice").problem(), "no-grant");
}

#[test]
fn a_store_that_turns_out_not_to_fit_later_is_not_read_either() {
    let mut world = RedisWorld::start();
    world.grant("alice");
    assert_eq!(world.status(0, "alice"), 200);
    world.proxy.refuse();
    with_meta(&world, &json!({ "format": 7, "partitions": 64 }));
    world.join(|config| config);
    world.proxy.heal();
    let why = eventually("it to be found not to fit", RECOVERY, || {
        let reasons = world.reasons(1);
        assert_eq!(world.status(1, "alice"), 503);
        reasons.contains("format").then_some(reasons)
    });
    everything_is_refused_at(&world, 1);
    assert!(why.contains('7'), "{why}");
}

fn everything_is_refused_at(world: &RedisWorld, node: usize) {
    for target in ["/", "/me", "/policy"] {
        assert_eq!(world.get(node, target, "alice").status, 503, "{target}");
    }
}
