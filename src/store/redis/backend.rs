//! Everything but the read of every request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::broadcast;

use super::super::backend::{
    Backend, HeldPut, LogEntry, Outcome, Owner, Range, Rebase, Scored, WriteSet,
};
use super::super::keys::{Key, Member};
use super::super::{Answer, Durability, StoreFault};
use super::Shared;
use crate::domain::ids::{CommitId, Partition};

pub struct RedisBackend {
    _shared: Arc<Shared>,
    moved: broadcast::Sender<Partition>,
    said: broadcast::Sender<Bytes>,
}

impl RedisBackend {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        let (moved, said) = (broadcast::channel(4096).0, broadcast::channel(256).0);
        Self { _shared: shared, moved, said }
    }
}

fn missing<T>() -> Result<T, StoreFault> {
    Err(StoreFault::Unreachable("not built yet".into()))
}

impl Backend for Arc<RedisBackend> {
    fn get<'a>(&'a self, _: Partition, _: &'a [Key]) -> Answer<'a, Vec<Option<Bytes>>> {
        Box::pin(async { missing() })
    }
    fn commit(&self, _: WriteSet) -> Answer<'_, Outcome> {
        Box::pin(async { missing() })
    }
    fn commit_at(&self, _: Partition, _: u64) -> Answer<'_, Option<CommitId>> {
        Box::pin(async { missing() })
    }
    fn log(&self, _: Partition, _: u64, _: usize) -> Answer<'_, Vec<LogEntry>> {
        Box::pin(async { missing() })
    }
    fn members<'a>(
        &'a self,
        _: Partition,
        _: &'a Key,
        _: Range,
        _: usize,
    ) -> Answer<'a, Vec<Scored>> {
        Box::pin(async { missing() })
    }
    fn put_lazily(&self, _: Partition, _: Key, _: Bytes) -> Answer<'_, ()> {
        Box::pin(async { missing() })
    }
    fn hold(&self, _: Partition, _: Key, _: Owner, _: Duration) -> Answer<'_, bool> {
        Box::pin(async { missing() })
    }
    fn put_held(&self, _: HeldPut) -> Answer<'_, bool> {
        Box::pin(async { missing() })
    }
    fn moved(&self) -> broadcast::Receiver<Partition> {
        self.moved.subscribe()
    }
    fn can_lose_commits(&self) -> bool {
        true
    }
    fn settle(&self, _: Partition) -> Answer<'_, Durability> {
        Box::pin(async { missing() })
    }
    fn trim(&self, _: Partition, _: u64) -> Answer<'_, ()> {
        Box::pin(async { missing() })
    }
    fn forget(&self, _: Partition, _: Vec<Key>, _: Vec<(Key, Member)>) -> Answer<'_, ()> {
        Box::pin(async { missing() })
    }
    fn rebase(&self, _: Rebase) -> Answer<'_, Option<u64>> {
        Box::pin(async { missing() })
    }
    fn put_meta(&self, _: Bytes) -> Answer<'_, ()> {
        Box::pin(async { missing() })
    }
    fn announce(&self, _: Bytes) -> Answer<'_, ()> {
        Box::pin(async { missing() })
    }
    fn announcements(&self) -> broadcast::Receiver<Bytes> {
        self.said.subscribe()
    }
}
