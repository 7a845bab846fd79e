//! Somebody who can write to Redis and has no seal key gets no access, and is noticed.

use tidegate::store::keys;

use crate::harness::eventually;

use super::outages::{prepared, without_access_nobody_gets_in};
use super::servers::Server;
use super::world::{PROMPT, RedisWorld, live_key, partition, subject};

/// With this under the live key of `alice`: she is not let in, `policy` and `authenticated` routes
/// refuse too, it is logged and counted; and with the old value back she is let in at once.
fn invalid(world: &RedisWorld, what: &str, value: &[u8]) {
    let key = live_key("alice");
    let mut redis = world.redis();
    let good = redis.get(key.as_str()).expect("a live value");
    let (counted, logged) = (world.invalid_records(0), refusals_logged(world));
    redis.set(key.as_str(), value);
    for target in ["/", "/me", "/policy"] {
        let answer = world.get(0, target, "alice");
        assert_eq!(answer.status, 503, "{what}, {target}: {answer:?}");
    }
    assert_eq!(world.invalid_records(0) - counted, 3, "{what} is counted");
    eventually("it to be logged", PROMPT, || (refusals_logged(world) > logged).then_some(()));
    redis.set(key.as_str(), &good);
    assert_eq!(world.status(0, "alice"), 200, "{what} is gone");
}

fn refusals_logged(world: &RedisWorld) -> usize {
    let log = world.nodes[0].gateway.log();
    log.lines().filter(|line| line.contains("cannot be trusted")).count()
}

#[test]
fn an_edited_live_value_lets_nobody_in_and_is_logged_and_counted() {
    let world = prepared(Server::redis());
    let good = world.redis().get(live_key("alice").as_str()).expect("a live value");
    let edited = |place: usize| {
        let mut value = good.clone();
        value[place] ^= 1;
        value
    };
    invalid(&world, "an old format", &[&[0][..], &good[1..]].concat());
    invalid(&world, "a newer format", &[&[2][..], &good[1..]].concat());
    invalid(&world, "another version", &edited(8));
    invalid(&world, "another key", &edited(10));
    invalid(&world, "another seal", &edited(14));
    invalid(&world, "another content", &edited(good.len() - 1));
    invalid(&world, "a truncated value", &good[..good.len() / 2]);
    invalid(&world, "an empty value", b"");
    invalid(&world, "a longer value", &[&good[..], b"x"].concat());
    invalid(&world, "garbage", b"\xff\x00garbage that nobody sealed");
    without_access_nobody_gets_in(&world);
}

#[test]
fn a_live_value_copied_to_another_subject_lets_nobody_in() {
    let world = prepared(Server::redis());
    let mut redis = world.redis();
    let good = redis.get(live_key("alice").as_str()).expect("a live value");
    for user in ["eve", "rita"] {
        let counted = world.invalid_records(0);
        redis.set(live_key(user).as_str(), &good);
        for _ in 0..3 {
            assert_eq!(world.status(0, user), 503, "{user}");
        }
        assert!(world.invalid_records(0) > counted);
    }
    redis.say(&["DEL", live_key("eve").as_str()]);
    assert_eq!(world.status(0, "eve"), 403);
    assert_eq!(world.status(0, "alice"), 200);
}

#[test]
fn a_live_value_of_the_wrong_type_is_no_grant_and_a_head_or_markers_of_one_refuse() {
    let world = prepared(Server::redis());
    let mut redis = world.redis();
    let partition = partition("alice");
    let bases = [keys::head(partition), keys::markers(partition)];
    for key in bases {
        let good = redis.get(key.as_str()).expect("a value");
        redis.say(&["DEL", key.as_str()]);
        redis.say(&["RPUSH", key.as_str(), "wrong"]);
        everything_is_refused_for_alice(&world);
        redis.say(&["DEL", key.as_str()]);
        everything_is_refused_for_alice(&world);
        redis.set(key.as_str(), &good);
        assert_eq!(world.status(0, "alice"), 200);
    }
    let live = live_key("alice");
    redis.say(&["DEL", live.as_str()]);
    redis.say(&["RPUSH", live.as_str(), "wrong"]);
    assert_eq!(world.status(0, "alice"), 403);
}

fn everything_is_refused_for_alice(world: &RedisWorld) {
    for target in ["/", "/me", "/policy"] {
        assert_eq!(world.get(0, target, "alice").status, 503, "{target}");
    }
}

#[test]
fn an_older_sealed_value_put_back_gives_no_access_where_the_newer_one_was_known() {
    let world = RedisWorld::gateways(2);
    let grant = world.grant("alice");
    let key = live_key("alice");
    let mut redis = world.redis();
    let old = redis.get(key.as_str()).expect("a live value");
    world.revoked(0, &grant);
    // The second gateway knows the newer value from reading it.
    assert_eq!((world.status(0, "alice"), world.status(1, "alice")), (403, 403));
    redis.set(key.as_str(), &old);
    for node in [0, 1] {
        let errors = world.metric(node, "tidegate_store_errors_total{kind=\"rolled-back\"}");
        for _ in 0..3 {
            assert_eq!(world.status(node, "alice"), 503);
        }
        assert!(world.metric(node, "tidegate_store_errors_total{kind=\"rolled-back\"}") > errors);
    }
}

#[test]
fn deleted_edited_or_older_markers_refuse() {
    let world = prepared(Server::redis());
    let mut redis = world.redis();
    let key = keys::markers(partition("alice"));
    let good = redis.get(key.as_str()).expect("markers");
    let errors = world.store_errors(0);
    redis.say(&["DEL", key.as_str()]);
    everything_is_refused_for_alice(&world);
    for place in [0, 5, 14, good.len() - 1] {
        let mut edited = good.clone();
        edited[place] ^= 1;
        redis.set(key.as_str(), &edited);
        everything_is_refused_for_alice(&world);
    }
    redis.set(key.as_str(), b"");
    everything_is_refused_for_alice(&world);
    assert!(world.store_errors(0) - errors >= 18, "each is counted");
    redis.set(key.as_str(), &good);
    assert_eq!(world.status(0, "alice"), 200);

    // A kill switch, and the markers of before put back.
    let body = serde_json::json!({ "tool": "warehouse", "reason": "incident" });
    assert_eq!(world.api(0, "carol").post("/revocations", &body).status, 200);
    assert_eq!(world.status(0, "alice"), 403);
    redis.set(key.as_str(), &good);
    everything_is_refused_for_alice(&world);
}

#[test]
fn a_forged_subject_record_request_or_head_makes_no_grant() {
    let world = prepared(Server::redis());
    let id = world.api(0, "eve").submit("reader")["id"].as_str().expect("an id").to_owned();
    let mut redis = world.redis();
    let home = partition("eve");
    let record = keys::subject(home, subject("eve").key());
    let request = keys::request(id.parse().expect("an id"));
    let approve = format!("/requests/{id}/approve");
    for key in [record, request] {
        let good = redis.get(key.as_str()).expect("a record");
        let mut edited = good.clone();
        *edited.last_mut().expect("not empty") ^= 1;
        let head = good.len() / 2;
        for value in [&edited[..], &good[..head], b""] {
            redis.set(key.as_str(), value);
            let answer = world.api(0, "bob").post(&approve, &serde_json::json!({}));
            assert_eq!(answer.status, 503, "{key}: {answer:?}");
            assert_eq!(world.status(0, "eve"), 403);
        }
        redis.set(key.as_str(), &good);
    }
    let key = keys::head(home);
    let good = redis.get(key.as_str()).expect("a head");
    for value in [&b"9 9 x"[..], b"", b"1 1", b"2 2 00000000000000000000000000000000"] {
        redis.set(key.as_str(), value);
        assert_eq!(world.status(0, "eve"), 503, "{}", String::from_utf8_lossy(value));
    }
    // A head of the future: the partition may close over it, and nobody gets in by it.
    redis.set(key.as_str(), b"1 999999 00000000000000000000000000000000");
    assert_ne!(world.status(0, "eve"), 200);
    redis.set(key.as_str(), &good);
    assert_ne!(world.status(0, "eve"), 200);
}
