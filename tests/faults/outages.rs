//! Whatever keeps the store from answering: nobody is let in, the refusal comes soon, and it ends
//! with the fault.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::client::Answer;
use crate::harness::{eventually, scale};

use super::proxy::{Fault, Rule};
use super::resp::{Raw, Value};
use super::servers::{Program, Server};
use super::times;
use super::world::{HOST, PROMPT, RedisWorld};

/// `alice` has a grant, `rita` had one, `eve` never had any.
pub fn prepared(server: Server) -> RedisWorld {
    let world = RedisWorld::on(server, 1);
    world.grant("alice");
    let grant = world.grant("rita");
    assert_eq!(world.status(0, "rita"), 200);
    world.revoked(0, &grant);
    world.recovers("alice");
    without_access_nobody_gets_in(&world);
    world
}

pub fn without_access_nobody_gets_in(world: &RedisWorld) {
    for (user, why) in [("rita", "grant-revoked"), ("eve", "no-grant")] {
        let refused = world.visit(0, user);
        assert_eq!((refused.status, refused.problem().as_str()), (403, why), "{user}");
    }
}

fn promptly(ask: impl FnOnce() -> Answer) -> Answer {
    let start = Instant::now();
    let answer = ask();
    let took = start.elapsed();
    assert!(took < PROMPT, "{took:?}: {answer:?}");
    if answer.status == 503 {
        times::refused_after(took);
    }
    answer
}

/// Everything that needs the store is refused soon; what does not need it goes on.
pub fn everything_is_refused(world: &RedisWorld) {
    let targets =
        [("/", "alice"), ("/", "rita"), ("/", "eve"), ("/me", "alice"), ("/policy", "alice")];
    for (target, user) in targets {
        let answer = promptly(|| world.get(0, target, user));
        assert_eq!(answer.status, 503, "{target} {user}: {answer:?}");
        assert_eq!(answer.problem(), "store-unreachable", "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert_eq!(promptly(|| world.client(0).get(HOST, "/healthz", None)).status, 200);
}

pub fn submit(world: &RedisWorld, node: usize, user: &str) -> Answer {
    let body = json!({ "template": "reader", "justification": "INC-1" });
    world.api(node, user).post("/requests", &body)
}

/// The whole life of a fault during which nothing can be read.
fn outage(fault: impl FnOnce(&mut RedisWorld), end: impl FnOnce(&mut RedisWorld)) {
    outage_of(Server::redis(), fault, end);
}

fn outage_of(
    server: Server,
    fault: impl FnOnce(&mut RedisWorld),
    end: impl FnOnce(&mut RedisWorld),
) {
    let mut world = prepared(server);
    let errors = world.store_errors(0);
    fault(&mut world);
    times::forget();
    let start = Instant::now();
    for _ in 0..scale(1, 20) {
        everything_is_refused(&world);
        // Some faults end by themselves.
        if start.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    assert!(world.reasons(0).contains("\"store\""), "{}", world.reasons(0));
    assert!(world.store_errors(0) > errors, "nothing was counted");
    let answer = submit(&world, 0, "eve");
    assert_eq!(answer.status, 503, "{answer:?}");
    end(&mut world);
    times::tell(world.recovers("alice"));
    without_access_nobody_gets_in(&world);
}

/// A fault of the connections alone, made by the proxy.
fn proxy_outage(fault: Fault) {
    outage(|world| world.proxy.rule(Rule::all(fault)), |world| world.proxy.heal());
}

/// Every command is answered with this error.
fn answered(text: &str) {
    proxy_outage(Fault::error(text));
}

/// A fault that some reads survive: each is answered rightly, or refused soon.
fn flaky(fault: Fault) {
    let world = prepared(Server::redis());
    world.proxy.rule(Rule::all(fault));
    times::forget();
    for _ in 0..scale(8, 40) {
        for (user, usual) in [("alice", 200), ("rita", 403), ("eve", 403)] {
            let status = promptly(|| world.visit(0, user)).status;
            assert!(status == usual || status == 503, "{user}: {status}");
        }
    }
    world.proxy.heal();
    times::tell(world.recovers("alice"));
    without_access_nobody_gets_in(&world);
}

#[test]
fn nobody_is_let_in_while_the_server_is_down() {
    outage(|world| world.server.kill(), |world| world.server.restart());
}

#[test]
fn nobody_is_let_in_while_connections_are_refused() {
    outage(|world| world.proxy.refuse(), |world| world.proxy.heal());
}

#[test]
fn nobody_is_let_in_while_connections_are_reset() {
    outage(|world| world.proxy.reset(), |world| world.proxy.heal());
}

#[test]
fn nobody_is_let_in_while_nothing_comes_back() {
    proxy_outage(Fault::Hold);
}

#[test]
fn nobody_is_let_in_while_every_reply_is_lost() {
    proxy_outage(Fault::DropEvery(1));
}

#[test]
fn nobody_is_let_in_while_replies_come_a_byte_a_second() {
    proxy_outage(Fault::Trickle(Duration::from_secs(1)));
}

#[test]
fn nobody_is_let_in_while_replies_come_five_seconds_late() {
    proxy_outage(Fault::Delay(Duration::from_secs(5)));
}

#[test]
fn nobody_is_let_in_while_every_reply_is_cut_in_the_middle() {
    proxy_outage(Fault::Cut);
}

#[test]
fn nobody_is_let_in_while_the_server_is_stopped() {
    outage(|world| world.server.signal("STOP"), |world| world.server.signal("CONT"));
}

#[test]
fn nobody_is_let_in_while_the_server_sleeps() {
    let sleep = |world: &mut RedisWorld| {
        let mut other = world.redis();
        other.send(&[b"DEBUG", b"SLEEP", b"4"]).expect("sent");
        // It sleeps once a second connection gets no answer any more.
        asleep(world);
    };
    outage(sleep, |_| ());
}

fn asleep(world: &RedisWorld) {
    eventually("the server to be busy", Duration::from_secs(5), || {
        let mut probe = Raw::connect(world.server.address()).ok()?;
        probe.timeout(Duration::from_millis(50));
        probe.try_ask(&[b"PING"]).map_or(Some(()), |answer| answer.is_error().then_some(()))
    });
}

#[test]
fn nobody_is_let_in_while_a_script_keeps_the_server_busy() {
    let arguments = ["--appendonly", "yes", "--busy-reply-threshold", "100"];
    let busy = |world: &mut RedisWorld| {
        let mut other = world.redis();
        other.send(&[b"EVAL", b"while true do end", b"0"]).expect("sent");
        eventually("BUSY", Duration::from_secs(5), || {
            let mut probe = Raw::connect(world.server.address()).ok()?;
            probe.timeout(Duration::from_millis(50));
            probe.try_ask(&[b"PING"]).ok()?.text().starts_with("BUSY").then_some(())
        });
    };
    let kill = |world: &mut RedisWorld| {
        world.redis().say(&["SCRIPT", "KILL"]);
    };
    outage_of(Server::start(Program::Redis, &arguments), busy, kill);
}

#[test]
fn nobody_is_let_in_while_the_server_loads() {
    answered("LOADING Redis is loading the dataset in memory");
}

#[test]
fn nobody_is_let_in_while_the_server_says_that_it_is_busy() {
    answered("BUSY Redis is busy running a script. You can only call SCRIPT KILL.");
}

#[test]
fn nobody_is_let_in_while_reads_are_sent_elsewhere() {
    answered("MOVED 4321 127.0.0.1:1");
}

#[test]
fn nobody_is_let_in_while_the_cluster_is_down() {
    answered("CLUSTERDOWN The cluster is down");
}

#[test]
fn nobody_is_let_in_while_the_server_wants_a_login() {
    answered("NOAUTH Authentication required.");
}

#[test]
fn nobody_is_let_in_while_the_password_is_another() {
    let change = |world: &mut RedisWorld| {
        world.redis().say(&["CONFIG", "SET", "requirepass", "another"]);
        world.proxy.hang_up();
    };
    let back = |world: &mut RedisWorld| {
        let mut redis = world.redis();
        redis.say(&["AUTH", "another"]);
        redis.say(&["CONFIG", "SET", "requirepass", ""]);
    };
    outage(change, back);
}

#[test]
fn nobody_is_let_in_while_reading_is_not_permitted() {
    let forbid = |world: &mut RedisWorld| {
        world.redis().say(&["ACL", "SETUSER", "default", "-@read"]);
    };
    let permit = |world: &mut RedisWorld| {
        world.redis().say(&["ACL", "SETUSER", "default", "+@all"]);
    };
    outage(forbid, permit);
}

#[test]
fn nobody_is_let_in_while_replies_are_garbage() {
    proxy_outage(Fault::Garbage(b"\x00\xff\x13garbage\r\n\r\n*-7\r\n".to_vec()));
}

#[test]
fn nobody_is_let_in_while_replies_are_of_another_kind() {
    proxy_outage(Fault::AnswerAfter(Value::Line(b'+', b"OK".to_vec())));
}

#[test]
fn nobody_is_let_in_while_replies_are_of_no_length_that_can_be() {
    proxy_outage(Fault::Garbage(b"*1000000000\r\n$-1\r\n".to_vec()));
}

#[test]
fn nobody_is_let_in_while_values_are_truncated() {
    proxy_outage(Fault::blobs(|mut value| {
        value.truncate(if value.len() > 60 { value.len() / 2 } else { value.len() });
        value
    }));
}

#[test]
fn nobody_is_let_in_while_a_bit_of_every_value_is_wrong() {
    proxy_outage(Fault::blobs(|mut value| {
        if let Some(byte) = value.get_mut(40) {
            *byte ^= 1;
        }
        value
    }));
}

#[test]
fn every_answer_is_right_or_a_refusal_while_half_of_the_replies_are_lost() {
    flaky(Fault::DropEvery(2));
}

#[test]
fn every_answer_is_right_or_a_refusal_while_replies_come_twice() {
    flaky(Fault::Duplicate);
}

#[test]
fn every_answer_is_right_or_a_refusal_while_replies_change_places() {
    flaky(Fault::Reorder);
}

#[test]
fn every_answer_is_right_or_a_refusal_while_replies_are_a_little_slow() {
    flaky(Fault::Delay(Duration::from_millis(20)));
}

#[test]
fn a_demoted_primary_is_not_read_from_although_it_still_answers() {
    let world = prepared(Server::redis());
    world.redis().say(&["REPLICAOF", "127.0.0.1", "1"]);
    world.settles(0, "alice", 503);
    times::forget();
    (0..scale(1, 20)).for_each(|_| everything_is_refused(&world));
    assert!(!world.reasons(0).is_empty());
    world.redis().say(&["REPLICAOF", "NO", "ONE"]);
    times::tell(world.recovers("alice"));
    without_access_nobody_gets_in(&world);
}
