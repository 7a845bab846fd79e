//! Streams through several gateways while their grants are revoked, words of it are lost, and the
//! store is away.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{eventually, oracle};

use super::servers::Server;
use super::world::{HOST, RECOVERY, RedisWorld, beside_url};

const STREAM: &str = "/stream";

/// A response that goes on until somebody ends it.
struct Stream(TcpStream);

impl Stream {
    fn open(world: &RedisWorld, node: usize, user: &str) -> Self {
        let (target, token) = (STREAM, world.token(user));
        let mut stream = TcpStream::connect(world.nodes[node].gateway.proxy).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        write!(
            stream,
            "GET {target} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n\r\n"
        )
        .expect("sent");
        let mut stream = Self(stream);
        assert!(stream.goes_on(), "it begins");
        let watched = || world.gauge(node, "tidegate_open_leases") >= 1.0;
        eventually("the stream to be watched", RECOVERY, || watched().then_some(()));
        stream
    }

    /// Whether more comes.
    fn goes_on(&mut self) -> bool {
        self.0.read(&mut [0; 4096]).is_ok_and(|count| count > 0)
    }

    /// Reads to its end, which the tool never writes. Gives how long that took.
    fn until_cut(mut self) -> Duration {
        let (start, mut rest) = (Instant::now(), Vec::new());
        match self.0.read_to_end(&mut rest) {
            Ok(_) => (),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
        assert!(!rest.ends_with(b"0\r\n\r\n"), "it did not end by itself");
        start.elapsed()
    }
}

fn cuts(world: &RedisWorld, node: usize, cause: &str) -> u64 {
    world.metric(node, &format!("tidegate_leases_cut_total{{cause=\"{cause}\"}}"))
}

fn events(world: &RedisWorld, node: usize) -> Vec<Value> {
    let all = oracle::events(&world.nodes[node].folder.path().join("audit.jsonl"));
    all.into_iter().filter(|event| event["type"] == "dev.tidegate.lease.cut.v1").collect()
}

#[test]
fn a_revocation_at_one_gateway_cuts_the_stream_at_the_other() {
    let world = RedisWorld::gateways(2);
    let grant = world.grant("alice");
    let (here, there) = (Stream::open(&world, 0, "alice"), Stream::open(&world, 1, "alice"));
    world.revoked(0, &grant);
    println!("cut {:?} and {:?} after the acknowledgement", here.until_cut(), there.until_cut());
    for node in 0..2 {
        assert_eq!(cuts(&world, node, "revoked"), 1);
        let effects = world.metric(node, "tidegate_revocation_effect_seconds_count");
        assert_eq!(effects, 1);
        let event = eventually("the event", RECOVERY, || events(&world, node).pop());
        assert_eq!(event["subject"], format!("grants/{grant}"));
        assert_eq!(
            (&event["data"]["cause"], &event["authid"]),
            (&json!("revoked"), &json!("system"))
        );
        assert_eq!(event["data"]["target"], STREAM);
        eventually("no lease", RECOVERY, || {
            (world.gauge(node, "tidegate_open_leases") == 0.0).then_some(())
        });
    }
}

#[test]
fn a_revocation_of_which_every_word_is_lost_cuts_the_stream_at_the_other_gateway_too() {
    let world = RedisWorld::gateways(2);
    let grant = world.grant("alice");
    let there = Stream::open(&world, 1, "alice");
    let mut redis = world.redis();
    redis.say(&["ACL", "SETUSER", "default", "-subscribe", "-psubscribe"]);
    redis.say(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    world.revoked(0, &grant);
    println!("cut {:?} after the acknowledgement", there.until_cut());
    assert_eq!(cuts(&world, 1, "revoked"), 1);
    redis.say(&["ACL", "SETUSER", "default", "+@all"]);
}

#[test]
fn a_stream_outlives_a_store_that_is_stopped_for_the_grace_alone() {
    let mut world = RedisWorld::without_gateways(Server::redis());
    world.join(|config| config.replace("drain_timeout: 2s", "drain_timeout: 2s, stream_grace: 3s"));
    world.is_ready(0);
    world.grant("alice");
    let mut stream = Stream::open(&world, 0, "alice");
    world.server.signal("STOP");
    let errors = world.store_errors(0);
    eventually("the leases to look in vain", RECOVERY, || {
        (world.store_errors(0) > errors).then_some(())
    });
    assert!(stream.goes_on(), "it lives on");
    println!("cut {:?} after the first look in vain", stream.until_cut());
    assert_eq!((cuts(&world, 0, "unreachable"), cuts(&world, 0, "expired")), (1, 0));
    world.server.signal("CONT");
    world.recovers("alice");
    Stream::open(&world, 0, "alice");
}

#[test]
fn a_stream_never_outlives_its_grant_although_the_store_is_stopped() {
    let mut world = RedisWorld::without_gateways(Server::redis());
    world.join(|config| {
        let config = config.replace("drain_timeout: 2s", "drain_timeout: 2s, stream_grace: 60s");
        beside_url("timeout: 2s")(config)
    });
    world.is_ready(0);
    world.grant_for("alice", &json!({ "duration": "PT4S" }));
    let stream = Stream::open(&world, 0, "alice");
    world.server.signal("STOP");
    stream.until_cut();
    assert_eq!((cuts(&world, 0, "expired"), cuts(&world, 0, "unreachable")), (1, 0));
    world.server.signal("CONT");
    world.is_ready(0);
}

/// Grants of it end after six seconds, unless their holder extends them by as much.
const TERM: Duration = Duration::from_secs(6);
const BRIEF: &str = r#"
templates:
  - name: brief
    enabled: true
    title: Look in
    accesses: ["warehouse:viewer"]
    durations: [PT6S]
    steps: [{ approvers: { groups: [leads] } }]
    extension: { max: 1, steps: [PT6S] }
"#;

#[test]
fn streams_at_every_gateway_outlive_the_old_end_of_an_extended_grant_and_not_the_new_one() {
    let mut world = RedisWorld::without_gateways(Server::redis());
    for node in 0..2 {
        let brief = |folder: &Path| {
            fs::write(folder.join("catalog/brief.yaml"), BRIEF).expect("written");
        };
        world.join_prepared(|config| config, brief);
        world.is_ready(node);
    }
    let before = Instant::now();
    let grant = world.grant_of("brief", "alice", &json!({}));
    let granted = Instant::now();
    let streams = [Stream::open(&world, 0, "alice"), Stream::open(&world, 1, "alice")];
    let extension = json!({ "duration": "PT6S" });
    let answer = world.api(0, "alice").post(&format!("/grants/{grant}/extend"), &extension);
    assert_eq!((answer.status, &answer.json()["extended"]), (200, &json!(1)), "{answer:?}");
    for mut stream in streams {
        while granted.elapsed() <= TERM {
            assert!(stream.goes_on(), "until the old end");
        }
        assert!(stream.goes_on(), "beyond the old end");
        stream.until_cut();
        assert!(before.elapsed() >= TERM * 2, "it is not cut before the new end");
    }
    for node in 0..2 {
        assert_eq!(cuts(&world, node, "expired"), 1);
        assert_eq!(world.status(node, "alice"), 403);
    }
}

#[test]
fn the_kill_switch_cuts_the_streams_of_everybody_at_every_gateway() {
    let world = RedisWorld::gateways(2);
    let users = super::world::users_apart(6, &[]);
    let mut streams = Vec::new();
    for (number, user) in users.iter().enumerate() {
        world.grant(user);
        streams.push(Stream::open(&world, number % 2, user));
    }
    let order = json!({ "tool": "warehouse", "reason": "a leak" });
    let answer = world.api(0, "carol").post("/revocations", &order);
    assert_eq!(answer.status, 200, "{answer:?}");
    for stream in streams {
        stream.until_cut();
    }
    for node in 0..2 {
        assert_eq!(cuts(&world, node, "killed"), 3);
    }
}
