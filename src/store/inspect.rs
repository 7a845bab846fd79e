//! What a store says of itself to people who operate it. Nothing is decided by any of it.

use crate::domain::ids::{Partition, PartitionCount};
use crate::domain::markers::Generation;

use super::{Answer, Head};

/// What a back end says of itself: names and values to show, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendStatus {
    pub lines: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug)]
pub struct PartitionStatus {
    pub partition: Partition,
    pub head: Head,
    pub generation: Generation,
    /// Entries of the log, from its oldest to the head.
    pub entries: u64,
    pub open_grants: Count,
    pub pending_requests: Count,
    /// Also those that are not due yet.
    pub timers: Count,
}

/// A number that is not counted beyond [`Count::MOST`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub number: usize,
    /// There are more than `number`.
    pub goes_on: bool,
}

impl Count {
    pub const MOST: usize = 10_000;
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.number += other.number;
        self.goes_on |= other.goes_on;
    }
}

/// `10000+` when it goes on.
impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.number, if self.goes_on { "+" } else { "" })
    }
}

/// Object-safe, beside [`super::Store`]: only the command line asks.
pub trait Inspect: Send + Sync + 'static {
    fn partitions(&self) -> PartitionCount;
    /// Head and markers are checked as for every other read.
    fn partition(&self, partition: Partition) -> Answer<'_, PartitionStatus>;
    fn back_end(&self) -> Answer<'_, BackendStatus>;
}
