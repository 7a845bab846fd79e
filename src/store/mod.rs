//! The store: live grants, requests, events and timers, partitioned by subject (docs/store.md).
//!
//! [`Store`] is what approvals, the outbox and the timers use; [`LiveReader`] is what the gateway
//! reads on every request. Both are typed and the same for every back end: record format, seals
//! and the memory that notices a store gone back in time are shared code over a thin back end
//! that only moves bytes atomically.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::command::{SubjectState, Timer, Transition};
use crate::domain::event::Event;
use crate::domain::grant::{Grant, Tombstone};
use crate::domain::ids::{CommitId, GrantId, Partition, PartitionCount, RequestId};
use crate::domain::made::{MadeTemplates, MadeVersion};
use crate::domain::markers::{Generation, Markers};
use crate::domain::request::Request;
use crate::domain::subject::{Subject, SubjectKey};
use crate::domain::time::Timestamp;
use crate::domain::uses::Use;

pub mod backend;
pub mod checks;
mod compact;
#[cfg(test)]
pub(crate) mod contract;
mod cursor;
pub mod embedded;
pub mod inspect;
pub mod keys;
pub mod ledger;
pub mod letters;
pub mod live;
pub mod memory;
pub mod reader;
pub mod reconcile;
pub mod record;
pub mod redis;
mod retention;
pub mod revoked;
pub mod seal;
mod verified;
mod versions;

pub use crate::domain::markers::KillOrder;
pub use checks::Base;
pub use letters::{DeadLetter, DeadLetters, EventPlace, LetterChange, LetterWhy, LettersChanged};
pub use live::{LiveGrant, LiveView, NotLive, Seen};
pub use retention::{RetainPlace, Retained, Retention};

/// Why the store could not answer. Every one of them refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// No answer, or an answer that is an error; the text is for logs, never for clients.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    #[error("the store did not answer in time")]
    Deadline,
    /// The partition went back in time; it stays closed until it is reconciled.
    #[error("partition {0} went back in time")]
    RolledBack(Partition),
    /// Mandatory head or markers are absent.
    #[error("partition {partition} has no {what}")]
    Missing { partition: Partition, what: &'static str },
    /// A value whose seal does not verify, or that is not in a known format.
    #[error("the record {key} cannot be trusted: {why}")]
    InvalidRecord { key: String, why: &'static str },
    #[error("this clock and the store's differ by {0:?}")]
    ClockSkew(Duration),
    /// Too many reads are under way on this core.
    #[error("too many reads of the store are under way")]
    Overloaded,
}

impl StoreFault {
    /// The `kind` label of `tidegate_store_errors_total`: a closed set.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Deadline => "deadline",
            Self::RolledBack(_) => "rolled-back",
            Self::Missing { .. } => "missing",
            Self::InvalidRecord { .. } => "grant-record-invalid",
            Self::ClockSkew(_) => "clock-skew",
            Self::Overloaded => "overloaded",
        }
    }
}

pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreFault>> + Send + 'a>>;

/// What a command needs to see of its subject.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    pub subject: &'a Subject,
    /// A request that the command names, also when it is long decided.
    pub request: Option<RequestId>,
    /// A grant that the command names, also when it has ended.
    pub grant: Option<GrantId>,
    pub idempotency: Option<&'a IdempotencyKey>,
}

#[derive(Clone, Debug)]
pub struct Loaded {
    pub state: SubjectState,
    /// The answer stored under the idempotency key, if there is one.
    pub answer: Option<StoredAnswer>,
}

/// Scoped to (actor, route, target subject) by the caller and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub [u8; 32]);

/// An answer kept for 24 hours with the commit that made it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredAnswer {
    /// SHA-256 of the request body; another body under the same key is a mismatch.
    pub fingerprint: [u8; 32],
    pub status: u16,
    pub body: String,
    pub etag: Option<String>,
    pub location: Option<String>,
}

/// The status of an answer that cannot be given yet.
const UNCONFIRMED: u16 = 503;

impl StoredAnswer {
    /// What a retry finds while the grants that the answer tells of are not confirmed.
    #[must_use]
    pub fn unconfirmed(self) -> Self {
        let fingerprint = self.fingerprint;
        Self { fingerprint, status: UNCONFIRMED, body: String::new(), etag: None, location: None }
    }

    #[must_use]
    pub const fn is_unconfirmed(&self) -> bool {
        self.status == UNCONFIRMED
    }
}

/// One atomic change: state, grants, events, timers and the stored answer together.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Drawn once per command; a retry after a lost reply carries the same.
    pub id: CommitId,
    pub subject: Subject,
    /// The version that the state was loaded at.
    pub expected_version: u64,
    /// The kill-switch generation that the state was loaded under.
    pub generation: Generation,
    pub transition: Transition,
    /// The timer whose effect this is; the commit removes it, so that it takes effect once.
    pub fired: Option<Timer>,
    pub answer: Option<(IdempotencyKey, StoredAnswer)>,
    /// W3C `traceparent` of the call, kept with the events.
    pub traceparent: Option<Arc<str>>,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Written (now, or by an earlier try with the same commit id).
    Done { version: u64, seq: u64, durability: Durability },
    /// Somebody else changed the subject: reload and apply again.
    VersionConflict,
    /// A kill switch was thrown meanwhile: reload and apply again.
    GenerationMoved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Confirmed,
    Unconfirmed,
}

/// The head of a partition: grows by one with every commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub epoch: u64,
    pub seq: u64,
    pub id: CommitId,
}

/// One event as the outbox reads it: entry `seq` of its partition, `index` within its commit.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    pub partition: Partition,
    pub seq: u64,
    pub index: u16,
    pub commit: CommitId,
    pub subject: Subject,
    pub traceparent: Option<Arc<str>>,
    pub event: Event,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTimer {
    pub subject: Subject,
    pub timer: Timer,
    pub at: Timestamp,
}

/// One page of the due timers of a partition, oldest first.
#[derive(Clone, Debug, Default)]
pub struct DueTimers {
    pub timers: Vec<DueTimer>,
    /// Timers that are due and cannot be trusted; they stay, and no access hangs on them.
    pub broken: Vec<StoreFault>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<DuePlace>,
}

/// Behind a timer that was looked at, whatever became of it.
#[derive(Clone, Copy, Debug)]
pub struct DuePlace(backend::Scored);

/// One page of a walk over the open grants, then the pending requests, of a partition.
#[derive(Clone, Debug, Default)]
pub struct Killed {
    /// Whose grants or requests a kill hit that are not marked as ended; each once.
    pub subjects: Vec<Subject>,
    /// Records that cannot be trusted.
    pub broken: Vec<StoreFault>,
    pub next: Option<KilledPlace>,
}

/// How far such a walk came.
#[derive(Clone, Copy, Debug)]
pub enum KilledPlace {
    Grants(Option<backend::Scored>),
    Requests(Option<backend::Scored>),
}

/// A list over all partitions, newest first by (time, id).
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    pub subject: Option<Subject>,
    /// Requests: one of the words of `RequestStatus`. Grants: of `GrantStatus`.
    pub status: Option<String>,
    /// Requests only.
    pub template: Option<String>,
    /// Grants only.
    pub tool: Option<String>,
    /// 1 to 200.
    pub limit: usize,
    /// From an earlier page, opaque; `Err(StoreFault)` is never its answer: a bad one is checked
    /// with [`Cursor::parse`] first.
    pub cursor: Option<Cursor>,
    pub now: Timestamp,
}

/// The last item of a page: (creation time, 16 random bytes of its id).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub at: Timestamp,
    pub id: [u8; 16],
}

#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Cursor>,
}

/// How long a process that says nothing keeps what it delivers from others.
pub const RELAY_LIFE: Duration = Duration::from_secs(10);

/// Everything but the hot read. Object-safe; every future may be dropped at any point without
/// leaving half a change.
pub trait Store: Send + Sync + 'static {
    fn partitions(&self) -> PartitionCount;

    fn load<'a>(&'a self, load: Load<'a>) -> Answer<'a, Loaded>;
    fn commit(&self, commit: Commit) -> Answer<'_, Committed>;

    fn request(&self, id: RequestId) -> Answer<'_, Option<Request>>;
    fn grant(&self, id: GrantId) -> Answer<'_, Option<Grant>>;
    fn list_requests<'a>(&'a self, query: &'a ListQuery) -> Answer<'a, Page<Request>>;
    fn list_grants<'a>(&'a self, query: &'a ListQuery) -> Answer<'a, Page<Grant>>;

    fn markers(&self, partition: Partition) -> Answer<'_, Arc<Markers>>;
    /// Raises the generation of one partition and adds a kill (the kill switch, one partition);
    /// does nothing when this order was carried out there before. It binds at once; whether it is
    /// kept at the configured level is the answer.
    fn kill(&self, partition: Partition, kill: KillOrder) -> Answer<'_, Durability>;

    /// What kills hit that is not marked as ended: one page, from the beginning without a place.
    /// It reads what is open, never what is over.
    fn killed(&self, partition: Partition, from: Option<KilledPlace>) -> Answer<'_, Killed>;

    /// Templates that were made over the API; `None`: they are those of the version that is `known`.
    /// One that cannot be trusted says so in its place.
    fn templates(&self, known: Option<MadeVersion>) -> Answer<'_, Option<MadeTemplates>>;

    /// Adds to what is known of the use of grants, all of one partition. It is no part of any subject,
    /// is not sealed, decides nothing, may be lost in a crash, and goes with the grant's record.
    fn add_uses<'a>(&'a self, partition: Partition, uses: &'a [(GrantId, Use)]) -> Answer<'a, ()>;
    /// Of grants of one partition those that were used.
    fn uses<'a>(
        &'a self,
        partition: Partition,
        grants: &'a [GrantId],
    ) -> Answer<'a, BTreeMap<GrantId, Use>>;

    /// Timers due at `now`, oldest first, at most `limit`, behind `after`.
    fn due_timers(
        &self,
        partition: Partition,
        now: Timestamp,
        after: Option<DuePlace>,
        limit: usize,
    ) -> Answer<'_, DueTimers>;

    /// Events with a sequence number above `after`, in order, whole commits, at most about `limit`.
    fn read_events(
        &self,
        partition: Partition,
        after: u64,
        limit: usize,
    ) -> Answer<'_, Vec<StoredEvent>>;
    /// How far a sink has delivered a partition (0: nothing yet).
    fn cursor<'a>(&'a self, sink: &'a str, partition: Partition) -> Answer<'a, u64>;
    /// `false`: another process delivers this partition to the sink now, and nothing was written.
    fn set_cursor<'a>(&'a self, sink: &'a str, partition: Partition, seq: u64) -> Answer<'a, bool>;
    /// Makes this process the one that delivers a partition to a sink, for [`RELAY_LIFE`] from now;
    /// `false`: another process is.
    fn claim<'a>(&'a self, sink: &'a str, partition: Partition) -> Answer<'a, bool>;

    /// Whether a commit can be written and still be lost: a new grant is then inert until it is
    /// confirmed, by a commit after [`Store::settle`] said that it is kept.
    fn can_lose_commits(&self) -> bool;
    /// Whether everything that was committed to the partition before this call is kept at the
    /// configured level.
    fn settle(&self, partition: Partition) -> Answer<'_, Durability>;

    /// The next number of a sequence of this name, shared by all gateways. Gaps come: a number that
    /// was drawn for something that then did not happen is gone. Nothing is decided by it.
    fn draw<'a>(&'a self, name: &'a str) -> Answer<'a, u64>;

    /// One page of the work of retention: trims the log, then forgets what is over. Never takes
    /// anything that is open, younger or not delivered, nor one of the newest
    /// [`backend::KEPT_ENTRIES`] entries.
    fn retain(&self, partition: Partition, retention: Retention) -> Answer<'_, Retained>;

    /// Told after every commit which partition moved; lagging receivers re-read everything.
    fn moved(&self) -> tokio::sync::broadcast::Receiver<Partition>;
    /// Whether the store answers now, by a read of its own (for `/readyz`).
    fn probe(&self) -> Answer<'_, ()>;

    /// The events of a partition that a sink could not be told.
    fn dead_letters<'a>(&'a self, sink: &'a str, partition: Partition) -> Answer<'a, DeadLetters>;
    /// Changes them, whoever else does meanwhile. May be lost in a crash, but never alone: a cursor
    /// that was moved afterwards is lost with it.
    fn change_dead_letters<'a>(
        &'a self,
        sink: &'a str,
        partition: Partition,
        change: LetterChange,
    ) -> Answer<'a, LettersChanged>;
}

pub type SharedStore = Arc<dyn Store>;

/// What the gateway asks on every request; one per core, so it need not be `Send`. It keeps no
/// grant: each call is a read of its own that starts when the call is made.
pub trait LiveReader: 'static {
    /// Head, markers and the subject's live value in one atomic read.
    fn read(&self, subject: SubjectKey) -> impl Future<Output = Result<LiveView, StoreFault>>;

    /// Head and markers of a partition, checked like those of every read of a subject.
    fn base(&self, partition: Partition) -> impl Future<Output = Result<Base, StoreFault>>;

    /// Where a subject's grants are.
    fn partition(&self, subject: SubjectKey) -> Partition;

    /// What ended lately; read only when refusing.
    fn tombstones(
        &self,
        subject: SubjectKey,
    ) -> impl Future<Output = Result<Vec<Tombstone>, StoreFault>>;
}
