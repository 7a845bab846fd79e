//! Several gateways on one Redis, and several requests on one connection.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::upstream::Upstream;
use crate::harness::{eventually, oracle, scale};

use super::proxy::{Fault, Rule, most_in_a_second};
use super::servers::Server;
use super::world::{HOST, PROMPT, RedisWorld};

const CONNECTIONS: usize = 16;
/// Requests that are sent in one go on a connection.
const PIPELINED: usize = 8;

#[test]
fn no_gateway_allows_a_request_that_starts_after_an_acknowledged_revocation() {
    let world = RedisWorld::gateways(2);
    let grant = world.grant("alice");
    let token = world.token("alice");
    let (revoked, allowed_after) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (allowed_before, refused_after) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let other = AtomicUsize::new(0);
    let each = scale(20_000, 1_000_000) / CONNECTIONS;
    let start = Barrier::new(CONNECTIONS + 1);
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let (world, token, start) = (&world, &token, &start);
            let (revoked, allowed_after) = (&revoked, &allowed_after);
            let (allowed_before, refused_after) = (&allowed_before, &refused_after);
            let other = &other;
            scope.spawn(move || {
                let mut client = world.client(number % 2);
                let requests = request("/", token).repeat(PIPELINED);
                start.wait();
                let mut after = 0;
                while after < each {
                    // Read before the first byte is sent.
                    let is_after = revoked.load(Ordering::SeqCst);
                    client.write(requests.as_bytes()).expect("sent");
                    for _ in 0..PIPELINED {
                        let status = client.read(false).expect("an answer").status;
                        match (is_after, status) {
                            (true, 200) => allowed_after.fetch_add(1, Ordering::Relaxed),
                            (true, 403) => refused_after.fetch_add(1, Ordering::Relaxed),
                            (true, _) => other.fetch_add(1, Ordering::Relaxed),
                            (false, 200) => allowed_before.fetch_add(1, Ordering::Relaxed),
                            // On its way while the grant was revoked.
                            (false, _) => 0,
                        };
                    }
                    after += if is_after { PIPELINED } else { 0 };
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
    let (refused, other) = (refused_after.into_inner(), other.into_inner());
    println!(
        "proof: two gateways, 0 of {} requests allowed after the acknowledgement \
         ({refused} refused with 403, {other} otherwise)",
        refused + other
    );
    assert!(refused + other >= each * CONNECTIONS);
    assert!(other < refused / 50, "{other} of {refused} were refused for another reason");
}

fn request(target: &str, token: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n\r\n")
}

/// A number that looks random and is the same in every run.
fn scattered(seed: usize) -> u64 {
    let mut state = u64::try_from(seed).expect("small").wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state ^= state >> 31;
    state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state ^ (state >> 29)
}

/// Sends a request and hangs up at some moment: between its bytes, before, while or after it is
/// answered, in order or with a reset. Gives whether it got that far.
fn hang_up(world: &RedisWorld, user: &str, number: usize) -> bool {
    let Ok(mut stream) = TcpStream::connect(world.nodes[0].gateway.proxy) else { return false };
    let random = scattered(number);
    let head = request(&format!("/as/{user}"), &world.token(user));
    let pipelined = head.repeat(1 + usize::from(random.is_multiple_of(5)));
    let bytes = pipelined.as_bytes();
    let cut = match random % 7 {
        0 => usize::try_from(random / 7).expect("64 bits") % bytes.len(),
        _ => bytes.len(),
    };
    let sent = stream.write_all(&bytes[..cut]).is_ok();
    thread::park_timeout(Duration::from_micros(random % 6_000));
    if random.is_multiple_of(2) {
        super::proxy::reset(&stream);
    }
    sent
}

/// Until `count` requests were sent and not waited for.
fn hang_up_often(world: &RedisWorld, count: usize) {
    let (number, cancelled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..scale(4, 24) {
            scope.spawn(|| {
                while cancelled.load(Ordering::Relaxed) < count {
                    let n = number.fetch_add(1, Ordering::Relaxed);
                    let user = if n.is_multiple_of(2) { "alice" } else { "eve" };
                    let sent = hang_up(world, user, n);
                    cancelled.fetch_add(usize::from(sent), Ordering::Relaxed);
                }
            });
        }
    });
}

/// What the tool saw was of `alice` and for her. Gives how much it was.
fn only_alice_reached(upstream: &Upstream) -> usize {
    let seen = upstream.take_seen();
    for request in &seen {
        assert_eq!(request.header("tidegate-subject"), Some("alice"), "{request:?}");
        assert!(request.target == "/" || request.target == "/as/alice", "{request:?}");
    }
    seen.len()
}

/// What the tool saw, and what was recorded: the client of a request that was allowed may be gone
/// before it is forwarded, so there may be more records.
fn only_alice_was_let_in(world: &mut RedisWorld, mut seen: usize) {
    let node = &mut world.nodes[0];
    node.oracle = false;
    node.gateway.stop();
    seen += only_alice_reached(&node.upstream);
    let mut records = 0;
    oracle::each_allowed(&node.folder.path().join("audit.jsonl"), |event| {
        assert_eq!(event["data"]["subject"], "alice", "{event}");
        records += 1;
    });
    println!("{records} ALLOW records, {seen} requests reached the tool");
    assert!(records >= seen, "{records} records, {seen} seen");
}

#[test]
fn clients_that_hang_up_never_give_anybody_the_answer_of_another() {
    let mut world = RedisWorld::start();
    world.grant("alice");
    assert_eq!((world.status(0, "alice"), world.status(0, "eve")), (200, 403));
    // Replies that take a while, so that many are under way when their client goes.
    world.proxy.rule(Rule::of(&["MGET"], Fault::Delay(Duration::from_micros(100))));
    let (stop, checked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (cancelled, reached) = (scale(5_000, 1_000_000), AtomicUsize::new(0));
    thread::scope(|scope| {
        let (world, stop, checked, reached) = (&world, &stop, &checked, &reached);
        for (user, right) in [("alice", 200), ("eve", 403), ("alice", 200), ("eve", 403)] {
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
        scope.spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                reached.fetch_add(only_alice_reached(&world.nodes[0].upstream), Ordering::Relaxed);
                thread::park_timeout(Duration::from_millis(200));
            }
        });
        hang_up_often(world, cancelled);
        stop.store(true, Ordering::SeqCst);
    });
    let checked = checked.into_inner();
    println!("proof: {cancelled} requests cancelled, {checked} others answered rightly, 0 wrongly");
    assert!(checked > 100);
    world.proxy.heal();
    world.recovers("alice");
    only_alice_was_let_in(&mut world, reached.into_inner());
}

#[test]
fn gateways_that_lost_their_server_come_back_one_after_another() {
    let count = scale(3, 50);
    let mut world = RedisWorld::gateways(count);
    world.grant("alice");
    (0..count).for_each(|node| assert_eq!(world.status(node, "alice"), 200));
    let usual = world.proxy.open_connections();
    let reset = |world: &mut RedisWorld| world.proxy.reset();
    let heal = |world: &mut RedisWorld| world.proxy.heal();
    let told = connects(&mut world, usual, reset, heal);
    println!("proof: {count} gateways, {usual} connections, all of them reset: {told}");
    // The proxy accepts all the same, and so counts every try; there is nobody behind it.
    let kill = |world: &mut RedisWorld| {
        world.server.kill();
        world.proxy.hang_up();
    };
    let told = connects(&mut world, usual, kill, |world| world.server.restart());
    println!("proof: {count} gateways, {usual} connections, server killed: {told}");
}

/// How many connections are made in a second while the server is away for three, and when it is
/// back.
fn connects(
    world: &mut RedisWorld,
    usual: usize,
    fault: impl FnOnce(&mut RedisWorld),
    end: impl FnOnce(&mut RedisWorld),
) -> String {
    let start = Instant::now();
    fault(world);
    // Somebody asks all the time: that must not make for more connections.
    while start.elapsed() < Duration::from_secs(3) {
        (0..world.nodes.len()).for_each(|node| assert_eq!(world.status(node, "alice"), 503));
    }
    let down = most_in_a_second(&world.proxy.connects_since(start));
    let healed = Instant::now();
    end(world);
    world.recovers("alice");
    let up = most_in_a_second(&world.proxy.connects_since(healed));
    // On the average each of its connections is tried four times a second at most.
    assert!(down <= usual * 4, "{down} connects in a second, {usual} connections");
    assert!(up <= usual * 4, "{up} connects in a second, {usual} connections");
    format!("at most {down} connects a second, then {up}")
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
