//! The hot read against real servers, and against scripted ones that no real server would play.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use super::super::super::StoreFault;
use super::super::super::keys;
use super::super::Options;
use super::super::servers::Server;
use super::*;
use crate::clock::SystemClock;
use crate::config::{Acknowledge, Environment, RedisConfig, RedisLogin, RedisNodes, SealKey};
use crate::domain::ids::PartitionCount;
use crate::domain::subject::SubjectKey;

mod codec;
mod cost;
mod fake;
mod lies;
mod outages;
mod slots;
mod values;
mod vitals;

const P: Partition = Partition(7);

/// Runs like a core of the gateway.
fn on_core<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        timeout(Duration::from_secs(60), work).await.expect("in time")
    })
}

fn scale(small: usize, full: usize) -> usize {
    if std::env::var_os("TIDEGATE_FULL").is_some() { full } else { small }
}

fn config(port: u16) -> RedisConfig {
    RedisConfig {
        nodes: RedisNodes::Standalone(RedisAddress { host: "127.0.0.1".into(), port }),
        tls: None,
        login: RedisLogin::default(),
        database: 0,
        // Far above the usual 250 ms: tests share their machine.
        timeout: Duration::from_secs(5),
        acknowledge: Acknowledge::Memory,
        replicas: 0,
        refuse_lost_replicas: false,
        max_replica_lag: Duration::from_secs(10),
    }
}

fn shared(config: RedisConfig) -> Shared {
    let keys = [SealKey { id: "k1".into(), bytes: [1; 32].into() }];
    let options =
        Options { environment: Environment::Development, clock_skew: Duration::from_secs(2) };
    let clock = Arc::new(SystemClock);
    let shared = Shared::new(config, &keys, PartitionCount::DEFAULT, clock, options).unwrap();
    shared.gate.open();
    shared
}

fn source(config: RedisConfig) -> HotSource {
    HotSource::new(Arc::new(shared(config)))
}

fn subject(number: usize) -> Key {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
    keys::live(P, SubjectKey(bytes))
}

/// Head, markers, and for each of the subjects a value that names it.
fn fill(server: &Server, subjects: usize) {
    let (head, markers) = (keys::head(P), keys::markers(P));
    let keys: Vec<Key> = (0..subjects).map(subject).collect();
    let mut command = vec!["MSET", head.as_str(), "the head", markers.as_str(), "the markers"];
    for key in &keys {
        command.extend([key.as_str(), key.as_str()]);
    }
    assert_eq!(server.ask(&command), "+OK\r\n");
}

async fn live(source: &HotSource, number: usize) -> Result<RawLive, StoreFault> {
    source.live(P, &subject(number)).await
}

/// The value of a subject, which names it.
fn is_of(raw: &RawLive, number: usize) -> bool {
    raw.live.as_deref() == Some(subject(number).as_bytes())
}

/// Asks until it is answered like this; fails when it takes longer than `within`.
async fn until(
    source: &HotSource,
    within: Duration,
    mut like: impl FnMut(&Result<RawLive, StoreFault>) -> bool,
) {
    let start = Instant::now();
    loop {
        let answer = live(source, 0).await;
        if like(&answer) {
            return;
        }
        assert!(start.elapsed() < within, "after {within:?} still {answer:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn says(answer: &Result<RawLive, StoreFault>, text: &str) -> bool {
    answer.as_ref().is_err_and(|fault| fault.to_string().contains(text))
}
