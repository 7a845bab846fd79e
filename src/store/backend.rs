//! What a back end provides: bytes under keys, moved atomically within one partition. It knows no
//! record but the version in the clear part of a sealed value, so that Redis does it in one script.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::broadcast;

use crate::domain::ids::{CommitId, Partition};
use crate::domain::markers::Generation;
use crate::domain::time::Timestamp;
use crate::domain::uses::Use;

use super::inspect::BackendStatus;
use super::keys::{Key, Member};
use super::{Answer, Durability, Head, StoreFault};

/// The part of a back end that approvals, outbox and timers use.
pub trait Backend: Send + Sync + 'static {
    /// The values under `keys`, all of `partition`, as they were at one moment, in order.
    fn get<'a>(&'a self, partition: Partition, keys: &'a [Key]) -> Answer<'a, Vec<Option<Bytes>>>;

    /// Checks in this order, then writes everything or nothing: the commit id is already there
    /// (its stored answer), head and markers are there, the head fits, the generation has not
    /// moved, the version is right. A dropped future may or may not have written.
    fn commit(&self, write: WriteSet) -> Answer<'_, Outcome>;

    /// Which commit made entry `seq` of the log; `None` when there is no such entry.
    fn commit_at(&self, partition: Partition, seq: u64) -> Answer<'_, Option<CommitId>>;

    /// Entries of the log above `after`, in order, at most `limit`.
    fn log(&self, partition: Partition, after: u64, limit: usize) -> Answer<'_, Vec<LogEntry>>;

    /// Members of a set, at most `limit`.
    fn members<'a>(
        &'a self,
        partition: Partition,
        set: &'a Key,
        range: Range,
        limit: usize,
    ) -> Answer<'a, Vec<Scored>>;

    /// Puts a value that may be lost in a crash (how far a sink has delivered).
    fn put_lazily(&self, partition: Partition, key: Key, value: Bytes) -> Answer<'_, ()>;

    /// Adds to counters, all of one partition, in one step for each; one that cannot be read begins
    /// anew. May be lost in a crash.
    fn add_uses(&self, partition: Partition, uses: Vec<(Key, Use)>) -> Answer<'_, ()>;

    /// Takes the lease under `key` for `owner`, or renews it; `false`: somebody else holds it. It
    /// runs out by itself after `life`.
    fn hold(
        &self,
        partition: Partition,
        key: Key,
        owner: Owner,
        life: Duration,
    ) -> Answer<'_, bool>;

    /// As [`Backend::put_lazily`], if `owner` holds the lease; `false`: it does not.
    fn put_held(&self, put: HeldPut) -> Answer<'_, bool>;

    /// Counts one up and says where it got; 1 where nothing is. May be lost in a crash.
    fn count_up(&self, partition: Partition, key: Key) -> Answer<'_, u64>;
    /// As [`Backend::put_lazily`], if what is there now is what was found; `false`: it is not.
    fn swap(
        &self,
        partition: Partition,
        key: Key,
        found: Option<Bytes>,
        value: Bytes,
    ) -> Answer<'_, bool>;

    /// Told which partition moved, after every commit of any process.
    fn moved(&self) -> broadcast::Receiver<Partition>;

    /// Whether a commit can be written and still be lost, so that a new grant is inert until
    /// [`Backend::settle`] said that it is kept. `false`: an answered commit is kept.
    fn can_lose_commits(&self) -> bool;

    /// Whether everything that was committed to the partition before this call is kept at the
    /// configured level.
    fn settle(&self, partition: Partition) -> Answer<'_, Durability>;

    /// Deletes entries of the log up to and with `up_to`, but never one of the newest
    /// [`KEPT_ENTRIES`].
    fn trim(&self, partition: Partition, up_to: u64) -> Answer<'_, ()>;

    /// Deletes what is long over, outside any commit: records, and their places in sets.
    fn forget(
        &self,
        partition: Partition,
        keys: Vec<Key>,
        places: Vec<(Key, Member)>,
    ) -> Answer<'_, ()>;

    /// Puts a partition on a new base; `None`: its head is not the one that was found any more.
    fn rebase(&self, rebase: Rebase) -> Answer<'_, Option<u64>>;

    /// Writes `tg:meta` if it is not there.
    fn put_meta(&self, value: Bytes) -> Answer<'_, ()>;

    /// Says something to every process that shares the store, this one included. May be lost.
    fn announce(&self, message: Bytes) -> Answer<'_, ()>;

    /// What processes said since.
    fn announcements(&self) -> broadcast::Receiver<Bytes>;

    /// What there is to say about itself, for people; nothing, unless it has something to say.
    fn status(&self) -> Answer<'_, BackendStatus> {
        Box::pin(async { Ok(BackendStatus::default()) })
    }
}

/// A process, as leases name it: random, and new at every start.
pub type Owner = [u8; 16];

/// A value that only the holder of a lease may write.
#[derive(Clone, Debug)]
pub struct HeldPut {
    pub partition: Partition,
    pub lease: Key,
    pub owner: Owner,
    pub key: Key,
    pub value: Bytes,
}

/// Processes prove heads that they remember by entries of the log: a trim leaves these.
pub const KEPT_ENTRIES: u64 = 1000;

/// Reconciliation: head and markers anew, above everything that was there.
#[derive(Clone, Debug)]
pub struct Rebase {
    pub partition: Partition,
    /// The head as it was read; it has to be the same still.
    pub found: Option<Bytes>,
    pub epoch: u64,
    /// The entry that this writes gets at least this number, and a higher one than any in the log.
    pub lowest_seq: u64,
    pub commit: CommitId,
    pub markers: Bytes,
}

/// The part of a back end that the gateway uses; one per core.
pub trait LiveSource: 'static {
    /// Head, markers and one live value, as they were at one moment.
    fn live(
        &self,
        partition: Partition,
        live: &Key,
    ) -> impl Future<Output = Result<RawLive, StoreFault>>;

    /// Head and markers alone.
    fn base(&self, partition: Partition) -> impl Future<Output = Result<RawLive, StoreFault>>;

    fn one(
        &self,
        partition: Partition,
        key: &Key,
    ) -> impl Future<Output = Result<Option<Bytes>, StoreFault>>;

    /// As [`Backend::commit_at`].
    fn commit_at(
        &self,
        partition: Partition,
        seq: u64,
    ) -> impl Future<Output = Result<Option<CommitId>, StoreFault>>;
}

#[derive(Clone, Debug, Default)]
pub struct RawLive {
    pub head: Option<Bytes>,
    pub markers: Option<Bytes>,
    pub live: Option<Bytes>,
}

/// One commit as bytes.
#[derive(Clone, Debug)]
pub struct WriteSet {
    pub partition: Partition,
    pub commit: CommitId,
    pub expect: Expect,
    /// Kept with the commit id, for a retry after a lost reply.
    pub new_version: u64,
    /// Until when a retry finds its answer.
    pub remember_until: Timestamp,
    /// It only takes access away: it has to work when the store is out of memory.
    pub only_ends: bool,
    pub puts: Vec<Put>,
    pub deletes: Vec<Key>,
    pub sets: Vec<SetChange>,
    /// Sealed events of the log entry, in order; the entry is written without any, too.
    pub events: Vec<Bytes>,
}

#[derive(Clone, Copy, Debug)]
pub struct Expect {
    /// The head that this process remembers: the store's is the same, or later and with this
    /// commit at this place of its log.
    pub head: Head,
    /// The version that the sealed markers claim.
    pub generation: Generation,
    /// The version that the sealed record of the subject claims; 0: there is no record.
    pub version: Option<(Key, u64)>,
}

#[derive(Clone, Debug)]
pub struct Put {
    pub key: Key,
    pub value: Bytes,
    /// From when on the back end may sweep it away. Nothing is decided by it.
    pub sweep_at: Option<Timestamp>,
}

/// A set is ordered by (score, member); `score: None` takes the member out.
#[derive(Clone, Debug)]
pub struct SetChange {
    pub set: Key,
    pub member: Member,
    pub score: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scored {
    pub score: u64,
    pub member: Member,
}

#[derive(Clone, Copy, Debug)]
pub enum Range {
    /// Ascending, scores up to and with this, above the (score, member) if there is one.
    UpTo(u64, Option<Scored>),
    /// Descending, below this (score, member); from the top without one.
    Below(Option<Scored>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done { version: u64, seq: u64, durability: Durability },
    Missing(&'static str),
    HeadDoesNotFit,
    GenerationMoved,
    VersionConflict,
}

#[derive(Clone, Debug)]
pub struct LogEntry {
    pub seq: u64,
    pub commit: CommitId,
    pub events: Vec<Bytes>,
}
