//! Counting for people, over any back end.

use crate::domain::ids::{Partition, PartitionCount};
use crate::store::backend::{Backend, Range};
use crate::store::inspect::{BackendStatus, Count, Inspect, PartitionStatus};
use crate::store::keys::{self, Key, Slice};
use crate::store::{Answer, StoreFault};

use super::Ledger;

/// How many members are fetched at a time.
const PAGE: usize = 1000;

impl<B: Backend> Inspect for Ledger<B> {
    fn partitions(&self) -> PartitionCount {
        self.checks.partitions
    }

    fn partition(&self, partition: Partition) -> Answer<'_, PartitionStatus> {
        Box::pin(self.partition_status(partition))
    }

    fn back_end(&self) -> Answer<'_, BackendStatus> {
        self.backend.status()
    }
}

impl<B: Backend> Ledger<B> {
    async fn partition_status(&self, partition: Partition) -> Result<PartitionStatus, StoreFault> {
        let base = self.read_base(partition).await?;
        let oldest = self.backend.log(partition, 0, 1).await?;
        let entries = oldest
            .first()
            .map_or(0, |entry| base.head.seq.saturating_sub(entry.seq).saturating_add(1));
        Ok(PartitionStatus {
            partition,
            head: base.head,
            generation: base.markers.generation,
            entries,
            open_grants: self.count(partition, keys::grants(partition, Slice::Open)).await?,
            pending_requests: self.count(partition, keys::requests(partition, Slice::Open)).await?,
            timers: self.count(partition, keys::timers(partition)).await?,
        })
    }

    async fn count(&self, partition: Partition, set: Key) -> Result<Count, StoreFault> {
        let mut count = Count::default();
        let mut below = None;
        loop {
            let page = self.backend.members(partition, &set, Range::Below(below), PAGE).await?;
            count.number += page.len();
            below = page.last().copied().filter(|_| page.len() >= PAGE);
            if below.is_none() {
                return Ok(count);
            }
            if count.number >= Count::MOST {
                return Ok(Count { goes_on: true, ..count });
            }
        }
    }
}
