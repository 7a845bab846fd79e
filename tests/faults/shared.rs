//! Several gateways on one Redis, and several requests on one connection.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{eventually, oracle, scale};

use super::proxy::{Fault, Rule, most_in_a_second};
use super::servers::Server;
use super::world::{HOST, PROMPT, RedisWorld};

const CONNECTIONS: usize = 16;

#[test]
fn no_gateway_allows_a_request_that_starts_after_an_acknowledged_revocation() {
    let world = RedisWorld::gateways(2);
    let grant = world.grant("alice");
    let token = world.token("alice");
    let (revoked, allowed_after) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (allowed_before, refused_after) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let each = scale(20_000, 1_000_000) / CONNECTIONS;
    let start = Barrier::new(CONNECTIONS + 1);
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let (world, token, start) = (&world, &token, &start);
            let (revoked, allowed_after) = (&revoked, &allowed_after);
            let (allowed_before, refused_after) = (&allowed_before, &refused_after);
            scope.spawn(move || {
                let mut client = world.client(number % 2);
                start.wait();
                let mut after = 0;
                while after < each {
                    // Read before the first byte is sent.
                    let is_after = revoked.load(Ordering::SeqCst);
                    let status = client.get(HOST, "/", Some(token)).status;
                    match (is_after, status) {
                        (true, 200) => allowed_after.fetch_add(1, Ordering::Relaxed),
                        (true, _) => refused_after.fetch_add(1, Ordering::Relaxed),
                        (false, 200) => allowed_before.fetch_add(1, Ordering::Relaxed),
                        (false, _) => 0,
                    };
                    after += usize::from(is_after);
                }
            });
        }
        start.wait();
        eventually("requests to be allowed", Duration::from_secs(30), || {
            (allowed_before.load(Ordering::Relaxed) >= CONNECTIONS * 2).then_some(())
        });
        world.revoked(1, &grant);
        revoked.store(true, Ordering::SeqCst);
    });
    assert_eq!(allowed_after.into_inner(), 0);
    let refused = refused_after.into_inner();
    println!("two gateways: 0 of {refused} requests allowed after the acknowledgement");
    assert!(refused >= each * CONNECTIONS);
}

/// A number that looks random and is the same in every run.
fn scattered(seed: usize) -> u64 {
    let mut state = u64::try_from(seed).expect("small").wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state ^= state >> 31;
    state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state ^ (state >> 29)
}

/// Sends a request and hangs up at some moment: between its bytes, before, while or after it is
/// answered.
fn hang_up(world: &RedisWorld, user: &str, number: usize) {
    let Ok(mut stream) = TcpStream::connect(world.nodes[0].gateway.proxy) else { return };
    let head = format!(
        "GET /as/{user} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {}\r\n\r\n",
        world.token(user)
    );
    let random = scattered(number);
    let pipelined = head.repeat(1 + usize::from(random.is_multiple_of(5)));
    let bytes = pipelined.as_bytes();
    let cut = match random % 7 {
        0 => usize::try_from(random / 7).expect("64 bits") % bytes.len(),
        _ => bytes.len(),
    };
    let _sent = stream.write_all(&bytes[..cut]);
    thread::park_timeout(Duration::from_micros(random % 6_000));
}

/// What the tool saw, and what was recorded: the client of a request that was allowed may be gone
/// before it is forwarded, so there may be more records.
fn only_alice_was_let_in(world: &mut RedisWorld) {
    let node = &mut world.nodes[0];
    node.oracle = false;
    let seen = node.upstream.seen();
    for request in &seen {
        assert_eq!(request.header("tidegate-subject"), Some("alice"), "{request:?}");
        assert!(request.target == "/" || request.target == "/as/alice", "{request:?}");
    }
    node.gateway.stop();
    let events = oracle::events(&node.folder.path().join("audit.jsonl"));
    let allowed: Vec<_> =
        events.iter().filter(|e| e["type"] == "dev.tidegate.decision.allowed.v1").collect();
    assert!(allowed.iter().all(|event| event["data"]["subject"] == "alice"));
    assert!(allowed.len() >= seen.len(), "{} records, {} seen", allowed.len(), seen.len());
}

#[test]
fn clients_that_hang_up_never_give_anybody_the_answer_of_another() {
    let mut world = RedisWorld::start();
    world.grant("alice");
    assert_eq!((world.status(0, "alice"), world.status(0, "eve")), (200, 403));
    // Replies that take a while, so that many are under way when their client goes.
    world.proxy.rule(Rule::of(&["MGET"], Fault::Delay(Duration::from_micros(100))));
    let (stop, checked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let cancelled = scale(5_000, 1_000_000);
    thread::scope(|scope| {
        for (user, right) in [("alice", 200), ("eve", 403), ("alice", 200), ("eve", 403)] {
            let (world, stop, checked) = (&world, &stop, &checked);
            scope.spawn(move || {
                let (mut client, token) = (world.client(0), world.token(user));
                while !stop.load(Ordering::SeqCst) {
                    let answer = client.get(HOST, &format!("/as/{user}"), Some(&token));
                    let overloaded = answer.status == 503;
                    assert!(answer.status == right || overloaded, "{user}: {answer:?}");
                    checked.fetch_add(usize::from(!overloaded), Ordering::Relaxed);
                }
            });
        }
        let number = AtomicUsize::new(0);
        thread::scope(|inner| {
            for _ in 0..4 {
                inner.spawn(|| {
                    loop {
                        let n = number.fetch_add(1, Ordering::Relaxed);
                        if n >= cancelled {
                            return;
                        }
                        hang_up(&world, if n.is_multiple_of(2) { "alice" } else { "eve" }, n);
                    }
                });
            }
        });
        stop.store(true, Ordering::SeqCst);
    });
    let checked = checked.into_inner();
    println!("{cancelled} requests cancelled, {checked} others answered rightly");
    assert!(checked > 100);
    world.proxy.heal();
    world.recovers("alice");
    only_alice_was_let_in(&mut world);
}

#[test]
fn gateways_that_lost_their_server_come_back_one_after_another() {
    let count = scale(3, 50);
    let world = RedisWorld::gateways(count);
    world.grant("alice");
    (0..count).for_each(|node| assert_eq!(world.status(node, "alice"), 200));
    let usual = world.proxy.open_connections();
    let start = Instant::now();
    world.proxy.reset();
    // Somebody asks all the time: that must not make for more connections.
    while start.elapsed() < Duration::from_secs(3) {
        (0..count).for_each(|node| assert_eq!(world.status(node, "alice"), 503));
    }
    let down = most_in_a_second(&world.proxy.connects_since(start));
    let healed = Instant::now();
    world.proxy.heal();
    world.recovers("alice");
    let up = most_in_a_second(&world.proxy.connects_since(healed));
    println!("{count} gateways, {usual} connections: at most {down} connects a second, then {up}");
    // On the average each of its connections is tried four times a second at most.
    assert!(down <= usual * 4, "{down} connects in a second, {usual} connections");
    assert!(up <= usual * 4, "{up} connects in a second, {usual} connections");
}

#[test]
fn a_stalled_connection_of_one_core_does_not_hold_up_the_others() {
    let world = RedisWorld::on(Server::redis(), 1);
    world.grant("alice");
    assert_eq!(world.status(0, "alice"), 200);
    // Head, markers and live grants of a request; commits read more at once, or less.
    let connection = world.proxy.last_with("MGET 3");
    assert!(connection.is_some(), "a request is one MGET of three keys");
    world.proxy.rule(Rule { commands: Vec::new(), connection, fault: Fault::Hold });
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Each on a connection of its own, so that every core gets some of them.
    let (mut served, mut refused) = (Vec::new(), 0);
    for _ in 0..24 {
        let start = Instant::now();
        let answer = world.visit(0, "alice");
        let took = start.elapsed();
        assert!(took < PROMPT, "{took:?}");
        match answer.status {
            200 => served.push(took),
            503 => refused += 1,
            other => panic!("{other}: {answer:?}"),
        }
    }
    println!("{cores} cores: {} served, {refused} refused", served.len());
    assert!(refused > 0, "the connection of a core was stalled");
    assert!(cores == 1 || !served.is_empty(), "nobody was served");
    world.proxy.heal();
    world.recovers("alice");
}
