//! What the store keeps in memory as its own state: everything that the data plane reads. It
//! changes in the same step as the published snapshot of the file, after the fsync and before the
//! commit is answered: a grant is never visible before it is durable, a revocation never later
//! than its acknowledgement.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::domain::ids::{CommitId, Partition, PartitionCount};
use crate::store::StoreFault;
use crate::store::backend::RawLive;
use crate::store::keys::{self, Key};

use super::tables::{Snapshot, failed};

/// So many commits per partition are proven without looking into the file.
const RECENT: usize = 64;

pub struct State {
    published: RwLock<Published>,
    /// A commit failed half way: what is on disk is unknown, so nothing is answered any more.
    broken: AtomicBool,
}

struct Published {
    snapshot: Arc<Snapshot>,
    hot: HashMap<Box<[u8]>, Bytes>,
    recent: Vec<VecDeque<(u64, CommitId)>>,
    /// How many transactions were published since the start.
    transactions: u64,
}

/// What one write transaction changed.
#[derive(Default)]
pub struct Changes {
    /// In order; `None` takes the value away.
    pub hot: Vec<(Box<[u8]>, Option<Bytes>)>,
    pub commits: Vec<(Partition, u64, CommitId)>,
}

impl State {
    pub fn new(snapshot: Snapshot, partitions: PartitionCount) -> Result<Self, StoreFault> {
        let hot = snapshot.hot(partitions)?;
        let recent = partitions.all().map(|_| VecDeque::with_capacity(RECENT)).collect();
        let published = Published { snapshot: Arc::new(snapshot), hot, recent, transactions: 0 };
        Ok(Self { published: RwLock::new(published), broken: AtomicBool::new(false) })
    }

    /// Shows everybody what was written: the file's new snapshot and the values in memory at once.
    pub fn publish(&self, snapshot: Snapshot, changes: Changes) {
        let snapshot = Arc::new(snapshot);
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes.hot {
            match value {
                Some(value) => published.hot.insert(key, value),
                None => published.hot.remove(&key),
            };
        }
        for (partition, seq, id) in changes.commits {
            if let Some(recent) = published.recent.get_mut(usize::from(partition.0)) {
                if recent.len() == RECENT {
                    recent.pop_front();
                }
                recent.push_back((seq, id));
            }
        }
        published.transactions += 1;
        let old = std::mem::replace(&mut published.snapshot, snapshot);
        drop(published);
        // Closing the old snapshot frees pages; nobody waits for that.
        drop(old);
    }

    pub fn break_down(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    pub fn snapshot(&self) -> Result<Arc<Snapshot>, StoreFault> {
        self.usable()?;
        Ok(self.read().snapshot.clone())
    }

    /// Head, markers and one live value under one lock: they belong together.
    pub fn live(&self, partition: Partition, live: &Key) -> Result<RawLive, StoreFault> {
        self.usable()?;
        let (head, markers) = (keys::head(partition), keys::markers(partition));
        let published = self.read();
        let value = |key: &Key| published.hot.get(key.as_bytes()).cloned();
        Ok(RawLive { head: value(&head), markers: value(&markers), live: value(live) })
    }

    /// Head and markers under one lock.
    pub fn base(&self, partition: Partition) -> Result<RawLive, StoreFault> {
        self.usable()?;
        let (head, markers) = (keys::head(partition), keys::markers(partition));
        let published = self.read();
        let value = |key: &Key| published.hot.get(key.as_bytes()).cloned();
        Ok(RawLive { head: value(&head), markers: value(&markers), live: None })
    }

    pub fn hot(&self, key: &Key) -> Result<Option<Bytes>, StoreFault> {
        self.usable()?;
        Ok(self.read().hot.get(key.as_bytes()).cloned())
    }

    /// From memory when it is recent, else from the file.
    pub fn commit_at(
        &self,
        partition: Partition,
        seq: u64,
    ) -> Result<Option<CommitId>, StoreFault> {
        self.usable()?;
        let published = self.read();
        let recent = published.recent.get(usize::from(partition.0));
        let found = recent.and_then(|recent| recent.iter().rev().find(|(at, _)| *at == seq));
        if let Some((_, id)) = found {
            return Ok(Some(*id));
        }
        let snapshot = published.snapshot.clone();
        drop(published);
        snapshot.commit_at(partition, seq)
    }

    #[cfg(test)]
    pub fn transactions(&self) -> u64 {
        self.read().transactions
    }

    fn usable(&self) -> Result<(), StoreFault> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(failed("a write to the disk failed; restart when the disk is well"));
        }
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Published> {
        // `publish` cannot stop half way, so a poisoned lock protects nothing broken.
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }
}
