//! What open streams cost while nothing changes, and how soon a kill switch ends all of them.
//!
//! CPU is read from the scheduler (nanoseconds, all threads of the gateway); the clients and the tool
//! run in this process and are not counted. Each stream takes two descriptors in both processes:
//! `ulimit -n` decides how many there can be (`STREAMS`, 8,000 without it).

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
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use harness::client::Client;
use harness::{World, eventually};

const USERS: usize = 64;
const LONG: Duration = Duration::from_secs(20);
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";

fn main() {
    let wanted = std::env::var("STREAMS").ok().and_then(|text| text.parse().ok());
    let count: usize = wanted.unwrap_or(8_000);
    let tool = silent_tool();
    let mut world = World::with(|config| {
        let from = config.find("upstreams: [\"http://").expect("the tool");
        let to = config.find("\"]\n    rules").expect("its end");
        let tool = format!("{}upstreams: [\"http://{tool}{}", &config[..from], &config[to..]);
        tool.replace("drain_timeout: 2s", "drain_timeout: 2s, concurrent_requests: 100000")
    });
    world.oracle = false;
    let users: Vec<String> = (0..USERS).map(|number| format!("user-{number}")).collect();
    for user in &users {
        world.grant(user);
    }
    println!("{:.3} % of a core without streams", idle(&world));
    let tokens: Vec<String> = users.iter().map(|user| world.token(user)).collect();
    let mut streams = Vec::new();
    for number in 0..count {
        let token = tokens.get(number % USERS).expect("a token");
        streams.push(open(&world, token));
    }
    eventually("every stream to be watched", Duration::from_secs(60), || {
        (open_leases(&world) == count).then_some(())
    });
    for _ in 0..3 {
        println!("{:.3} % of a core with {count} streams of {USERS} people", idle(&world));
    }
    kill(&world, streams);
}

/// Everybody's grants end; a thread reads every stream to its end.
fn kill(world: &World, streams: Vec<TcpStream>) {
    let count = streams.len();
    let order = json!({ "tool": "warehouse", "reason": "a leak" });
    let answer = world.api("carol").post("/revocations", &order);
    assert_eq!(answer.status, 200, "{answer:?}");
    let start = Instant::now();
    let mut last = Duration::ZERO;
    for mut stream in streams {
        let _reset = stream.read_to_end(&mut Vec::new());
        last = last.max(start.elapsed());
    }
    println!("{count} streams ended {last:?} after the kill switch was acknowledged");
    eventually("no lease", Duration::from_secs(60), || (open_leases(world) == 0).then_some(()));
    let text = Client::new(world.gateway.admin).get("admin", "/metrics", None).text();
    let of = |line: &&str| {
        line.starts_with("tidegate_leases_cut_total") || line.contains("revocation_effect_seconds")
    };
    text.lines()
        .filter(of)
        .filter(|line| !line.starts_with('#'))
        .for_each(|line| println!("{line}"));
}

/// Percent of one core that the gateway took.
fn idle(world: &World) -> f64 {
    thread::park_timeout(Duration::from_secs(3));
    let (pid, start) = (world.gateway.pid(), Instant::now());
    let before = cpu_nanos(pid);
    thread::park_timeout(LONG);
    let spent = cpu_nanos(pid).saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
    let share = spent as f64 / start.elapsed().as_nanos() as f64;
    share * 100.0
}

fn open(world: &World, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.gateway.proxy).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
    let host = "warehouse.localhost";
    let request =
        format!("GET /wait HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"first\r\n") {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).expect("an answer");
        assert!(count > 0, "{}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
    stream
}

/// A tool that begins an answer and says nothing more.
fn silent_tool() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (keep, kept) = mpsc::channel::<TcpStream>();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n") {
                let mut chunk = [0; 4096];
                let Ok(count @ 1..) = stream.read(&mut chunk) else { break };
                bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
            }
            let _gone = stream.write_all(HEAD);
            let _kept = keep.send(stream);
        }
    });
    thread::spawn(move || kept.into_iter().collect::<Vec<_>>());
    address
}

fn open_leases(world: &World) -> usize {
    let text = Client::new(world.gateway.admin).get("admin", "/metrics", None).text();
    let line = text.lines().find_map(|line| line.strip_prefix("tidegate_open_leases "));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"))
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
