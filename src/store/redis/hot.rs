//! The read of every request, on the core that the request is on.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::super::StoreFault;
use super::super::backend::{LiveSource, RawLive};
use super::super::keys::Key;
use super::Shared;
use crate::domain::ids::{CommitId, Partition};

#[derive(Clone)]
pub struct HotSource {
    _shared: Rc<Arc<Shared>>,
}

impl HotSource {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { _shared: Rc::new(shared) }
    }
}

impl LiveSource for HotSource {
    async fn live(&self, _: Partition, _: &Key) -> Result<RawLive, StoreFault> {
        Err(StoreFault::Unreachable("not built yet".into()))
    }

    async fn one(&self, _: Partition, _: &Key) -> Result<Option<Bytes>, StoreFault> {
        Err(StoreFault::Unreachable("not built yet".into()))
    }

    async fn commit_at(&self, _: Partition, _: u64) -> Result<Option<CommitId>, StoreFault> {
        Err(StoreFault::Unreachable("not built yet".into()))
    }
}
