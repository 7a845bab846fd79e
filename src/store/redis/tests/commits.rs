//! The scripts, on a server that somebody tampered with or that is out of memory.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::broadcast::Receiver;

use super::world::{self, OPTIONS, backend_on};
use crate::domain::ids::{CommitId, Partition};
use crate::domain::time::Timestamp;
use crate::entropy;
use crate::store::backend::{
    Backend, Expect, KEPT_ENTRIES, Outcome, Put, Range, Rebase, Scored, SetChange, WriteSet,
};
use crate::store::contract::PARTITIONS;
use crate::store::contract::fixtures::{START, alice, unique};
use crate::store::keys::{self, Key, Slice};
use crate::store::record::parse_head;
use crate::store::redis::servers::{Program, Server};
use crate::store::{Durability, StoreFault};

const P: Partition = Partition(3);

/// A commit on top of what is there, that touches a key of every kind.
pub async fn write_on(backend: &impl Backend, only_ends: bool) -> WriteSet {
    let head = backend.get(P, &[keys::head(P)]).await.expect("it reads").remove(0);
    let put = |key, sweep_at| Put { key, value: Bytes::from_static(b"a value"), sweep_at };
    let change = |set| SetChange { set, member: keys::member(unique()), score: Some(1) };
    WriteSet {
        partition: P,
        commit: entropy::commit_id().expect("random bytes"),
        expect: Expect {
            head: parse_head(&head.expect("a head")).expect("a head"),
            generation: 0,
            version: Some((keys::subject(P, alice().key()), 0)),
        },
        new_version: 7,
        remember_until: START,
        only_ends,
        puts: vec![
            put(keys::live(P, alice().key()), Some(START)),
            put(keys::ended(P, alice().key()), None),
        ],
        deletes: vec![keys::sink(P, "gone")],
        sets: vec![change(keys::timers(P)), change(keys::grants(P, Slice::Open))],
        events: vec![Bytes::from_static(b"one"), Bytes::from_static(b"two\r\n\0")],
    }
}

fn is_done(answer: &Result<Outcome, StoreFault>) -> bool {
    matches!(answer, Ok(Outcome::Done { .. }))
}

fn digest(server: &Server) -> String {
    server.ask(&["DEBUG", "DIGEST"])
}

#[tokio::test]
async fn a_key_of_a_wrong_type_anywhere_is_a_fault_and_nothing_is_written() {
    let server = Server::redis();
    let backend = backend_on(world::config_of(&server), OPTIONS).await;
    for place in 0..7 {
        let write = write_on(&backend, place % 2 == 0).await;
        let touched: [Key; 7] = [
            keys::commit(P, write.commit),
            keys::head(P),
            keys::markers(P),
            keys::events(P),
            keys::subject(P, alice().key()),
            keys::timers(P),
            keys::grants(P, Slice::Open),
        ];
        let key = touched[place];
        let aside = format!("aside-{place}");
        server.ask(&["RENAME", key.as_str(), &aside]);
        server.ask(&["HSET", key.as_str(), "a", "b"]);
        let before = digest(&server);
        let answer = backend.commit(write.clone()).await;
        assert!(matches!(answer, Err(StoreFault::Unreachable(_))), "{key}: {answer:?}");
        assert_eq!(digest(&server), before, "{key}");
        server.ask(&["DEL", key.as_str()]);
        server.ask(&["RENAME", &aside, key.as_str()]);
        let answer = backend.commit(write).await;
        assert!(is_done(&answer), "{key}: {answer:?}");
    }
}

#[tokio::test]
async fn whoever_may_not_run_all_of_a_commit_runs_none_of_it() {
    let server = Server::redis();
    let backend = backend_on(world::config_of(&server), OPTIONS).await;
    for command in ["xadd", "set", "del", "zadd", "zrem"] {
        let write = write_on(&backend, command == "set").await;
        let before = digest(&server);
        server.ask(&["ACL", "SETUSER", "default", &format!("-{command}")]);
        let answer = backend.commit(write.clone()).await;
        assert!(matches!(answer, Err(StoreFault::Unreachable(_))), "{command}: {answer:?}");
        assert_eq!(digest(&server), before, "{command}");
        server.ask(&["ACL", "SETUSER", "default", &format!("+{command}")]);
        assert!(is_done(&backend.commit(write).await), "{command}");
    }
}

#[tokio::test]
async fn a_head_put_back_below_its_log_is_refused_and_nothing_is_written() {
    let server = Server::redis();
    let backend = backend_on(world::config_of(&server), OPTIONS).await;
    let head = backend.get(P, &[keys::head(P)]).await.expect("it reads").remove(0);
    let write = write_on(&backend, false).await;
    assert!(is_done(&backend.commit(write).await));
    backend.put_lazily(P, keys::head(P), head.expect("a head")).await.expect("put back");
    let before = digest(&server);
    let write = write_on(&backend, false).await;
    assert_eq!(backend.commit(write).await, Ok(Outcome::HeadDoesNotFit));
    assert_eq!(digest(&server), before);
}

#[tokio::test]
async fn a_sequence_number_that_cannot_be_counted_exactly_is_refused() {
    let server = Server::redis();
    let backend = backend_on(world::config_of(&server), OPTIONS).await;
    let huge = format!("1 {} {}", u64::MAX, "ab".repeat(16));
    backend.put_lazily(P, keys::head(P), huge.into()).await.expect("put");
    let before = digest(&server);
    let write = write_on(&backend, true).await;
    assert!(backend.commit(write).await.is_err());
    assert_eq!(digest(&server), before);
}

#[tokio::test]
async fn out_of_memory_only_what_takes_access_away_is_written() {
    let server = Server::redis();
    let backend = backend_on(world::config_of(&server), OPTIONS).await;
    assert!(is_done(&backend.commit(write_on(&backend, false).await).await));
    server.ask(&["CONFIG", "SET", "maxmemory", "8mb"]);
    let value = "x".repeat(100_000);
    let filled = (0..200).any(|n| server.ask(&["SET", &n.to_string(), &value]).starts_with("-OOM"));
    assert!(filled);
    // Firmly beyond: what a client's buffer gives back is no room.
    server.ask(&["CONFIG", "SET", "maxmemory", "6mb"]);
    let before = digest(&server);
    let answer = backend.commit(write_on(&backend, false).await).await;
    assert!(
        matches!(&answer, Err(StoreFault::Unreachable(why)) if why.contains("OOM")),
        "{answer:?}"
    );
    assert_eq!(digest(&server), before);
    for _ in 0..3 {
        let answer = backend.commit(write_on(&backend, true).await).await;
        assert!(is_done(&answer), "{answer:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_too_far_off_stops_all_but_what_takes_access_away() {
    let server = Server::redis();
    let options = super::super::Options { clock_skew: Duration::from_secs(2), ..OPTIONS };
    let backend = backend_on(world::config_of(&server), options).await;
    let answer = backend.commit(write_on(&backend, false).await).await;
    assert!(matches!(answer, Err(StoreFault::ClockSkew(_))), "{answer:?}");
    assert!(is_done(&backend.commit(write_on(&backend, true).await).await));
}

#[tokio::test]
async fn a_reply_that_was_not_waited_for_is_never_taken_for_another() {
    let server = Server::redis();
    let mut config = world::config_of(&server);
    config.timeout = Duration::from_millis(400);
    let backend = backend_on(config, OPTIONS).await;
    let sinks: Vec<Key> = (0..20).map(|n| keys::sink(P, &n.to_string())).collect();
    for key in &sinks {
        backend.put_lazily(P, *key, key.to_string().into()).await.expect("put");
    }
    server.signal("STOP");
    assert_eq!(backend.get(P, &sinks[..1]).await, Err(StoreFault::Deadline));
    for key in &sinks {
        // Dropped once it was sent.
        let one = [*key];
        let _ = tokio::time::timeout(Duration::from_millis(2), backend.get(P, &one)).await;
    }
    server.signal("CONT");
    for key in &sinks {
        let found = backend.get(P, &[*key]).await.expect("it answers");
        assert_eq!(found, [Some(key.to_string().into())]);
    }
}

#[tokio::test]
async fn a_server_that_was_restarted_is_found_again() {
    // Synced each second, it may lose to SIGKILL what it has answered.
    let keeping = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = Server::start(Program::Redis, &keeping);
    let backend = backend_on(world::config_of(&server), OPTIONS).await;
    let first = write_on(&backend, false).await;
    assert!(is_done(&backend.commit(first.clone()).await));
    server.restart();
    assert!(is_done(&backend.commit(write_on(&backend, false).await).await), "{}", server.log());
    let again = backend.commit(first).await;
    assert!(matches!(again, Ok(Outcome::Done { version: 7, seq: 2, .. })), "{again:?}");
    assert!(server.pid() > 0);
}

#[tokio::test]
async fn members_are_found_behind_a_place_that_is_gone() {
    let server = Server::redis();
    let backend = backend_on(world::config_of(&server), OPTIONS).await;
    let set = keys::requests(P, Slice::All);
    let all: Vec<Scored> = (0..40_u8)
        .map(|n| Scored { score: u64::from(n / 10), member: keys::member([n; 16]) })
        .collect();
    let mut write = write_on(&backend, false).await;
    let change =
        |scored: &Scored| SetChange { set, member: scored.member, score: Some(scored.score) };
    write.sets = all.iter().map(change).collect();
    assert!(is_done(&backend.commit(write).await));
    let gone = all[15];
    backend.forget(P, vec![], vec![(set, gone.member)]).await.expect("forgotten");

    let up = backend.members(P, &set, Range::UpTo(2, Some(gone)), 7).await.expect("members");
    assert_eq!(up, all[16..23]);
    let up = backend.members(P, &set, Range::UpTo(1, Some(gone)), 40).await.expect("members");
    assert_eq!(up, all[16..20]);
    let up = backend.members(P, &set, Range::UpTo(0, Some(gone)), 40).await.expect("members");
    assert!(up.is_empty());
    let down = backend.members(P, &set, Range::Below(Some(gone)), 3).await.expect("members");
    assert_eq!(down, [all[14], all[13], all[12]]);
    let down = backend.members(P, &set, Range::Below(None), 2).await.expect("members");
    assert_eq!(down, [all[39], all[38]]);
}

#[tokio::test]
async fn a_trim_keeps_the_newest_entries() {
    let server = Server::redis();
    let backend = backend_on(world::config_of(&server), OPTIONS).await;
    let log = keys::events(P);
    for seq in 2..1010_u64 {
        server.ask(&["XADD", log.as_str(), &format!("{seq}-0"), "c", &"ab".repeat(16)]);
    }
    let head = format!("1 1009 {}", "ab".repeat(16));
    backend.put_lazily(P, keys::head(P), head.into()).await.expect("put");
    backend.trim(P, 4).await.expect("trimmed");
    let first = |entries: Vec<crate::store::backend::LogEntry>| entries.first().map(|e| e.seq);
    assert_eq!(first(backend.log(P, 0, 1).await.expect("a log")), Some(5));
    backend.trim(P, u64::MAX).await.expect("trimmed");
    let left = backend.log(P, 0, 5000).await.expect("a log");
    assert_eq!(u64::try_from(left.len()), Ok(KEPT_ENTRIES));
    assert_eq!(first(left), Some(10));
}

#[tokio::test]
async fn a_rebase_is_above_everything_and_happens_once() {
    let server = Server::redis();
    let backend = backend_on(world::config_of(&server), OPTIONS).await;
    let found = backend.get(P, &[keys::head(P)]).await.expect("it reads").remove(0);
    assert!(is_done(&backend.commit(write_on(&backend, false).await).await));
    let markers = backend.get(P, &[keys::markers(P)]).await.expect("it reads").remove(0);
    let rebase = |found, id, lowest_seq| Rebase {
        partition: P,
        found,
        epoch: 2,
        lowest_seq,
        commit: CommitId([id; 16]),
        markers: markers.clone().expect("markers"),
    };
    assert_eq!(backend.rebase(rebase(found, 1, 9)).await, Ok(None), "it moved");
    let found = backend.get(P, &[keys::head(P)]).await.expect("it reads").remove(0);
    assert_eq!(backend.rebase(rebase(found, 2, 10)).await, Ok(Some(10)));
    assert_eq!(backend.commit_at(P, 10).await, Ok(Some(CommitId([2; 16]))));
    let head = backend.get(P, &[keys::head(P)]).await.expect("it reads").remove(0);
    assert!(head.expect("a head").starts_with(b"2 10 0202"));
    backend.forget(P, vec![keys::head(P)], vec![]).await.expect("gone");
    assert_eq!(backend.rebase(rebase(None, 3, 2)).await, Ok(Some(11)));
}

async fn heard<T: Clone>(receiver: &mut Receiver<T>, wanted: impl Fn(&T) -> bool) {
    let hearing = async { while !receiver.recv().await.is_ok_and(|heard| wanted(&heard)) {} };
    tokio::time::timeout(Duration::from_secs(10), hearing).await.expect("it is heard");
}

#[tokio::test]
async fn every_process_hears_of_commits_and_announcements() {
    let mut server = Server::redis();
    let config = || world::config_of(&server);
    let (one, two) = (backend_on(config(), OPTIONS).await, backend_on(config(), OPTIONS).await);
    let (mut moved, mut said) = (two.moved(), two.announcements());
    assert!(is_done(&one.commit(write_on(&one, false).await).await));
    heard(&mut moved, |partition| *partition == P).await;
    one.announce("hello".into()).await.expect("said");
    heard(&mut said, |message| message == "hello").await;

    server.restart();
    heard(&mut moved, |partition| partition.0 == PARTITIONS.get() - 1).await;
    one.announce("again".into()).await.expect("said");
    heard(&mut said, |message| message == "again").await;
    assert!(one.announce(vec![0; 2 << 20].into()).await.is_err());
}

#[tokio::test]
async fn a_store_clock_that_runs_fast_sweeps_nothing_that_lives() {
    let server = Server::redis();
    let shared = world::shared(world::config_of(&server), PARTITIONS, OPTIONS);
    let backend = std::sync::Arc::new(super::super::backend::RedisBackend::new(shared.clone()));
    super::super::open::open(&shared, &backend).await.expect("it fits");
    let mut write = write_on(&backend, false).await;
    let time = server.ask(&["TIME"]);
    let seconds: u64 = time.lines().nth(2).expect("seconds").parse().expect("a number");
    write.puts[0].sweep_at = Some(Timestamp::from_millis((seconds - 23 * 3600) * 1000));
    assert!(is_done(&backend.commit(write).await));
    let live = backend.get(P, &[keys::live(P, alice().key())]).await.expect("it reads");
    assert!(live[0].is_some());
    assert_eq!(backend.settle(P).await, Ok(Durability::Confirmed));
}
