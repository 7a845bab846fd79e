//! Which node holds a partition: always the same one, the one that the Sentinels name, or the one
//! that holds the partition's slot in a Cluster.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::config::{RedisAddress, RedisNodes};
use crate::domain::ids::{Partition, PartitionCount};

use super::super::StoreFault;
use super::connect::Connector;

mod ask;
mod cluster;
mod finder;
mod sentinel;
#[cfg(test)]
mod tests;

use finder::Finder;

/// What is known of the nodes now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Every primary, each once.
    pub nodes: Vec<RedisAddress>,
    /// By partition: an index into `nodes`; `None`: nobody is known to hold it.
    of: Vec<Option<u16>>,
    /// Another number is another table; 0: nothing was found yet.
    pub version: u64,
}

impl Table {
    fn of_one(address: &RedisAddress, partitions: PartitionCount) -> Self {
        let of = vec![Some(0); usize::from(partitions.get())];
        Self { nodes: vec![address.clone()], of, version: 1 }
    }

    /// The index of the node that holds `partition`.
    #[must_use]
    pub fn node_of(&self, partition: Partition) -> Option<usize> {
        self.of.get(usize::from(partition.0)).copied().flatten().map(usize::from)
    }

    #[must_use]
    pub fn address_of(&self, partition: Partition) -> Option<&RedisAddress> {
        self.nodes.get(self.node_of(partition)?)
    }
}

/// The table, and the wish for a newer one.
pub struct Routes {
    known: Arc<Known>,
    nodes: RedisNodes,
    partitions: PartitionCount,
    finder: OnceLock<AbortHandle>,
}

/// What the routes and whoever looks for them share.
struct Known {
    table: ArcSwap<Table>,
    version: watch::Sender<u64>,
    stale: Notify,
    /// Why the last look found nothing.
    fault: ArcSwapOption<String>,
}

impl Known {
    /// Only the finder learns, one look after the other.
    fn learn(&self, mut table: Table) {
        self.fault.store(None);
        let old = self.table.load();
        table.version = old.version;
        if table == **old {
            return;
        }
        table.version += 1;
        let version = table.version;
        self.table.store(Arc::new(table));
        self.version.send_replace(version);
    }
}

impl Routes {
    #[must_use]
    pub fn new(nodes: &RedisNodes, partitions: PartitionCount) -> Self {
        let table = match nodes {
            RedisNodes::Standalone(address) => Table::of_one(address, partitions),
            RedisNodes::Sentinel { .. } | RedisNodes::Cluster(_) => Table::default(),
        };
        let known = Known {
            version: watch::channel(table.version).0,
            table: ArcSwap::from_pointee(table),
            stale: Notify::new(),
            fault: ArcSwapOption::empty(),
        };
        let finder = OnceLock::new();
        Self { known: Arc::new(known), nodes: nodes.clone(), partitions, finder }
    }

    /// Begins to look for the nodes, in a task that ends with these routes; to be called once, on a
    /// runtime that lasts. There is nothing to look for when there is one address.
    pub fn start(&self, connector: &Connector) {
        if matches!(self.nodes, RedisNodes::Standalone(_)) {
            return;
        }
        self.finder.get_or_init(|| {
            let (known, nodes) = (self.known.clone(), self.nodes.clone());
            let finder = Finder::new(known, connector.clone(), nodes, self.partitions);
            tokio::spawn(finder.run()).abort_handle()
        });
    }

    /// Waits for the first table.
    ///
    /// # Errors
    /// None was found within `deadline`; the search goes on.
    pub async fn first(&self, deadline: Duration) -> Result<(), StoreFault> {
        let mut version = self.known.version.subscribe();
        let found = tokio::time::timeout(deadline, version.wait_for(|&version| version > 0)).await;
        if matches!(found, Ok(Ok(_))) { Ok(()) } else { Err(self.fault()) }
    }

    /// Cheap; to be asked for every read and commit.
    #[must_use]
    pub fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.known.table.load()
    }

    /// The version of the table; changes with it.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.known.version.subscribe()
    }

    /// Why there is no node for a partition.
    #[must_use]
    pub fn fault(&self) -> StoreFault {
        let why = self.known.fault.load();
        let why = why.as_ref().map_or("no node is known to hold the partition", |why| why.as_str());
        StoreFault::Unreachable(why.to_owned())
    }

    /// Somebody met MOVED, a replica, or a node that is gone: look again soon. Callers need not
    /// hold back: looking is bounded.
    pub fn went_stale(&self) {
        self.known.stale.notify_one();
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        if let Some(finder) = self.finder.get() {
            finder.abort();
        }
    }
}
