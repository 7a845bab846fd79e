//! A Cluster that loses a node, and one whose slots move under load.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{eventually, scale};

use super::outages::submit;
use super::servers::cluster::Cluster;
use super::servers::{Program, Server};
use super::world::users_apart;
use super::world::{HOST, PROMPT, RECOVERY, RedisWorld, instead_of_url, live_key, neighbours};

/// One gateway on three nodes. (The server behind the proxy has nothing to do.)
fn clustered() -> (RedisWorld, Cluster) {
    let lasting = ["--appendonly", "yes", "--cluster-require-full-coverage", "no"];
    let cluster = Cluster::start(Program::Redis, &lasting);
    let mut world = RedisWorld::without_gateways(Server::start(Program::Redis, &[]));
    let nodes: Vec<String> =
        cluster.nodes.iter().map(|node| format!("\"redis://{}\"", node.address())).collect();
    world.join(instead_of_url(&format!("cluster: [{}]", nodes.join(", "))));
    world.is_ready(0);
    (world, cluster)
}

fn slot_of(cluster: &Cluster, user: &str) -> u16 {
    let told = cluster.nodes[0].ask(&["CLUSTER", "KEYSLOT", live_key(user).as_str()]);
    told.trim().trim_start_matches(':').parse().expect("a slot")
}

/// `count` users on the node, each in a partition of their own.
fn users_on(cluster: &Cluster, node: usize, count: usize) -> Vec<String> {
    let all = users_apart(30, &[]);
    let here = all.into_iter().filter(|user| cluster.holder(slot_of(cluster, user)) == node);
    let users: Vec<String> = here.take(count).collect();
    assert_eq!(users.len(), count, "users on node {node}");
    users
}

#[test]
fn partitions_of_a_node_that_died_are_refused_and_the_others_go_on() {
    let (world, mut cluster) = clustered();
    let (there, elsewhere) = (users_on(&cluster, 1, 2), users_on(&cluster, 2, 2));
    let revoked = world.grant(&there[1]);
    world.grant(&there[0]);
    world.grant(&elsewhere[0]);
    world.revoked(0, &revoked);
    for (user, status) in [(&there[0], 200), (&there[1], 403), (&elsewhere[0], 200)] {
        assert_eq!(world.status(0, user), status, "{user}");
    }
    cluster.nodes[1].kill();
    let start = Instant::now();
    // Longer than the other nodes need to take it for failed.
    while start.elapsed() < Duration::from_secs(2) {
        for (user, status) in [(&there[0], 503), (&there[1], 503), (&elsewhere[0], 200)] {
            let asked = Instant::now();
            let answer = world.visit(0, user);
            assert_eq!(answer.status, status, "{user}: {answer:?}");
            assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
        }
    }
    assert_eq!(submit(&world, 0, &elsewhere[1]).status, 201, "others can ask");
    assert_eq!(submit(&world, 0, &there[1]).status, 503);
    cluster.nodes[1].restart();
    for (user, status) in [(&there[0], 200), (&there[1], 403), (&elsewhere[0], 200)] {
        eventually("the node to be read again", RECOVERY, || {
            let found = world.status(0, user);
            assert!(found == status || found == 503, "{user}: {found}");
            (found == status).then_some(())
        });
    }
    world.settles(0, &there[0], 200);
}

/// When requests were refused with 503, and how many were answered rightly.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    right: AtomicUsize,
    refused: Mutex<Vec<(Instant, Instant)>>,
}

impl Load {
    fn keep_asking(&self, world: &RedisWorld, user: &str, right: u16) {
        let (mut client, token) = (world.client(0), world.token(user));
        while !self.stop.load(Ordering::SeqCst) {
            let asked = Instant::now();
            let answer = client.get(HOST, "/", Some(&token));
            match answer.status {
                503 => self.refused.lock().expect("no panic").push((asked, Instant::now())),
                status => {
                    assert_eq!(status, right, "{user}: {answer:?}");
                    self.right.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

#[test]
fn slots_that_move_under_load_let_nobody_in_and_refuse_only_while_they_move() {
    let (world, cluster) = clustered();
    let names = neighbours("alice", 2);
    let [revoked, other] = names.as_slice() else { panic!("two names") };
    let grant = world.grant("alice");
    let ended = world.grant(revoked);
    world.revoked(0, &ended);
    let slot = slot_of(&cluster, "alice");
    let (load, moves) = (Load::default(), scale(3, 60));
    let mut windows = Vec::new();
    thread::scope(|scope| {
        let askers: Vec<_> = [("alice", 200), (revoked, 403), (other, 403), ("alice", 200)]
            .into_iter()
            .map(|(user, right)| {
                let (load, world) = (&load, &world);
                scope.spawn(move || load.keep_asking(world, user, right))
            })
            .collect();
        for _ in 0..moves {
            let start = Instant::now();
            cluster.move_slot(slot, (cluster.holder(slot) + 1) % 3);
            windows.push((start, Instant::now()));
            // Until everybody is served at the new place.
            let (right, enough) = (load.right.load(Ordering::SeqCst), 400);
            eventually("requests at the new place", RECOVERY, || {
                assert!(
                    !askers.iter().any(thread::ScopedJoinHandle::is_finished),
                    "a wrong answer"
                );
                (load.right.load(Ordering::SeqCst) > right + enough).then_some(())
            });
        }
        load.stop.store(true, Ordering::SeqCst);
    });
    let (right, refused) = (load.right.into_inner(), load.refused.into_inner().expect("no panic"));
    println!("proof: {moves} moves of a slot, {right} answers right, {} were 503", refused.len());
    for (asked, answered) in &refused {
        let moving =
            |(start, end): &(Instant, Instant)| answered >= start && *asked <= *end + PROMPT;
        assert!(windows.iter().any(moving), "a 503 although no slot moved");
    }
    world.revoked(0, &grant);
    assert_eq!(world.status(0, "alice"), 403);
}
