//! One contract for every back end: each back end's tests say `contract_suite!(ItsWorld)`.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, broadcast};

use crate::clock::ManualClock;
use crate::config::SealKey;
use crate::domain::ids::{CommitId, Partition, PartitionCount};
use crate::domain::uses::Use;

use super::backend::{
    Backend, HeldPut, LiveSource, LogEntry, Outcome, Owner, Range, RawLive, Rebase, Scored,
    WriteSet,
};
use super::checks::Checks;
use super::keys::{Key, Member};
use super::ledger::Ledger;
use super::reader::Reader;
use super::seal::Sealer;
use super::{Answer, Durability, StoreFault};

pub mod commits;
pub mod concurrency;
pub mod endings;
pub mod fixtures;
pub mod letters;
pub mod lists;
pub mod markers;
pub mod reconciling;
pub mod retention;
mod suite;
pub mod tampering;
pub mod templates;
pub mod time_travel;
pub mod uses;

pub(crate) use suite::contract_suite;

/// A store of some back end that a test may also tamper with.
pub trait World: Sized + 'static {
    type Backend: Backend;
    type Source: LiveSource;

    /// An empty store, sealed with [`key`]`("k1", 1)`.
    fn fresh() -> impl Future<Output = Self>;
    /// The same store after all processes stopped.
    fn reopened(self) -> impl Future<Output = Self>;
    fn clock(&self) -> Arc<ManualClock>;
    fn backend(&self) -> Self::Backend;
    fn source(&self) -> Self::Source;
    fn get(&self, key: &Key) -> impl Future<Output = Option<Bytes>>;
    fn put(&self, key: &Key, value: Bytes) -> impl Future<Output = ()>;
    fn delete(&self, key: &Key) -> impl Future<Output = ()>;

    /// A gateway process of its own, with a memory of its own.
    fn process(&self) -> Process<Self> {
        self.process_with(&[key("k1", 1)])
    }

    fn process_with(&self, keys: &[SealKey]) -> Process<Self> {
        let sealer = Sealer::new(keys).expect("usable keys");
        let checks = Arc::new(Checks::new(sealer, PARTITIONS));
        let lose_reply = Arc::new(AtomicBool::new(false));
        let spoil = Arc::new(Mutex::new(None));
        let (inner, lost) = (self.backend(), lose_reply.clone());
        let losing = Arc::new(Losing::default());
        let read = Arc::new(AtomicUsize::new(0));
        let backend = Lossy {
            inner,
            lose_reply: lost,
            spoil: spoil.clone(),
            losing: losing.clone(),
            read: read.clone(),
        };
        let slow = Arc::new(Slow::default());
        let source = Held { inner: self.source(), slow: slow.clone() };
        Process {
            store: Ledger::new(backend, checks.clone(), self.clock()),
            reader: Reader::new(source, checks, self.clock()),
            lose_reply,
            spoil,
            losing,
            read,
            slow,
        }
    }
}

pub const PARTITIONS: PartitionCount = PartitionCount::DEFAULT;

pub fn key(id: &str, byte: u8) -> SealKey {
    SealKey { id: id.into(), bytes: [byte; 32].into() }
}

/// Reads what the gateway reads.
pub type ReaderOf<W> = Reader<Held<<W as World>::Source>>;

pub struct Process<W: World> {
    pub store: Ledger<Lossy<W::Backend>>,
    pub reader: ReaderOf<W>,
    lose_reply: Arc<AtomicBool>,
    spoil: Spoil,
    losing: Arc<Losing>,
    read: Arc<AtomicUsize>,
    pub slow: Arc<Slow>,
}

/// Plays a store whose commits can be lost.
#[derive(Default)]
struct Losing {
    can: AtomicBool,
    unsettled: AtomicBool,
}

/// What somebody did to the events of every log entry.
type Spoil = Arc<Mutex<Option<fn(&mut Vec<Bytes>)>>>;

impl<W: World> Process<W> {
    /// The next commit happens, but its reply is lost.
    pub fn lose_next_reply(&self) {
        self.lose_reply.store(true, Ordering::SeqCst);
    }

    /// From now on commits can be lost.
    pub fn may_lose_commits(&self) {
        self.losing.can.store(true, Ordering::SeqCst);
    }

    /// Whether what was committed is kept from now on.
    pub fn settles(&self, settles: bool) {
        self.losing.unsettled.store(!settles, Ordering::SeqCst);
    }

    /// How many records and members of sets were asked for meanwhile.
    pub async fn reads<T>(&self, doing: impl Future<Output = T>) -> (T, usize) {
        let before = self.read.load(Ordering::SeqCst);
        let done = doing.await;
        (done, self.read.load(Ordering::SeqCst) - before)
    }

    /// From now on the log reads as if somebody had edited it.
    pub fn spoil_events(&self, spoil: fn(&mut Vec<Bytes>)) {
        *self.spoil.lock().expect("not poisoned") = Some(spoil);
    }
}

/// A back end whose replies can be lost, whose log can be spoilt, and that counts what is read.
pub struct Lossy<B> {
    inner: B,
    lose_reply: Arc<AtomicBool>,
    spoil: Spoil,
    losing: Arc<Losing>,
    read: Arc<AtomicUsize>,
}

impl<B: Backend> Backend for Lossy<B> {
    fn get<'a>(&'a self, p: Partition, keys: &'a [Key]) -> Answer<'a, Vec<Option<Bytes>>> {
        self.read.fetch_add(keys.len(), Ordering::SeqCst);
        self.inner.get(p, keys)
    }

    fn commit(&self, write: WriteSet) -> Answer<'_, Outcome> {
        Box::pin(async move {
            let outcome = self.inner.commit(write).await?;
            let lost = self.lose_reply.swap(false, Ordering::SeqCst);
            if lost { Err(StoreFault::Deadline) } else { Ok(outcome) }
        })
    }

    fn commit_at(&self, p: Partition, seq: u64) -> Answer<'_, Option<CommitId>> {
        self.inner.commit_at(p, seq)
    }

    fn log(&self, p: Partition, after: u64, limit: usize) -> Answer<'_, Vec<LogEntry>> {
        Box::pin(async move {
            let mut entries = self.inner.log(p, after, limit).await?;
            if let Some(spoil) = *self.spoil.lock().expect("not poisoned") {
                for entry in &mut entries {
                    spoil(&mut entry.events);
                }
            }
            Ok(entries)
        })
    }

    fn members<'a>(
        &'a self,
        p: Partition,
        set: &'a Key,
        range: Range,
        limit: usize,
    ) -> Answer<'a, Vec<Scored>> {
        Box::pin(async move {
            let members = self.inner.members(p, set, range, limit).await?;
            self.read.fetch_add(members.len(), Ordering::SeqCst);
            Ok(members)
        })
    }

    fn put_lazily(&self, p: Partition, key: Key, value: Bytes) -> Answer<'_, ()> {
        self.inner.put_lazily(p, key, value)
    }

    fn add_uses(&self, p: Partition, uses: Vec<(Key, Use)>) -> Answer<'_, ()> {
        self.inner.add_uses(p, uses)
    }

    fn hold(&self, p: Partition, key: Key, owner: Owner, life: Duration) -> Answer<'_, bool> {
        self.inner.hold(p, key, owner, life)
    }

    fn put_held(&self, put: HeldPut) -> Answer<'_, bool> {
        self.inner.put_held(put)
    }

    fn count_up(&self, p: Partition, key: Key) -> Answer<'_, u64> {
        self.inner.count_up(p, key)
    }

    fn swap(&self, p: Partition, key: Key, found: Option<Bytes>, value: Bytes) -> Answer<'_, bool> {
        self.inner.swap(p, key, found, value)
    }

    fn moved(&self) -> broadcast::Receiver<Partition> {
        self.inner.moved()
    }

    fn can_lose_commits(&self) -> bool {
        self.losing.can.load(Ordering::SeqCst) || self.inner.can_lose_commits()
    }

    fn settle(&self, p: Partition) -> Answer<'_, Durability> {
        if self.losing.unsettled.load(Ordering::SeqCst) {
            return Box::pin(async { Ok(Durability::Unconfirmed) });
        }
        self.inner.settle(p)
    }

    fn trim(&self, p: Partition, up_to: u64) -> Answer<'_, ()> {
        self.inner.trim(p, up_to)
    }

    fn forget(&self, p: Partition, keys: Vec<Key>, places: Vec<(Key, Member)>) -> Answer<'_, ()> {
        self.inner.forget(p, keys, places)
    }

    fn rebase(&self, rebase: Rebase) -> Answer<'_, Option<u64>> {
        self.inner.rebase(rebase)
    }

    fn put_meta(&self, value: Bytes) -> Answer<'_, ()> {
        self.inner.put_meta(value)
    }

    fn announce(&self, message: Bytes) -> Answer<'_, ()> {
        self.inner.announce(message)
    }

    fn announcements(&self) -> broadcast::Receiver<Bytes> {
        self.inner.announcements()
    }
}

/// A source whose replies can be held back on their way.
pub struct Held<S> {
    inner: S,
    slow: Arc<Slow>,
}

#[derive(Default)]
pub struct Slow {
    next_waits: Mutex<bool>,
    waits: Notify,
    go_on: Notify,
}

impl Slow {
    /// The next reply is made, then waits for [`Slow::arrive`].
    pub fn hold_next(&self) {
        *self.next_waits.lock().expect("not poisoned") = true;
    }

    /// Until that reply was made.
    pub async fn held(&self) {
        self.waits.notified().await;
    }

    pub fn arrive(&self) {
        self.go_on.notify_one();
    }
}

impl<S: LiveSource> LiveSource for Held<S> {
    async fn live(&self, partition: Partition, live: &Key) -> Result<RawLive, StoreFault> {
        let reply = self.inner.live(partition, live).await;
        let waits = std::mem::take(&mut *self.slow.next_waits.lock().expect("not poisoned"));
        if waits {
            self.slow.waits.notify_one();
            self.slow.go_on.notified().await;
        }
        reply
    }

    async fn base(&self, partition: Partition) -> Result<RawLive, StoreFault> {
        self.inner.base(partition).await
    }

    async fn one(&self, partition: Partition, key: &Key) -> Result<Option<Bytes>, StoreFault> {
        self.inner.one(partition, key).await
    }

    async fn commit_at(&self, p: Partition, seq: u64) -> Result<Option<CommitId>, StoreFault> {
        self.inner.commit_at(p, seq).await
    }
}
