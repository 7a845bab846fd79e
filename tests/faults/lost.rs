//! A store that lost what it acknowledged: a promoted replica that never got it, a server that came
//! back empty, an old snapshot. Every process that knew a lost commit notices at the next read.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::harness::gateway::{binary, signal};
use crate::harness::{eventually, scale};

use super::outages::submit;
use super::resp::Raw;
use super::servers::{Program, Server};
use super::world::{PATIENT, RECOVERY, RedisWorld, beside_url, neighbours, users_apart};

/// Partitions of which each loses a revocation in one fail-over.
const AT_ONCE: usize = 10;

/// A server that takes snapshots at once and needs no append-only file.
fn bare() -> Server {
    Server::start(Program::Redis, &["--appendonly", "no", "--repl-diskless-sync-delay", "0"])
}

pub fn replica_of(primary: &Server) -> Server {
    let of = format!("127.0.0.1 {}", primary.port);
    // Once it is promoted, its own replicas are not to wait, either.
    let at_once = ["--appendonly", "no", "--repl-diskless-sync-delay", "0"];
    let arguments = [&at_once[..], &["--replicaof", &of]].concat();
    let replica = Server::start(Program::Redis, &arguments);
    in_step(primary, &replica);
    replica
}

/// Until the replica has everything.
pub fn in_step(primary: &Server, replica: &Server) {
    eventually("the replica to follow", Duration::from_secs(20), || {
        let ((_, sent), (link, got)) = (replication(primary)?, replication(replica)?);
        (link.as_deref() == Some("up") && sent == got).then_some(())
    });
}

/// State of the link to the primary, and how far the server is. Each time on a connection of its own:
/// whoever changes the role of a server may end all others.
fn replication(server: &Server) -> Option<(Option<String>, Option<String>)> {
    let mut raw = Raw::connect(server.address()).ok()?;
    let info = raw.try_ask(&[b"INFO", b"replication"]).ok()?.text();
    let field = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().to_owned())
    };
    Some((field("master_link_status:"), field("master_repl_offset:")))
}

/// Grants of `users` that were revoked on a primary whose replica heard nothing of it any more; then
/// the primary died and the replica was promoted under the same address.
fn failed_over(world: &mut RedisWorld, users: &[String]) -> Server {
    let grants: Vec<String> = users.iter().map(|user| world.grant(user)).collect();
    for node in 0..world.nodes.len() {
        for user in users {
            assert_eq!(world.status(node, user), 200);
        }
    }
    let replica = replica_of(&world.server);
    let mut promoting = Raw::connect(replica.address()).expect("the replica");
    // The link is gone: it follows nobody.
    promoting.say(&["REPLICAOF", "127.0.0.1", "1"]);
    for (grant, user) in grants.iter().zip(users) {
        world.revoked(0, grant);
        for node in 0..world.nodes.len() {
            assert_eq!(world.status(node, user), 403);
        }
    }
    world.server.kill();
    promoting.say(&["REPLICAOF", "NO", "ONE"]);
    world.proxy.retarget(replica.address());
    world.proxy.hang_up();
    replica
}

/// Nobody of `users` is let in by any of the first `nodes` gateways: not at once, and not once it is
/// known that the store went back.
fn noticed(world: &RedisWorld, nodes: usize, users: &[String]) {
    let rolled_back = "tidegate_store_errors_total{kind=\"rolled-back\"}";
    for node in 0..nodes {
        for user in users {
            eventually("the roll-back to be noticed", RECOVERY, || {
                let before = world.metric(node, rolled_back);
                let answer = world.visit(node, user);
                assert_eq!(answer.status, 503, "{user} at {node}: {answer:?}");
                (world.metric(node, rolled_back) > before).then_some(())
            });
            assert_eq!(world.status(node, user), 503);
        }
    }
}

#[test]
fn a_fail_over_that_lost_revocations_lets_nobody_in() {
    let rounds = scale(1, 20);
    for round in 0..rounds {
        let mut world = RedisWorld::patient(bare(), 2);
        let users = users_apart(AT_ONCE, &[]);
        let replica = failed_over(&mut world, &users);
        noticed(&world, 2, &users);
        // Partitions that lost nothing go on.
        let others = users_apart(AT_ONCE + 1, &[]);
        let other = others.last().expect("one more");
        assert_eq!(world.visit(0, other).problem(), "no-grant", "round {round}");
        world.server = replica;
    }
    println!("proof: {} revocations lost in {rounds} fail-overs, 0 allowed", rounds * AT_ONCE);
}

#[test]
fn a_fail_over_is_noticed_also_when_another_gateway_has_committed_since() {
    let rounds = scale(1, 20);
    for _ in 0..rounds {
        let mut world = RedisWorld::patient(bare(), 1);
        let users = users_apart(AT_ONCE, &[]);
        let replica = failed_over(&mut world, &users);
        // A gateway that knows nothing of what was lost, and moves every head on.
        world.join(beside_url(PATIENT));
        for user in &users {
            for name in neighbours(user, 3).iter().chain([user]) {
                eventually("the newcomer to commit", RECOVERY, || {
                    (submit(&world, 1, name).status == 201).then_some(())
                });
            }
        }
        noticed(&world, 1, &users);
        world.server = replica;
    }
    let lost = rounds * AT_ONCE;
    println!("proof: {lost} revocations lost and another gateway has committed since, 0 allowed");
}

#[test]
fn a_flushed_store_lets_nobody_in() {
    let mut world = RedisWorld::on(bare(), 1);
    world.grant("alice");
    assert_eq!(world.status(0, "alice"), 200);
    let lost = world.grant("rita");
    world.revoked(0, &lost);
    world.redis().say(&["FLUSHALL"]);
    refused_for_good(&world, &["alice", "rita", "eve"]);
    // Somebody else initialises it anew: still nobody is let in, by either. (What this gateway
    // writes meanwhile would keep others from taking the store for a new one.)
    pause(world.nodes[0].gateway.pid());
    // What it had sent before is answered by then.
    world.redis().say(&["PING"]);
    world.redis().say(&["FLUSHALL"]);
    world.join(|config| config);
    assert_eq!(world.status(1, "alice"), 403);
    signal(world.nodes[0].gateway.pid(), "CONT");
    refused_for_good(&world, &["alice", "rita"]);
}

#[test]
fn a_store_that_came_back_empty_lets_nobody_in() {
    let mut world = RedisWorld::on(bare(), 1);
    world.grant("alice");
    assert_eq!(world.status(0, "alice"), 200);
    world.server.restart();
    eventually("the server to be read again", RECOVERY, || {
        let answer = world.visit(0, "alice");
        assert_eq!(answer.status, 503, "{answer:?}");
        (world.metric(0, "tidegate_store_errors_total{kind=\"missing\"}") > 0).then_some(())
    });
    refused_for_good(&world, &["alice", "eve"]);
    assert!(world.redis().get("tg:meta").is_none(), "a running gateway does not begin anew");
}

/// Until none of its threads runs any more.
fn pause(pid: u32) {
    signal(pid, "STOP");
    eventually("the process to stand still", RECOVERY, || {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
        let mut states = threads.flatten().map(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().unwrap_or_default().starts_with('T')
        });
        states.all(|stopped| stopped).then_some(())
    });
}

fn refused_for_good(world: &RedisWorld, users: &[&str]) {
    for user in users {
        for target in ["/", "/me", "/policy"] {
            assert_eq!(world.get(0, target, user).status, 503, "{user} {target}");
        }
    }
    assert!(!world.reasons(0).is_empty());
}

#[test]
fn an_old_snapshot_put_back_lets_nobody_in() {
    let mut world = RedisWorld::on(bare(), 2);
    let users = users_apart(4, &[]);
    let grants: Vec<String> = users.iter().map(|user| world.grant(user)).collect();
    world.redis().say(&["SAVE"]);
    for (grant, user) in grants.iter().zip(&users) {
        world.revoked(0, grant);
        assert_eq!((world.status(0, user), world.status(1, user)), (403, 403));
    }
    assert!(fs::exists(world.server.folder.path().join("dump.rdb")).expect("the folder"));
    world.server.restart();
    noticed(&world, 2, &users);
}

#[test]
fn a_newcomer_cannot_bring_back_what_others_know_to_be_lost() {
    let mut world = RedisWorld::on(bare(), 1);
    let users = users_apart(2, &[]);
    let replica = failed_over(&mut world, &users);
    noticed(&world, 1, &users);
    // The closed partition stays closed, whatever the store says later.
    world.join(|config| config);
    for user in &users {
        eventually("a commit", RECOVERY, || (submit(&world, 1, user).status == 201).then_some(()));
        assert_eq!(world.status(0, user), 503);
    }
    world.server = replica;
}

#[test]
fn reconciling_opens_the_partitions_and_what_was_revoked_stays_revoked() {
    let mut world = RedisWorld::on(bare(), 2);
    let users = users_apart(3, &[]);
    let replica = failed_over(&mut world, &users);
    noticed(&world, 2, &users);
    let output = Command::new(binary())
        .args(["store", "reconcile", "--gateways", "2", "--config"])
        .arg(world.nodes[0].folder.path().join("tidegate.yaml"))
        .output()
        .expect("a process");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&output.stderr));
    for node in 0..2 {
        for user in &users {
            eventually("the partition to open", RECOVERY, || {
                let status = world.status(node, user);
                assert_ne!(status, 200, "{user} at {node}: the revocation is lost\n{told}");
                (status == 403).then_some(())
            });
            world.settles(node, user, 403);
        }
    }
    for name in users.iter().map(|user| neighbours(user, 1).remove(0)) {
        world.grant(&name);
        assert_eq!((world.status(0, &name), world.status(1, &name)), (200, 200), "{name}");
    }
    world.server = replica;
}
