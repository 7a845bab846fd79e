//! What may go: entries of the log that everybody has, and records that are long over.

use crate::domain::time::Timestamp;

use super::StoreFault;
use super::backend::Scored;

/// What may go from a partition, one page of work.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Only what was over, or recorded, before this.
    pub before: Timestamp,
    /// Only log entries up to and with this, which every sink has taken.
    pub delivered: u64,
    /// From the beginning without a place.
    pub from: Option<RetainPlace>,
}

/// How far such a walk came: the log, then grants, then requests.
#[derive(Clone, Copy, Debug)]
pub enum RetainPlace {
    Log { after: u64 },
    Grants(Option<Scored>),
    Requests(Option<Scored>),
}

/// What one page of it removed.
#[derive(Clone, Debug, Default)]
pub struct Retained {
    /// Entries of the log.
    pub entries: usize,
    pub grants: usize,
    pub requests: usize,
    /// Records that cannot be trusted; they stay, unless they are entries between older and newer
    /// ones that both may go.
    pub broken: Vec<StoreFault>,
    pub next: Option<RetainPlace>,
}

impl Retained {
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.entries == 0 && self.grants == 0 && self.requests == 0
    }
}
