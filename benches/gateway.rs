//! What a request costs the gateway: CPU per request of a public and an enforced route in one run,
//! in interleaved rounds, and resident memory with 1,000 open connections.
//!
//! CPU is read from the scheduler (nanoseconds, all threads of the gateway, its decision log
//! included); load generator and tool run in this process and are not counted.

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

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use harness::World;

const CONNECTIONS: usize = 64;
const THREADS: usize = 4;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);

fn main() {
    let world = World::start();
    world.grant("alice");
    println!("machine: {}", machine());
    println!("commit:  {}", commit());
    let (token, gateway) = (world.token("alice"), world.gateway.pid());
    println!("resident memory, idle: {:.1} MiB", resident_mib(gateway));
    let thousand = thousand_connections(&world, &token);
    println!("resident memory, 1,000 connections: {thousand:.1} MiB\n");
    println!(
        "{CONNECTIONS} connections, {ROUNDS} interleaved rounds of {ROUND:?}, ES256 remembered\n"
    );
    println!(
        "| round | public us | enforced us | enforced/public | public req/s | enforced req/s |"
    );
    println!("|---|---|---|---|---|---|");
    let _warm_up = (round(&world, "/healthz", None), round(&world, "/", Some(&token)));
    let mut ratios = Vec::new();
    for number in 1..=ROUNDS {
        let public = round(&world, "/healthz", None);
        let enforced = round(&world, "/", Some(&token));
        let ratio = enforced.cpu_micros / public.cpu_micros;
        ratios.push(ratio);
        println!(
            "| {number} | {:.1} | {:.1} | {ratio:.2} | {:.0} | {:.0} |",
            public.cpu_micros, enforced.cpu_micros, public.rate, enforced.rate
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "\nenforced/public, median: {:.2}",
        ratios.get(ROUNDS / 2).copied().unwrap_or_default()
    );
    println!("resident memory after all rounds: {:.1} MiB", resident_mib(gateway));
}

struct Cost {
    cpu_micros: f64,
    rate: f64,
}

/// Few threads with many connections each, so that the load leaves the gateway its cores.
fn round(world: &World, target: &str, token: Option<&str>) -> Cost {
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let bearer = bearer.unwrap_or_default();
    let request = format!("GET {target} HTTP/1.1\r\nhost: warehouse.localhost\r\n{bearer}\r\n");
    let before = cpu_nanos(world.gateway.pid());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut clients: Vec<_> =
                    (0..CONNECTIONS / THREADS).map(|_| world.proxy()).collect();
                while !stop.load(Ordering::Relaxed) {
                    for client in &mut clients {
                        client.write(request.as_bytes()).expect("written");
                    }
                    for client in &mut clients {
                        let answer = client.read(false).expect("an answer");
                        assert_eq!(answer.status, 200, "{answer:?}");
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        thread::park_timeout(ROUND);
        stop.store(true, Ordering::Relaxed);
    });
    let spent = cpu_nanos(world.gateway.pid()).saturating_sub(before);
    let requests = count.into_inner().max(1);
    #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
    Cost {
        cpu_micros: spent as f64 / requests as f64 / 1000.0,
        rate: requests as f64 / ROUND.as_secs_f64(),
    }
}

fn thousand_connections(world: &World, token: &str) -> f64 {
    let mut clients: Vec<_> = (0..1000).map(|_| world.proxy()).collect();
    for client in &mut clients {
        assert_eq!(client.get("warehouse.localhost", "/", Some(token)).status, 200);
    }
    resident_mib(world.gateway.pid())
}

/// Time on a CPU of all threads, from the scheduler.
fn cpu_nanos(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let nanos = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    threads.flatten().filter_map(nanos).sum()
}

fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!("{} x {cores}", model.trim_start_matches(['\t', ' ', ':']))
}

fn commit() -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    output.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
}
