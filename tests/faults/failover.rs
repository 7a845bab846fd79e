//! Fail-overs by Sentinel: what was confirmed survives them, and requests work again soon.

use std::time::{Duration, Instant};

use crate::harness::{eventually, scale};

use super::lost::{in_step, replica_of};
use super::servers::replicas::Sentinels;
use super::times::millis;
use super::world::{RECOVERY, RedisWorld, instead_of_url, users_apart};

/// What the Sentinels of these tests take: half a second until a primary counts as down, and three
/// for the fail-over.
const FAIL_OVER: Duration = Duration::from_millis(3_500);
const PATIENCE: Duration = Duration::from_secs(30);

/// One gateway on what the Sentinels name; the world's server is the primary.
fn watched(more: &str) -> (RedisWorld, Sentinels) {
    let mut sentinels = Sentinels::start();
    let mut world = RedisWorld::without_gateways(sentinels.servers.remove(0));
    let watching = sentinels.sentinels.iter();
    let nodes: Vec<_> = watching.map(|one| format!("\"redis://{}\"", one.address())).collect();
    let (master, nodes) = (Sentinels::MASTER, nodes.join(", "));
    let store = format!("sentinel: {{ master: {master}, nodes: [{nodes}] }}{more}");
    world.join(instead_of_url(&store));
    world.is_ready(0);
    (world, sentinels)
}

/// The primary dies; returns when the Sentinels have promoted the other one, which is the world's
/// server then. The old one is the other, still dead.
fn fails_over(
    world: &mut RedisWorld,
    sentinels: &mut Sentinels,
    mut meanwhile: impl FnMut(&RedisWorld),
) {
    world.server.kill();
    eventually("a fail-over", PATIENCE, || {
        meanwhile(world);
        let promoted = &sentinels.servers[0];
        (promoted.is_primary() && sentinels.all_name(promoted.port)).then_some(())
    });
    std::mem::swap(&mut world.server, &mut sentinels.servers[0]);
}

#[test]
fn a_revocation_confirmed_as_replicated_survives_fail_overs_by_sentinel() {
    let replicated = ", acknowledge: replicated, replicas: 1, max_replica_lag: 60s, timeout: 1s";
    let (mut world, mut sentinels) = watched(replicated);
    let rounds = scale(1, 10);
    let users = users_apart(rounds, &[]);
    for (round, user) in users.iter().enumerate() {
        let grant = world.grant(user);
        world.settles(0, user, 200);
        // 200 says that it is confirmed; 202 would not.
        world.revoked(0, &grant);
        let never_let_in = |world: &RedisWorld| {
            let answer = world.visit(0, user);
            assert_ne!(answer.status, 200, "round {round}: the revocation is gone");
        };
        fails_over(&mut world, &mut sentinels, never_let_in);
        // A fresh replica: whoever meddles with the old primary is in the Sentinels' way.
        sentinels.servers[0] = replica_of(&world.server);
        eventually("the promoted server to be read", RECOVERY, || {
            never_let_in(&world);
            (world.status(0, user) == 403).then_some(())
        });
        world.settles(0, user, 403);
        eventually("the gateway to be ready", RECOVERY, || {
            world.reasons(0).is_empty().then_some(())
        });
        if round + 1 < rounds {
            let port = sentinels.servers[0].port;
            eventually("the new replica to be known", PATIENCE, || {
                sentinels.all_know(port).then_some(())
            });
        }
    }
    for user in &users {
        assert_eq!(world.status(0, user), 403, "{user}");
    }
    println!("proof: {rounds} fail-overs by Sentinel, 0 confirmed revocations lost");
}

#[test]
fn requests_work_again_soon_after_a_fail_over_by_sentinel() {
    let mut longest = Duration::ZERO;
    let rounds = scale(1, 5);
    for _ in 0..rounds {
        let (mut world, mut sentinels) = watched("");
        world.grant("alice");
        world.settles(0, "alice", 200);
        in_step(&world.server, &sentinels.servers[0]);
        let start = Instant::now();
        fails_over(&mut world, &mut sentinels, |world| {
            let answer = world.visit(0, "alice");
            assert!(answer.status == 200 || answer.status == 503, "{answer:?}");
        });
        let promoted = start.elapsed();
        world.settles(0, "alice", 200);
        let took = start.elapsed();
        longest = longest.max(took);
        let after = millis(took.saturating_sub(promoted));
        println!("promoted after {:.0} ms, {after:.0} ms later all is well", millis(promoted));
        // Where tests run, four times the bound.
        assert!(took < FAIL_OVER * 4, "{took:?}");
        // Access is given and taken as before.
        let grant = world.grant("eve");
        world.settles(0, "eve", 200);
        world.revoked(0, &grant);
        assert_eq!(world.status(0, "eve"), 403);
    }
    println!("proof: {rounds} fail-overs, requests work again within {:.0} ms", millis(longest));
}
