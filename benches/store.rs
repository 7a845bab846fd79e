//! What the number of subjects costs a read, and what a live value weighs.
//!
//! Two stores, one with a single subject and one with many, every subject with five live grants that
//! were committed like any other (request, events and timers included). Reads of both alternate, one
//! at a time. `scripts/bench-store` runs it and says what can be set.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that is surprised should stop"
)]

#[path = "store/fill.rs"]
mod fill;
#[path = "store/memory.rs"]
mod memory;
#[path = "../tests/support/servers.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod servers;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fill::{GRANTS, TOOL, now, subject};
use servers::{Program, Server};
use tidegate::clock::SystemClock;
use tidegate::config::{
    Acknowledge, Environment, RedisAddress, RedisConfig, RedisLogin, RedisNodes, SealKey,
};
use tidegate::domain::ids::PartitionCount;
use tidegate::store::embedded::Embedded;
use tidegate::store::redis::{Options, Redis};
use tidegate::store::{LiveReader, SharedStore};
use tokio::task::LocalSet;

/// How much slower a read may be with all subjects than with one.
const READ_BOUND: f64 = 1.5;

fn main() -> ExitCode {
    let plan = Plan::from_environment();
    println!("{} subjects with {GRANTS} live grants each, {} store", plan.subjects, plan.store);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let run = async {
        match plan.store.as_str() {
            "redis" => redis(&plan).await,
            "embedded" => embedded(&plan).await,
            other => panic!("BENCH_STORE is redis or embedded, not {other}"),
        }
    };
    let good = LocalSet::new().block_on(&runtime.expect("a runtime"), run);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Plan {
    store: String,
    subjects: usize,
    rounds: usize,
    /// Of each store, in each round.
    reads: usize,
}

impl Plan {
    fn from_environment() -> Self {
        let number = |name: &str, otherwise: usize| match std::env::var(name) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number")),
            Err(_) => otherwise,
        };
        Self {
            store: std::env::var("BENCH_STORE").unwrap_or_else(|_| "redis".to_owned()),
            subjects: number("BENCH_SUBJECTS", 100_000),
            rounds: number("BENCH_ROUNDS", 5),
            reads: number("BENCH_READS", 20_000),
        }
    }
}

/// Whether every bound is kept.
async fn redis(plan: &Plan) -> bool {
    let start = || Server::start(Program::Redis, &["--appendonly", "no"]);
    let (one, many) = (start(), start());
    let (small, large) = (open(&one).await, open(&many).await);
    fill(&small.store(), &large.store(), plan).await;
    let good = compare(&small.reader(), &large.reader(), plan).await;
    let light = memory::report(&many, plan.subjects);
    good && light
}

async fn open(server: &Server) -> Redis {
    let address = RedisAddress { host: "127.0.0.1".into(), port: server.port };
    let config = RedisConfig {
        nodes: RedisNodes::Standalone(address),
        tls: None,
        login: RedisLogin::default(),
        database: 0,
        // Filling keeps the server busy for longer than a request would wait.
        timeout: Duration::from_secs(10),
        acknowledge: Acknowledge::Memory,
        replicas: 0,
        refuse_lost_replicas: false,
        max_replica_lag: Duration::from_secs(10),
    };
    let clock = Arc::new(SystemClock);
    let options =
        Options { environment: Environment::Development, clock_skew: Duration::from_secs(2) };
    let opened = Redis::open(config, &[key()], PartitionCount::DEFAULT, clock, options).await;
    opened.expect("the store opens")
}

/// Only for comparison: nothing is promised of it.
async fn embedded(plan: &Plan) -> bool {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [small, large] = folders.each_ref().map(|folder| {
        let clock = Arc::new(SystemClock);
        let opened = Embedded::open(folder.path(), &[key()], PartitionCount::DEFAULT, clock);
        opened.expect("the store opens")
    });
    fill(&small.store(), &large.store(), plan).await;
    compare(&small.reader(), &large.reader(), plan).await;
    true
}

fn key() -> SealKey {
    SealKey { id: "k1".into(), bytes: Arc::from([7; 32]) }
}

async fn fill(small: &SharedStore, large: &SharedStore, plan: &Plan) {
    let start = Instant::now();
    fill::subjects(small, 1).await;
    fill::subjects(large, plan.subjects).await;
    println!("filled in {:.1?}\n", start.elapsed());
}

/// Whether the median of the rounds keeps the bound.
async fn compare(small: &impl LiveReader, large: &impl LiveReader, plan: &Plan) -> bool {
    println!("| round | one subject p50 us | p99 us | all subjects p50 us | p99 us | p99 / p99 |");
    println!("|---|---|---|---|---|---|");
    round(small, large, plan).await;
    let mut ratios = Vec::new();
    for number in 1..=plan.rounds {
        let (one, all) = round(small, large, plan).await;
        let ratio = one.at(99).as_secs_f64().recip() * all.at(99).as_secs_f64();
        let [a, b, c, d] = [one.at(50), one.at(99), all.at(50), all.at(99)].map(micros);
        println!("| {number} | {a:.1} | {b:.1} | {c:.1} | {d:.1} | {ratio:.2} |");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::INFINITY);
    let good = median <= READ_BOUND;
    println!(
        "\np99 of a read, all subjects / one: median {median:.2}, bound {READ_BOUND}: {}\n",
        met(good)
    );
    good
}

async fn round(small: &impl LiveReader, large: &impl LiveReader, plan: &Plan) -> (Times, Times) {
    let (mut one, mut all) = (Times::default(), Times::default());
    let mut drawn = 1_u64;
    for _ in 0..plan.reads {
        one.0.push(read(small, 0).await);
        drawn =
            drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = usize::try_from(drawn >> 33).expect("a number") % plan.subjects;
        all.0.push(read(large, number).await);
    }
    one.0.sort_unstable();
    all.0.sort_unstable();
    (one, all)
}

async fn read(reader: &impl LiveReader, number: usize) -> Duration {
    let key = subject(number).key();
    let start = Instant::now();
    let view = reader.read(key).await.expect("it reads");
    let spent = start.elapsed();
    assert_eq!(view.counting(TOOL, now()).count(), GRANTS, "every grant counts");
    spent
}

#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn at(&self, percent: usize) -> Duration {
        self.0.get(self.0.len() * percent / 100).copied().unwrap_or_default()
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn met(good: bool) -> &'static str {
    if good { "met" } else { "MISSED" }
}
