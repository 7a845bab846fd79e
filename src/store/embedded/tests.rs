use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::domain::grant::EndedWhy;
use crate::domain::ids::GrantId;
use crate::store::contract::fixtures::{
    START, TOOL, activated, alice, commit_on, ended, grant, load_of, of_grants, partition,
};
use crate::store::contract::{PARTITIONS, World, contract_suite, key};
use crate::store::{Committed, LiveReader, keys};

pub(crate) struct EmbeddedWorld {
    directory: TempDir,
    clock: Arc<ManualClock>,
    store: Embedded,
}

impl EmbeddedWorld {
    fn opened(directory: TempDir, clock: Arc<ManualClock>) -> Self {
        let store = open(directory.path(), clock.clone()).expect("it opens");
        Self { directory, clock, store }
    }
}

fn open(path: &Path, clock: Arc<ManualClock>) -> Result<Embedded, OpenError> {
    Embedded::open(path, &[key("k1", 1)], PARTITIONS, clock)
}

impl World for EmbeddedWorld {
    type Backend = Arc<Inner>;
    type Source = MemorySource;

    async fn fresh() -> Self {
        Self::opened(TempDir::new().expect("a directory"), ManualClock::at(START))
    }

    async fn reopened(self) -> Self {
        let Self { directory, clock, store } = self;
        drop(store);
        Self::opened(directory, clock)
    }

    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    fn backend(&self) -> Arc<Inner> {
        self.store.inner.clone()
    }

    fn source(&self) -> MemorySource {
        MemorySource { inner: self.store.inner.clone() }
    }

    async fn get(&self, key: &Key) -> Option<Bytes> {
        self.store.inner.state.snapshot().expect("usable").get(key).expect("it reads")
    }

    async fn put(&self, key: &Key, value: Bytes) {
        self.store.inner.put(*key, Some(value), true).await.expect("written");
    }

    async fn delete(&self, key: &Key) {
        self.store.inner.put(*key, None, true).await.expect("written");
    }
}

mod contract {
    use super::*;

    contract_suite!(EmbeddedWorld);
}

fn refused(answer: Result<Embedded, OpenError>) -> String {
    answer.err().expect("it does not open").to_string()
}

#[test]
fn a_second_process_is_refused_and_told_who_holds_the_store() {
    let directory = TempDir::new().expect("a directory");
    let first = open(directory.path(), ManualClock::at(START)).expect("it opens");
    let second = refused(open(directory.path(), ManualClock::at(START)));
    assert!(second.ends_with(&format!("is in use by process {}", std::process::id())), "{second}");
    drop(first);
    assert!(open(directory.path(), ManualClock::at(START)).is_ok());
}

#[test]
fn a_store_that_does_not_fit_the_configuration_is_not_opened() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("deep").join("er");
    let open_with = |keys: &[SealKey], partitions| {
        Embedded::open(&path, keys, partitions, ManualClock::at(START))
    };
    drop(open_with(&[key("k1", 1)], PARTITIONS).expect("it is made"));
    let eight = PartitionCount::new(8).expect("a count");
    let found = refused(open_with(&[key("k1", 1)], eight));
    assert_eq!(found, "the store has 64 partitions, the configuration says 8");
    for keys in [key("k1", 2), key("k2", 1)] {
        let found = refused(open_with(&[keys], PARTITIONS));
        assert!(found.contains("was sealed with another key"), "{found}");
    }
    assert!(refused(open_with(&[], PARTITIONS)).contains("no seal key"));
    assert!(open_with(&[key("k2", 2), key("k1", 1)], PARTITIONS).is_ok());
}

#[tokio::test]
async fn an_old_store_without_markers_is_a_fault_and_not_initialised_again() {
    let world = EmbeddedWorld::fresh().await;
    world.delete(&keys::markers(partition(&alice()))).await;
    let world = world.reopened().await;
    let answer = world.store.reader().read(alice().key()).await;
    assert!(matches!(answer, Err(StoreFault::Missing { what: "markers", .. })), "{answer:?}");

    world.delete(&keys::meta()).await;
    let EmbeddedWorld { directory, clock, store } = world;
    drop(store);
    assert!(refused(open(directory.path(), clock)).contains("is damaged"));
}

#[tokio::test]
async fn a_file_with_a_damaged_page_is_refused_or_read_but_never_a_panic() {
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("tidegate.redb");
    drop(open(directory.path(), ManualClock::at(START)).expect("it opens"));
    let whole = std::fs::read(&file).expect("it is there");
    let used = (4096..whole.len()).step_by(4096).filter(|at| whole[*at..*at + 64] != [0; 64]);
    let mut damaged = 0;
    for at in used {
        let mut bytes = whole.clone();
        bytes[at..at + 4096].fill(0);
        std::fs::write(&file, &bytes).expect("written");
        let opened = open(directory.path(), ManualClock::at(START));
        damaged += usize::from(matches!(opened, Err(OpenError::Damaged { .. })));
    }
    assert!(damaged > 0, "at least one of them is needed");
}

#[tokio::test]
async fn a_writer_that_panics_ends_reading_too() {
    let world = EmbeddedWorld::fresh().await;
    let inner = &world.store.inner;
    let reader = world.store.reader();
    reader.read(alice().key()).await.expect("it reads");
    let (reply, answer) = oneshot::channel();
    let panics = Job::Panic(reply);
    assert!(inner.ask(panics, answer).await.is_err());
    while reader.read(alice().key()).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn outdated_records_are_swept_and_live_ones_are_not() {
    let world = EmbeddedWorld::fresh().await;
    let process = world.process();
    let grant = grant(&alice(), START);
    process.write(&alice(), of_grants(&[&grant])).await;
    let live = keys::live(partition(&alice()), alice().key());
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let sweep_at = grant.expires_at.plus(day);
    for (now, is_there) in
        [(sweep_at.minus(std::time::Duration::from_millis(1)), true), (sweep_at, false)]
    {
        world.clock.set(now);
        // Any durable write sweeps.
        world.put(&keys::timers(partition(&alice())), Bytes::new()).await;
        assert_eq!(world.get(&live).await.is_some(), is_there);
    }
    assert_eq!(process.read(&alice()).await.expect("it reads").grants().count(), 0);
    let anchor = keys::subject(partition(&alice()), alice().key());
    assert!(world.get(&anchor).await.is_some());
}

#[tokio::test]
async fn commits_that_wait_together_share_a_transaction() {
    let world = EmbeddedWorld::fresh().await;
    let store = world.store.store();
    let mut moved = store.moved();
    let mut commits = tokio::task::JoinSet::new();
    for number in 0..200 {
        let subject = crate::domain::subject::Subject::new("i", &format!("user-{number}"));
        let store = store.clone();
        commits.spawn(async move {
            let loaded = store.load(load_of(&subject)).await.expect("it loads");
            let commit = commit_on(&loaded, of_grants(&[&grant(&subject, START)]), START);
            let answer = store.commit(commit).await.expect("answered");
            matches!(answer, Committed::Done { .. })
        });
    }
    assert!(commits.join_all().await.into_iter().all(|done| done));
    for _ in 0..200 {
        moved.try_recv().expect("every commit was told");
    }
    let transactions = world.store.inner.state.transactions();
    assert!(transactions < 50, "{transactions} transactions for 200 commits");
}

/// Reads on other cores all the while; an odd phase means "revoked, and acknowledged so".
#[tokio::test]
async fn an_acknowledged_revocation_binds_every_later_read_on_every_core() {
    let world = EmbeddedWorld::fresh().await;
    let (own, other) = (world.store.store(), world.process());
    let phase = Arc::new(AtomicU64::new(1));
    let cores: Vec<_> = (0..3)
        .map(|_| {
            let (reader, phase) = (world.store.reader(), phase.clone());
            std::thread::spawn(move || read_until_told(&reader, &phase))
        })
        .collect();
    for _ in 0..100 {
        let live = grant(&alice(), START);
        phase.fetch_add(1, Ordering::SeqCst);
        other.write(&alice(), of_grants(&[&live])).await;
        // The process of the readers: they share what it knows.
        let loaded = own.load(load_of(&alice())).await.expect("it loads");
        let revoked = of_grants(&[&ended(live, EndedWhy::Revoked, START)]);
        let committed = own.commit(commit_on(&loaded, revoked, START)).await;
        assert!(matches!(committed, Ok(Committed::Done { .. })), "{committed:?}");
        phase.fetch_add(1, Ordering::SeqCst);
    }
    phase.store(STOP, Ordering::SeqCst);
    for core in cores {
        assert!(core.join().expect("no read failed") > 0);
    }
}

const STOP: u64 = u64::MAX;

fn read_until_told(reader: &EmbeddedReader, phase: &AtomicU64) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut reads = 0;
    loop {
        let before = phase.load(Ordering::SeqCst);
        if before == STOP {
            return reads;
        }
        let view = runtime.block_on(reader.read(alice().key())).expect("no false alarm");
        let counting = view.counting(TOOL, START).count();
        let revoked = before % 2 == 1 && phase.load(Ordering::SeqCst) == before;
        assert!(!revoked || counting == 0, "allowed after the acknowledgement");
        reads += 1;
    }
}

const CHILD: &str = "TIDEGATE_TEST_CRASH_DIRECTORY";

/// Not a test of its own: the process that the next test kills. It commits as fast as it can and
/// says which grants were acknowledged.
#[tokio::test]
async fn crash_child() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let store = open(Path::new(&path), ManualClock::at(START)).expect("it opens").store();
    loop {
        for number in 0.. {
            let subject = crate::domain::subject::Subject::new("i", &format!("user-{number}"));
            let loaded = store.load(load_of(&subject)).await.expect("it loads");
            let mut made = grant(&subject, START);
            made.id.random = crate::entropy::bytes().expect("random bytes");
            let mut transition = of_grants(&[&made]);
            transition.events = vec![activated(&made)];
            let mut commit = commit_on(&loaded, transition, START);
            commit.id = crate::entropy::commit_id().expect("random bytes");
            let answer = store.commit(commit).await.expect("answered");
            assert!(matches!(answer, Committed::Done { .. }), "{answer:?}");
            writeln!(std::io::stdout(), "acknowledged {} {number}", made.id).expect("written");
            if number == 40 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_with_its_event() {
    let directory = TempDir::new().expect("a directory");
    let mut acknowledged: Vec<(GrantId, String)> = Vec::new();
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "store::embedded::tests::crash_child", "--nocapture"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok);
        // Killed at another moment every time; what it said before it died still counts.
        let told = |line: String| {
            let (_, rest) = line.split_once("acknowledged ")?;
            let (id, number) = rest.split_once(' ')?;
            Some((id.parse().ok()?, format!("user-{number}")))
        };
        let target = acknowledged.len() + round * 7;
        while acknowledged.len() < target {
            let line = lines.next().expect("the child goes on");
            acknowledged.extend(told(line));
        }
        child.kill().expect("killed");
        child.wait().expect("it ended");
        acknowledged.extend(lines.filter_map(told));
        all_are_there(directory.path(), &acknowledged).await;
    }
}

async fn all_are_there(path: &Path, acknowledged: &[(GrantId, String)]) {
    let embedded = open(path, ManualClock::at(START)).expect("it opens after a kill");
    let (store, reader) = (embedded.store(), embedded.reader());
    let mut events = Vec::new();
    for place in PARTITIONS.all() {
        events.extend(store.read_events(place, 0, usize::MAX).await.expect("events"));
    }
    for (id, name) in acknowledged {
        assert!(store.grant(*id).await.expect("it reads").is_some(), "{id}");
        let subject = crate::domain::subject::Subject::new("i", name);
        let view = reader.read(subject.key()).await.expect("it reads");
        assert!(view.counting(TOOL, START).any(|grant| grant.id == *id), "{id}");
        let name = format!("grants/{id}");
        let told = events.iter().filter(|event| event.event.resource.to_string() == name);
        assert_eq!(told.count(), 1, "{id}");
    }
}
