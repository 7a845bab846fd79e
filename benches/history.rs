//! What a long history costs: asking, approving and listing what is pending, with an empty store and
//! with a million requests in it, in turns; and what the gateway weighs before and after.
//!
//! `scripts/bench-history` runs it. `BENCH_REQUESTS` (1,000,000), `BENCH_CALLS` (2,000 of each kind on
//! each store).

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "a benchmark that is surprised should stop"
)]

#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod harness;
#[path = "history/past.rs"]
mod past;
#[path = "../tests/support/servers.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod servers;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use harness::{World, eventually};
use servers::{Program, Server};
use tidegate::clock::SystemClock;
use tidegate::config::{
    Acknowledge, Environment, RedisAddress, RedisConfig, RedisLogin, RedisNodes, SealKey,
};
use tidegate::domain::ids::PartitionCount;
use tidegate::store::redis::{Options, Redis};

/// How much slower the slowest hundredth may be with a history.
const BOUND: f64 = 3.0;
const KINDS: [&str; 3] = ["submit", "approve", "list pending"];

fn main() -> ExitCode {
    let (requests, calls) = (number("BENCH_REQUESTS", 1_000_000), number("BENCH_CALLS", 2_000));
    let servers = [(); 2].map(|()| Server::start(Program::Redis, &["--appendonly", "no"]));
    let worlds = servers.each_ref().map(world);
    let before = worlds.each_ref().map(weight);
    write_past(&servers[1], requests);
    // The sink gets the past, too: it must not be measured with the calls.
    eventually("the events to be delivered", Duration::from_secs(1200), || {
        (undelivered(&worlds[1]) < 1.0).then_some(())
    });
    println!("{requests} requests in the history of one of the two stores\n");
    let good = compare(&worlds, calls);
    for (world, (before, which)) in worlds.iter().zip(before.iter().zip(["empty", "full"])) {
        println!("gateway on the {which} store: {before} MiB at first, {} MiB now", weight(world));
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(name: &str, otherwise: usize) -> usize {
    let text = std::env::var(name).ok();
    text.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn world(server: &Server) -> World {
    let port = server.port;
    let mut world = World::logging("warn", |config| {
        let redis = format!("redis: {{ url: \"redis://127.0.0.1:{port}\", timeout: 5s }}");
        config.replace("embedded: { path: ./store }", &redis)
    });
    world.oracle = false;
    world
}

fn write_past(server: &Server, requests: usize) {
    let address = RedisAddress { host: "127.0.0.1".into(), port: server.port };
    let config = RedisConfig {
        nodes: RedisNodes::Standalone(address),
        tls: None,
        login: RedisLogin::default(),
        database: 0,
        timeout: Duration::from_secs(10),
        acknowledge: Acknowledge::Memory,
        replicas: 0,
        refuse_lost_replicas: false,
        max_replica_lag: Duration::from_secs(10),
    };
    let options =
        Options { environment: Environment::Development, clock_skew: Duration::from_secs(2) };
    // What the gateways of these tests seal with.
    let keys = [SealKey { id: "k1".into(), bytes: [7; 32].into() }];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (count, clock) = (PartitionCount::DEFAULT, Arc::new(SystemClock));
        let store = Redis::open(config, &keys, count, clock, options).await;
        past::write(&store.expect("the store opens").store(), requests).await;
    });
}

/// Whether every kind of call keeps the bound.
fn compare(worlds: &[World; 2], calls: usize) -> bool {
    let mut times: [[Vec<Duration>; 3]; 2] = Default::default();
    for number in 0..calls {
        for (world, times) in worlds.iter().zip(&mut times) {
            let spent = once(world, number);
            times.iter_mut().zip(spent).for_each(|(all, one)| all.push(one));
        }
    }
    let [empty, full] = times;
    println!("| call | store | p50 ms | p99 ms | p99 / empty |\n|---|---|---|---|---|");
    let mut good = true;
    for (kind, (mut empty, mut full)) in KINDS.iter().zip(empty.into_iter().zip(full)) {
        let (small, large) = (quantiles(&mut empty), quantiles(&mut full));
        let ratio = large.1 / small.1;
        good &= ratio < BOUND;
        println!("| {kind} | empty | {:.2} | {:.2} | 1 |", small.0, small.1);
        println!("| {kind} | full | {:.2} | {:.2} | {ratio:.2} |", large.0, large.1);
    }
    println!("\nbound {BOUND}: {}\n", if good { "met" } else { "NOT MET" });
    good
}

/// Somebody new asks, a lead lists what is pending, and approves.
fn once(world: &World, number: usize) -> [Duration; 3] {
    let body = json!({ "template": "reader", "justification": "INC-1 disk is full" });
    let mut user = world.api(&format!("user-{number}"));
    let (asked, submit) = timed(|| user.post("/requests", &body));
    assert_eq!(asked.status, 201, "{asked:?}");
    let mut lead = world.api("bob");
    let (listed, list) = timed(|| lead.get("/requests?status=pending&limit=50"));
    assert_eq!(listed.json()["items"].as_array().map(Vec::len), Some(1), "{listed:?}");
    let path = format!("/requests/{}/approve", asked.json()["id"].as_str().expect("an id"));
    let (approved, approve) = timed(|| lead.post(&path, &json!({})));
    assert_eq!(approved.status, 200, "{approved:?}");
    [submit, approve, list]
}

fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let answer = call();
    (answer, start.elapsed())
}

/// Median and 99th percentile, in milliseconds.
fn quantiles(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |share: usize| {
        let time = times.get((times.len() * share / 100).min(times.len() - 1));
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    };
    (at(50), at(99))
}

/// Resident memory of the gateway, in MiB.
fn weight(world: &World) -> u64 {
    let path = format!("/proc/{}/status", world.gateway.pid());
    let status = fs::read_to_string(path).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("KiB");
    kib / 1024
}

/// The age of the oldest event that no sink has taken, in seconds.
fn undelivered(world: &World) -> f64 {
    let answer = harness::client::Client::new(world.gateway.admin).get("admin", "/metrics", None);
    let text = answer.text();
    let of = |line: &&str| line.starts_with("tidegate_outbox_oldest_event_age_seconds{");
    let ages = text.lines().filter(of).filter_map(|line| line.split(' ').nth(1)?.parse().ok());
    ages.fold(0.0, f64::max)
}
