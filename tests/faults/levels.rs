//! The level `replicated`: what it confirmed survives a promotion, and what it could not confirm
//! says so and gives nothing.

use std::time::Duration;

use serde_json::json;

use crate::harness::{eventually, scale};

use super::lost::replica_of;
use super::outages::submit;
use super::resp::Raw;
use super::servers::{Program, Server};
use super::world::{RECOVERY, RedisWorld, beside_url, users_apart};

const REPLICATED: &str = "acknowledge: replicated, replicas: 1, max_replica_lag: 60s, timeout: 1s";

/// One gateway that waits for one replica, and the replica.
fn replicated() -> (RedisWorld, Server) {
    let arguments = ["--appendonly", "yes", "--repl-diskless-sync-delay", "0"];
    let primary = Server::start(Program::Redis, &arguments);
    let replica = replica_of(&primary);
    let mut world = RedisWorld::without_gateways(primary);
    world.join(beside_url(REPLICATED));
    eventually("the gateway to be ready", RECOVERY, || world.reasons(0).is_empty().then_some(()));
    (world, replica)
}

#[test]
fn a_revocation_confirmed_as_replicated_survives_promotions() {
    let (mut world, mut replica) = replicated();
    let rounds = scale(5, 200);
    let users = users_apart(rounds.min(60), &[]);
    for (round, user) in users.iter().cycle().take(rounds).enumerate() {
        let grant = world.grant(user);
        world.settles(0, user, 200);
        let answer = world.revoke(0, &grant);
        assert_eq!(answer.status, 200, "round {round}: {answer:?}");
        world.server.kill();
        Raw::connect(replica.address()).expect("the replica").say(&["REPLICAOF", "NO", "ONE"]);
        world.proxy.retarget(replica.address());
        world.proxy.hang_up();
        world.server = replica;
        // A fresh one: what restarts on an old file may still be loading it, and refuse to follow.
        replica = replica_of(&world.server);
        eventually("the promoted server to be read", RECOVERY, || {
            let status = world.status(0, user);
            assert_ne!(status, 200, "round {round}: the revocation is gone");
            (status == 403).then_some(())
        });
        world.settles(0, user, 403);
        eventually("commits to be confirmed again", RECOVERY, || {
            world.reasons(0).is_empty().then_some(())
        });
    }
    for user in &users {
        assert_eq!(world.status(0, user), 403, "{user}");
    }
    println!("proof: {rounds} promotions by REPLICAOF, 0 confirmed revocations lost");
}

#[test]
fn what_no_replica_confirms_binds_when_it_ends_access_and_is_inert_when_it_gives_some() {
    let (world, replica) = replicated();
    let grant = world.grant("alice");
    assert_eq!(world.status(0, "alice"), 200);
    let pending = world.api(0, "eve").submit("reader")["id"].as_str().expect("an id").to_owned();
    replica.signal("STOP");

    let revoked = world.revoke(0, &grant);
    assert_eq!((revoked.status, &revoked.json()["durability"]), (202, &json!("unconfirmed")));
    assert_eq!(world.status(0, "alice"), 403, "it binds at once");

    let approve = format!("/requests/{pending}/approve");
    let approved = world.api(0, "bob").post(&approve, &json!({}));
    assert_eq!((approved.status, approved.problem().as_str()), (503, "unconfirmed"));
    for _ in 0..5 {
        assert_eq!(world.status(0, "eve"), 403, "the grant is inert");
    }
    replica.signal("CONT");
    eventually("the grant to be confirmed", Duration::from_secs(20), || {
        (world.status(0, "eve") == 200).then_some(())
    });
    eventually("commits to be confirmed again", RECOVERY, || {
        (submit(&world, 0, "nora").status == 201).then_some(())
    });
}
