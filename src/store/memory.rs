//! What this process knew: the head, the generation and the versions it last saw. A store whose
//! answer is older than that went back in time, and the partition stays closed until its epoch is
//! raised. An answer is compared with what was known when its read was sent, not with what another
//! core learned meanwhile.

use std::cmp::Ordering;
use std::sync::atomic::{self, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::domain::grant::Grant;
use crate::domain::ids::{CommitId, Partition, PartitionCount};
use crate::domain::markers::{Generation, Markers};
use crate::domain::subject::SubjectKey;
use crate::domain::time::Timestamp;

use super::revoked::{Revocation, Revoked};
use super::versions::Versions;
use super::{Head, StoreFault};

/// One memory for all cores and the approvals of a process.
#[derive(Debug)]
pub struct Memory {
    partitions: Vec<Mutex<PartitionMemory>>,
    /// Of each partition, see [`Memory::edition`].
    editions: Vec<AtomicU64>,
    revoked: Mutex<Revoked>,
}

#[derive(Debug)]
struct PartitionMemory {
    head: Option<Head>,
    generation: Generation,
    closed: bool,
    versions: Versions,
    markers: Option<VerifiedMarkers>,
    /// The newest ones ever seen, which those of a later reply need not be.
    newest: Option<VerifiedMarkers>,
}

/// What this process can tell of a partition after the store lost it.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    pub closed: bool,
    pub head: Option<Head>,
    pub generation: Generation,
    pub markers: Option<VerifiedMarkers>,
}

/// What was known when a read was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub head: Option<Head>,
    pub generation: Generation,
    /// Of the subject that is read; 0: none seen.
    pub version: u64,
    pub closed: bool,
}

/// Markers whose seal was verified, with the very bytes that were.
#[derive(Clone, Debug)]
pub struct VerifiedMarkers {
    pub bytes: Bytes,
    pub epoch: u64,
    pub markers: Arc<Markers>,
}

/// How a head stands to the remembered one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Same,
    /// Nothing was remembered, or the epoch was raised: everything older is forgotten.
    New,
    /// Later: to be proven by the log entry `seq`, which has to be of this commit.
    Later {
        seq: u64,
        id: CommitId,
    },
    WentBack,
}

impl PartitionMemory {
    fn new(versions: Versions) -> Self {
        Self { head: None, generation: 0, closed: false, versions, markers: None, newest: None }
    }
}

impl Known {
    /// `head` has an epoch that the sealed markers confirm.
    #[must_use]
    pub fn standing(&self, head: &Head) -> Standing {
        let Some(known) = self.head else { return Standing::New };
        if head.epoch != known.epoch {
            return if head.epoch > known.epoch { Standing::New } else { Standing::WentBack };
        }
        if self.closed {
            return Standing::WentBack;
        }
        match head.seq.cmp(&known.seq) {
            Ordering::Equal if head.id == known.id => Standing::Same,
            Ordering::Equal | Ordering::Less => Standing::WentBack,
            Ordering::Greater => Standing::Later { seq: known.seq, id: known.id },
        }
    }
}

/// What a checked answer or an own commit showed.
#[derive(Clone, Copy, Debug)]
pub struct Learned {
    pub head: Head,
    pub generation: Generation,
    pub subject: Option<(SubjectKey, u64)>,
}

impl Memory {
    #[must_use]
    pub fn new(partitions: PartitionCount) -> Self {
        let new = |_| Mutex::new(PartitionMemory::new(Versions::share_of(partitions.get())));
        let revoked = Mutex::new(Revoked::default());
        let editions = partitions.all().map(|_| AtomicU64::new(0)).collect();
        Self { partitions: partitions.all().map(new).collect(), editions, revoked }
    }

    /// What is known now; taken before a read is sent.
    #[must_use]
    pub fn known(&self, partition: Partition, subject: Option<SubjectKey>) -> Known {
        let Some(mut memory) = self.lock(partition) else {
            return Known { head: None, generation: 0, version: 0, closed: true };
        };
        let turns = memory.versions.turns();
        let version = subject.and_then(|subject| memory.versions.of(subject));
        if memory.versions.turns() != turns {
            self.edit(partition);
        }
        Known {
            head: memory.head,
            generation: memory.generation,
            version: version.unwrap_or(0),
            closed: memory.closed,
        }
    }

    /// Another number is perhaps another [`Memory::known`]; while it stays the same, so does that. Read
    /// before it, it may be kept with it: cores do not wait for each other then. It changes also when
    /// subjects are about to be forgotten, so that those in use are asked for again.
    #[must_use]
    pub fn edition(&self, partition: Partition) -> Option<u64> {
        self.editions.get(usize::from(partition.0)).map(|it| it.load(atomic::Ordering::Acquire))
    }

    /// To be called under the partition's lock, after the change.
    fn edit(&self, partition: Partition) {
        if let Some(edition) = self.editions.get(usize::from(partition.0)) {
            edition.fetch_add(1, atomic::Ordering::Release);
        }
    }

    /// The markers that these very bytes were verified to hold.
    #[must_use]
    pub fn verified(&self, partition: Partition, bytes: &Bytes) -> Option<VerifiedMarkers> {
        let memory = self.lock(partition)?;
        memory.markers.as_ref().filter(|verified| same(&verified.bytes, bytes)).cloned()
    }

    pub fn remember_markers(&self, partition: Partition, verified: VerifiedMarkers) {
        if let Some(mut memory) = self.lock(partition) {
            let age = |markers: &VerifiedMarkers| (markers.epoch, markers.markers.generation);
            if memory.newest.as_ref().is_none_or(|newest| age(newest) <= age(&verified)) {
                memory.newest = Some(verified.clone());
            }
            memory.markers = Some(verified);
        }
    }

    /// Remembers what is later than what was known. Heads of one epoch are told apart by seq, so
    /// that an answer that arrives late takes nothing back.
    ///
    /// # Errors
    /// The partition was closed meanwhile.
    pub fn learn(&self, partition: Partition, learned: Learned) -> Result<(), StoreFault> {
        let Some(mut memory) = self.lock(partition) else {
            return Err(StoreFault::RolledBack(partition));
        };
        let epoch = memory.head.map_or(0, |head| head.epoch);
        if learned.head.epoch > epoch {
            let (markers, newest) = (memory.markers.take(), memory.newest.take());
            let versions = memory.versions.emptied();
            *memory = PartitionMemory { markers, newest, ..PartitionMemory::new(versions) };
            self.edit(partition);
        }
        if memory.closed {
            return Err(StoreFault::RolledBack(partition));
        }
        if learned.head.epoch < epoch {
            return Ok(());
        }
        if memory.head.is_none_or(|head| head.seq < learned.head.seq) {
            memory.head = Some(learned.head);
        }
        memory.generation = memory.generation.max(learned.generation);
        if let Some((subject, version)) = learned.subject {
            memory.versions.remember(subject, version);
        }
        self.edit(partition);
        Ok(())
    }

    /// Closes the partition until its epoch is raised.
    pub fn close(&self, partition: Partition) -> StoreFault {
        if let Some(mut memory) = self.lock(partition) {
            if !memory.closed {
                tracing::error!(%partition, "the store went back in time; the partition is closed");
            }
            memory.closed = true;
            self.edit(partition);
        }
        StoreFault::RolledBack(partition)
    }

    /// Remembers which of `grants` ended before their time, by a commit of this process.
    pub fn remember_ends(&self, grants: &[Grant], now: Timestamp) {
        self.revoked().remember(grants, now);
    }

    /// What this process ended and would not have ended by itself at `now`.
    #[must_use]
    pub fn revocations(&self, now: Timestamp) -> Vec<Revocation> {
        self.revoked().all(now)
    }

    #[must_use]
    pub fn remembered(&self, partition: Partition) -> Remembered {
        let Some(memory) = self.lock(partition) else { return Remembered::default() };
        Remembered {
            closed: memory.closed,
            head: memory.head,
            generation: memory.generation,
            markers: memory.newest.clone(),
        }
    }

    fn revoked(&self) -> MutexGuard<'_, Revoked> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self, partition: Partition) -> Option<MutexGuard<'_, PartitionMemory>> {
        let memory = self.partitions.get(usize::from(partition.0))?;
        // Every change of a memory is whole before it could panic.
        Some(memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Equal bytes; the same buffer is recognised without looking at them.
fn same(one: &Bytes, two: &Bytes) -> bool {
    (one.as_ptr() == two.as_ptr() && one.len() == two.len()) || one == two
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition(0);

    fn head(epoch: u64, seq: u64, id: u8) -> Head {
        Head { epoch, seq, id: CommitId([id; 16]) }
    }

    fn learned(head: Head) -> Learned {
        Learned { head, generation: 0, subject: None }
    }

    fn memory() -> Memory {
        Memory::new(PartitionCount::DEFAULT)
    }

    #[test]
    fn an_older_or_another_head_went_back_in_time() {
        let memory = memory();
        memory.learn(P, learned(head(1, 5, 5))).expect("open");
        let known = memory.known(P, None);
        assert_eq!(known.standing(&head(1, 5, 5)), Standing::Same);
        assert_eq!(known.standing(&head(1, 4, 4)), Standing::WentBack);
        assert_eq!(known.standing(&head(1, 5, 6)), Standing::WentBack);
        assert_eq!(known.standing(&head(0, 9, 9)), Standing::WentBack);
        let proof = Standing::Later { seq: 5, id: CommitId([5; 16]) };
        assert_eq!(known.standing(&head(1, 9, 9)), proof);
        assert_eq!(known.standing(&head(2, 1, 1)), Standing::New);
    }

    #[test]
    fn an_answer_that_was_sent_earlier_is_compared_with_what_was_known_then() {
        let memory = memory();
        memory.learn(P, learned(head(1, 5, 5))).expect("open");
        let when_sent = memory.known(P, None);
        memory.learn(P, learned(head(1, 7, 7))).expect("another core was faster");
        assert_ne!(when_sent.standing(&head(1, 6, 6)), Standing::WentBack);
        memory.learn(P, learned(head(1, 6, 6))).expect("open");
        assert_eq!(memory.known(P, None).head, Some(head(1, 7, 7)));
        assert_eq!(memory.known(P, None).standing(&head(1, 6, 6)), Standing::WentBack);
    }

    #[test]
    fn a_forgotten_version_is_not_compared() {
        let memory = memory();
        let subject = |n: u64| SubjectKey(u128::from(n).to_be_bytes());
        let seen = |n| Learned { subject: Some((subject(n), 9)), ..learned(head(1, 5, 5)) };
        for n in 0..20_000 {
            memory.learn(P, seen(n)).expect("open");
        }
        assert_eq!(memory.known(P, Some(subject(19_999))).version, 9);
        assert_eq!(memory.known(P, Some(subject(0))).version, 0);
        assert_eq!(memory.known(P, Some(subject(0))).head, Some(head(1, 5, 5)));
    }

    #[test]
    fn whatever_changes_what_is_known_or_is_about_to_be_forgotten_is_another_edition() {
        let memory = memory();
        let subject = |n: u64| SubjectKey(u128::from(n).to_be_bytes());
        let seen =
            |n, version| Learned { subject: Some((subject(n), version)), ..learned(head(1, 5, 5)) };
        let mut editions = vec![memory.edition(P)];
        let mut is_another = |memory: &Memory| {
            let edition = memory.edition(P);
            let is_new = !editions.contains(&edition);
            editions.push(edition);
            is_new
        };
        memory.learn(P, learned(head(1, 5, 5))).expect("open");
        assert!(is_another(&memory));
        memory.learn(P, seen(1, 9)).expect("open");
        assert!(is_another(&memory));
        assert_eq!(memory.known(P, Some(subject(1))).version, 9);
        assert!(!is_another(&memory), "asking changes nothing");
        // Subjects in use that were asked for once in each edition are never forgotten.
        let mut kept = None;
        for n in 2..60_000 {
            memory.learn(P, seen(n, 9)).expect("open");
            if kept != memory.edition(P) {
                kept = memory.edition(P);
                assert_eq!(memory.known(P, Some(subject(1))).version, 9, "{n}");
            }
        }
        assert!(is_another(&memory));
        memory.close(P);
        assert!(is_another(&memory));
        memory.learn(P, learned(head(2, 6, 6))).expect("raised");
        assert!(is_another(&memory));
        assert_eq!(memory.edition(Partition(u16::MAX)), None);
    }

    #[test]
    fn a_closed_partition_opens_with_a_higher_epoch_only() {
        let memory = memory();
        memory.learn(P, learned(head(1, 5, 5))).expect("open");
        assert_eq!(memory.close(P), StoreFault::RolledBack(P));
        assert_eq!(memory.known(P, None).standing(&head(1, 5, 5)), Standing::WentBack);
        assert!(memory.learn(P, learned(head(1, 6, 6))).is_err());
        assert_eq!(memory.known(P, None).standing(&head(2, 6, 6)), Standing::New);
        memory.learn(P, learned(head(2, 6, 6))).expect("raised");
        assert!(!memory.known(P, None).closed);
    }
}
