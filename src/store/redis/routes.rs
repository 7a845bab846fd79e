//! Which node holds a partition: always the same one, the one that the Sentinels name, or the one
//! that holds the partition's slot in a Cluster.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::config::{RedisAddress, RedisNodes};
use crate::domain::ids::{Partition, PartitionCount};

/// What is known of the nodes now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Every primary, each once.
    pub nodes: Vec<RedisAddress>,
    /// By partition: an index into `nodes`; `None`: nobody is known to hold it.
    of: Vec<Option<u16>>,
    /// Another number is another table.
    pub version: u64,
}

impl Table {
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
    table: ArcSwap<Table>,
    stale: Notify,
}

impl Routes {
    #[must_use]
    pub fn new(nodes: &RedisNodes, partitions: PartitionCount) -> Self {
        let table = match nodes {
            RedisNodes::Standalone(address) => Table {
                nodes: vec![address.clone()],
                of: vec![Some(0); usize::from(partitions.get())],
                version: 1,
            },
            RedisNodes::Sentinel { .. } | RedisNodes::Cluster(_) => Table::default(),
        };
        Self { table: ArcSwap::from_pointee(table), stale: Notify::new() }
    }

    /// Cheap; to be asked for every read and commit.
    #[must_use]
    pub fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// Somebody met MOVED, a replica, or a node that is gone: look again soon. Callers need not
    /// hold back: looking is bounded.
    pub fn went_stale(&self) {
        self.stale.notify_one();
    }
}
