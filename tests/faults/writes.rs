//! Faults that only stop writes, and a store out of memory: requests go on, and access can still be
//! taken away.

use std::time::Duration;

use serde_json::json;

use crate::harness::eventually;

use super::outages::{prepared, submit, without_access_nobody_gets_in};
use super::proxy::{Fault, Rule};
use super::resp::Raw;
use super::servers::{Program, Server};
use super::world::{RECOVERY, RedisWorld};

const SCRIPTS: [&str; 4] = ["EVALSHA", "EVAL", "FCALL", "EXEC"];

/// While nothing can be written, whoever has a grant is let in, and nobody gets a new one.
fn no_writes(fault: impl FnOnce(&RedisWorld), end: impl FnOnce(&RedisWorld)) {
    no_writes_on(Server::redis(), fault, end);
}

fn no_writes_on(server: Server, fault: impl FnOnce(&RedisWorld), end: impl FnOnce(&RedisWorld)) {
    let world = prepared(server);
    let pending = world.api(0, "eve").submit("reader")["id"].as_str().expect("an id").to_owned();
    fault(&world);
    let approve = format!("/requests/{pending}/approve");
    for _ in 0..3 {
        assert_eq!(world.status(0, "alice"), 200);
        without_access_nobody_gets_in(&world);
        for answer in [submit(&world, 0, "nora"), world.api(0, "bob").post(&approve, &json!({}))] {
            assert_eq!(answer.status, 503, "{answer:?}");
        }
    }
    end(&world);
    eventually("writes to work again", RECOVERY, || {
        (world.api(0, "bob").post(&approve, &json!({})).status == 200).then_some(())
    });
    assert_eq!(world.status(0, "eve"), 200);
}

fn answered(text: &str) {
    let rule = Rule::of(&SCRIPTS, Fault::error(text));
    no_writes(|world| world.proxy.rule(rule), |world| world.proxy.heal());
}

#[test]
fn requests_go_on_while_the_server_takes_no_writes_because_it_cannot_save() {
    let fail = |world: &RedisWorld| {
        // What cannot be replaced by a snapshot: a folder that is not empty.
        let folder = world.server.folder.path().join("taken");
        std::fs::create_dir_all(folder.join("inside")).expect("a folder");
        let mut redis = world.redis();
        redis.say(&["CONFIG", "SET", "dbfilename", "taken"]);
        redis.say(&["CONFIG", "SET", "save", "3600 1"]);
        redis.say(&["BGSAVE"]);
        eventually("the snapshot to fail", Duration::from_secs(10), || {
            let refused = redis.try_ask(&[b"SET", b"probe", b"1"]).expect("a reply");
            refused.text().starts_with("MISCONF").then_some(())
        });
    };
    let end = |world: &RedisWorld| {
        world.redis().say(&["CONFIG", "SET", "save", ""]);
    };
    let arguments = ["--appendonly", "yes", "--enable-protected-configs", "yes"];
    no_writes_on(Server::start(Program::Redis, &arguments), fail, end);
}

#[test]
fn requests_go_on_while_the_disk_is_full() {
    answered("MISCONF Errors writing to the AOF file: No space left on device");
}

#[test]
fn requests_go_on_while_scripts_are_refused_as_on_a_replica() {
    answered("READONLY You can't write against a read only script.");
}

#[test]
fn requests_go_on_while_scripts_are_refused_for_memory() {
    answered("OOM command not allowed when used memory > 'maxmemory'.");
}

#[test]
fn requests_go_on_while_the_replies_to_writes_are_lost() {
    let rule = Rule::of(&SCRIPTS, Fault::DropEvery(1));
    let world = prepared(Server::redis());
    world.proxy.rule(rule);
    let answer = submit(&world, 0, "nora");
    // It was carried out, and whether the gateway finds that out in time is open.
    assert!(answer.status == 503 || answer.status == 201, "{answer:?}");
    assert_eq!(world.status(0, "alice"), 200);
    without_access_nobody_gets_in(&world);
    world.proxy.heal();
    world.recovers("alice");
}

#[test]
fn a_script_that_the_server_forgot_is_loaded_again() {
    let world = prepared(Server::redis());
    world.redis().say(&["SCRIPT", "FLUSH"]);
    world.grant("nora");
    assert_eq!(world.status(0, "nora"), 200);
}

fn out_of_memory(redis: &mut Raw) {
    assert!(redis.say(&["CONFIG", "GET", "maxmemory-policy"]).text().contains("noeviction"));
    redis.say(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = redis.try_ask(&[b"SET", b"probe", b"1"]).expect("a reply");
    assert!(refused.text().starts_with("OOM"), "{}", refused.text());
}

#[test]
fn access_can_be_taken_away_and_nothing_else_written_while_memory_is_full() {
    let world = prepared(Server::redis());
    let (revoked, released) = (world.grant("nora"), world.grant("omar"));
    world.grant("pia");
    let pending = world.api(0, "eve").submit("reader")["id"].as_str().expect("an id").to_owned();
    world.grant_for("quinn", &json!({ "duration": "PT3S" }));
    let over = world.api(0, "uma").submit("reader")["id"].as_str().expect("an id").to_owned();
    let denied = world.api(0, "bob").post(&format!("/requests/{over}/deny"), &json!({}));
    assert_eq!(denied.status, 200, "{denied:?}");
    for user in ["nora", "omar", "pia", "quinn"] {
        assert_eq!(world.status(0, user), 200, "{user}");
    }
    out_of_memory(&mut world.redis());

    assert_eq!(world.status(0, "alice"), 200, "proxied requests go on");
    let approve = format!("/requests/{pending}/approve");
    let writes = [
        submit(&world, 0, "tara"),
        world.api(0, "bob").post(&approve, &json!({})),
        world.api(0, "bob").post(&format!("/requests/{pending}/comments"), &json!({ "text": "x" })),
        world.api(0, "bob").post(&format!("/requests/{over}/comments"), &json!({ "text": "x" })),
    ];
    for answer in writes {
        assert!(answer.status == 503 || answer.status == 404, "{answer:?}");
    }
    assert_eq!(world.status(0, "eve"), 403);

    world.revoked(0, &revoked);
    let release = format!("/grants/{released}/release");
    assert_eq!(world.api(0, "omar").post(&release, &json!({})).status, 200);
    for user in ["nora", "omar"] {
        assert_eq!(world.status(0, user), 403, "{user}");
    }
    // The timer records the end of what ran out.
    eventually("the expiry to be recorded", Duration::from_secs(15), || {
        let list = world.api(0, "bob").get("/grants?status=expired").json();
        let names = |item: &serde_json::Value| item["subject"] == "quinn";
        list["items"].as_array().is_some_and(|items| items.iter().any(names)).then_some(())
    });
    assert_eq!(world.visit(0, "quinn").problem(), "grant-expired");
    let kill = json!({ "tool": "warehouse", "reason": "incident" });
    let thrown = world.api(0, "carol").post("/revocations", &kill);
    assert_eq!(thrown.status, 200, "{thrown:?}");
    for user in ["alice", "pia"] {
        assert_eq!(world.status(0, user), 403, "{user}");
    }
    eventually("the sweep", Duration::from_secs(15), || {
        let list = world.api(0, "bob").get("/grants?status=revoked").json();
        list["items"].as_array().is_some_and(|items| items.len() >= 4).then_some(())
    });
    world.redis().say(&["CONFIG", "SET", "maxmemory", "0"]);
    eventually("writes to work again", RECOVERY, || {
        (submit(&world, 0, "tara").status == 201).then_some(())
    });
}
