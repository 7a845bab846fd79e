//! The embedded back end: one redb file in one directory, owned by one process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{broadcast, oneshot};

use crate::clock::SharedClock;
use crate::config::SealKey;
use crate::domain::ids::{CommitId, Partition, PartitionCount};
use crate::domain::uses::Use;

use super::backend::{
    Backend, HeldPut, LiveSource, LogEntry, Outcome, Owner, Range, RawLive, Rebase, Scored,
    WriteSet,
};
use super::checks::Checks;
use super::inspect::{BackendStatus, Inspect};
use super::keys::{self, Key, Member};
use super::ledger::Ledger;
use super::reader::Reader;
use super::reconcile::Reconciler;
use super::record::GenesisError;
use super::seal::{Sealer, UnusableKeys};
use super::{Answer, Durability, SharedStore, StoreFault};

mod batch;
mod lock;
mod open;
mod state;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use lock::DirectoryLock;
use state::State;
use tables::failed;
use writer::{Job, Writer, answered};

/// So many moves may be waiting for a slow listener before it is told to re-read everything.
const MOVES: usize = 4096;
const MESSAGES: usize = 256;

/// What the gateway reads from; a clone per core.
pub type EmbeddedReader = Reader<MemorySource>;

/// An open store directory. Closed, and its lock released, when the last part of it is dropped.
#[derive(Clone)]
pub struct Embedded {
    inner: Arc<Inner>,
    checks: Arc<Checks>,
    clock: SharedClock,
}

/// The file, its writer and the state in memory. Fields are dropped in order: the lock last.
pub struct Inner {
    jobs: Option<Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    state: Arc<State>,
    moved: broadcast::Sender<Partition>,
    said: broadcast::Sender<Bytes>,
    path: PathBuf,
    _lock: DirectoryLock,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} cannot be used as a store directory: {fault}")]
    Directory { path: PathBuf, fault: std::io::Error },
    /// `pid` as the other process wrote it into the lock file.
    #[error("the store in {path} is in use by {}", holder(.pid.as_ref()))]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("the seal keys cannot be used: {0}")]
    Keys(#[from] UnusableKeys),
    #[error("the store in {path} was sealed with another key: {why}")]
    SealKey { path: PathBuf, why: &'static str },
    #[error("the store has {found} partitions, the configuration says {configured}")]
    Partitions { found: u16, configured: u16 },
    #[error("the store has format {found}; this version knows {known}")]
    Format { found: u16, known: u16 },
    #[error("the store in {path} is damaged: {why}")]
    Damaged { path: PathBuf, why: &'static str },
    #[error("the store could not be initialised: {0}")]
    Genesis(#[from] GenesisError),
    #[error("the store file cannot be opened: {0}")]
    Database(#[source] Box<redb::Error>),
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl From<redb::Error> for OpenError {
    fn from(fault: redb::Error) -> Self {
        Self::Database(Box::new(fault))
    }
}

fn holder(pid: Option<&u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// Whether a store was ever initialised in the directory.
#[must_use]
pub fn is_initialised(path: &Path) -> bool {
    path.join(open::FILE).exists()
}

impl Embedded {
    /// Opens the store in the directory `path`, which is created; an empty one is initialised.
    ///
    /// # Errors
    /// The directory is in use or cannot be used, the keys are not those of the store, or the store
    /// was initialised otherwise than configured.
    pub fn open(
        path: &Path,
        keys: &[SealKey],
        partitions: PartitionCount,
        clock: SharedClock,
    ) -> Result<Self, OpenError> {
        let sealer = Sealer::new(keys)?;
        let lock = DirectoryLock::take(path)?;
        let (database, state) = open::read(path, &sealer, partitions)?;
        let state = Arc::new(state);
        let (moved, _) = broadcast::channel(MOVES);
        let started =
            Writer::start(Arc::new(database), state.clone(), clock.clone(), moved.clone());
        let (jobs, writer) =
            started.map_err(|fault| OpenError::Directory { path: path.to_owned(), fault })?;
        let (said, _) = broadcast::channel(MESSAGES);
        let (jobs, writer, path) = (Some(jobs), Some(writer), path.to_owned());
        let inner = Inner { jobs, writer, state, moved, said, path, _lock: lock };
        let checks = Arc::new(Checks::new(sealer, partitions));
        Ok(Self { inner: Arc::new(inner), checks, clock })
    }

    #[must_use]
    pub fn store(&self) -> SharedStore {
        Arc::new(Ledger::new(self.inner.clone(), self.checks.clone(), self.clock.clone()))
    }

    /// Nobody shares this store: there is never anybody to ask.
    #[must_use]
    pub fn reconciler(&self) -> Arc<dyn Reconciler> {
        Arc::new(Ledger::new(self.inner.clone(), self.checks.clone(), self.clock.clone()))
    }

    /// For `tidegate store status`.
    #[must_use]
    pub fn inspect(&self) -> Arc<dyn Inspect> {
        Arc::new(Ledger::new(self.inner.clone(), self.checks.clone(), self.clock.clone()))
    }

    /// A reader for one core. It does no I/O: what it reads is in memory.
    #[must_use]
    pub fn reader(&self) -> EmbeddedReader {
        let source = MemorySource { inner: self.inner.clone() };
        Reader::new(source, self.checks.clone(), self.clock.clone())
    }
}

impl Inner {
    async fn ask<T>(
        &self,
        job: Job,
        answer: oneshot::Receiver<Result<T, StoreFault>>,
    ) -> Result<T, StoreFault> {
        let jobs = self.jobs.as_ref().ok_or_else(|| failed("the store is closed"))?;
        jobs.send(job).map_err(|_gone| failed("the store is closed"))?;
        answered(answer).await
    }

    async fn put(&self, key: Key, value: Option<Bytes>, durable: bool) -> Result<(), StoreFault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Job::Put { key, value, durable, reply }, answer).await
    }
}

impl Drop for Inner {
    /// Waits until the writer has closed the file, so that the lock is not released before.
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer stopped in the middle of a write");
        }
    }
}

impl Backend for Arc<Inner> {
    fn get<'a>(&'a self, _: Partition, keys: &'a [Key]) -> Answer<'a, Vec<Option<Bytes>>> {
        Box::pin(async move {
            let snapshot = self.state.snapshot()?;
            keys.iter().map(|key| snapshot.get(key)).collect()
        })
    }

    fn commit(&self, write: WriteSet) -> Answer<'_, Outcome> {
        let (reply, answer) = oneshot::channel();
        Box::pin(self.ask(Job::Commit(Box::new(write), reply), answer))
    }

    fn commit_at(&self, partition: Partition, seq: u64) -> Answer<'_, Option<CommitId>> {
        Box::pin(async move { self.state.commit_at(partition, seq) })
    }

    fn log(&self, partition: Partition, after: u64, limit: usize) -> Answer<'_, Vec<LogEntry>> {
        Box::pin(async move { self.state.snapshot()?.log(partition, after, limit) })
    }

    fn members<'a>(
        &'a self,
        _: Partition,
        set: &'a Key,
        range: Range,
        limit: usize,
    ) -> Answer<'a, Vec<Scored>> {
        Box::pin(async move { self.state.snapshot()?.members(set, range, limit) })
    }

    fn put_lazily(&self, _: Partition, key: Key, value: Bytes) -> Answer<'_, ()> {
        Box::pin(self.put(key, Some(value), false))
    }

    fn add_uses(&self, _: Partition, uses: Vec<(Key, Use)>) -> Answer<'_, ()> {
        let (reply, answer) = oneshot::channel();
        Box::pin(self.ask(Job::AddUses { uses, reply }, answer))
    }

    /// One process: nobody else is there to hold it.
    fn hold(&self, _: Partition, _: Key, _: Owner, _: Duration) -> Answer<'_, bool> {
        Box::pin(async { Ok(true) })
    }

    fn put_held(&self, put: HeldPut) -> Answer<'_, bool> {
        Box::pin(async move {
            self.put(put.key, Some(put.value), false).await?;
            Ok(true)
        })
    }

    fn count_up(&self, _: Partition, key: Key) -> Answer<'_, u64> {
        let (reply, answer) = oneshot::channel();
        Box::pin(self.ask(Job::CountUp { key, reply }, answer))
    }

    fn swap(&self, _: Partition, key: Key, found: Option<Bytes>, value: Bytes) -> Answer<'_, bool> {
        let (reply, answer) = oneshot::channel();
        Box::pin(self.ask(Job::Swap { key, found, value, reply }, answer))
    }

    fn moved(&self) -> broadcast::Receiver<Partition> {
        self.moved.subscribe()
    }

    fn can_lose_commits(&self) -> bool {
        false
    }

    /// What was answered was made durable before.
    fn settle(&self, _: Partition) -> Answer<'_, Durability> {
        Box::pin(async { Ok(Durability::Confirmed) })
    }

    fn trim(&self, partition: Partition, up_to: u64) -> Answer<'_, ()> {
        let (reply, answer) = oneshot::channel();
        Box::pin(self.ask(Job::Trim { partition, up_to, reply }, answer))
    }

    fn forget(&self, _: Partition, keys: Vec<Key>, places: Vec<(Key, Member)>) -> Answer<'_, ()> {
        let (reply, answer) = oneshot::channel();
        Box::pin(self.ask(Job::Forget { keys, places, reply }, answer))
    }

    fn rebase(&self, rebase: Rebase) -> Answer<'_, Option<u64>> {
        let (reply, answer) = oneshot::channel();
        Box::pin(self.ask(Job::Rebase(Box::new(rebase), reply), answer))
    }

    fn put_meta(&self, value: Bytes) -> Answer<'_, ()> {
        Box::pin(async move {
            if self.state.snapshot()?.get(&keys::meta())?.is_some() {
                return Ok(());
            }
            self.put(keys::meta(), Some(value), true).await
        })
    }

    /// One process: whoever says something is the only one to hear it.
    fn announce(&self, message: Bytes) -> Answer<'_, ()> {
        let _ = self.said.send(message);
        Box::pin(async { Ok(()) })
    }

    fn announcements(&self) -> broadcast::Receiver<Bytes> {
        self.said.subscribe()
    }

    fn status(&self) -> Answer<'_, BackendStatus> {
        Box::pin(async {
            let file = self.path.join(open::FILE);
            let size = tokio::fs::metadata(&file).await.map_err(failed)?.len();
            let lines = vec![
                ("back end".to_owned(), "embedded".to_owned()),
                ("file".to_owned(), file.display().to_string()),
                ("bytes".to_owned(), size.to_string()),
            ];
            Ok(BackendStatus { lines })
        })
    }
}

/// The store's state in memory, as the data plane reads it.
#[derive(Clone)]
pub struct MemorySource {
    inner: Arc<Inner>,
}

impl LiveSource for MemorySource {
    async fn live(&self, partition: Partition, live: &Key) -> Result<RawLive, StoreFault> {
        self.inner.state.live(partition, live)
    }

    async fn base(&self, partition: Partition) -> Result<RawLive, StoreFault> {
        self.inner.state.base(partition)
    }

    async fn one(&self, _: Partition, key: &Key) -> Result<Option<Bytes>, StoreFault> {
        self.inner.state.hot(key)
    }

    async fn commit_at(
        &self,
        partition: Partition,
        seq: u64,
    ) -> Result<Option<CommitId>, StoreFault> {
        self.inner.state.commit_at(partition, seq)
    }
}
