//! Commit: one transition of one subject, written whole or not at all.

use std::time::Duration;

use bytes::Bytes;

use crate::domain::grant::{Grant, Tombstone};
use crate::domain::ids::Partition;
use crate::domain::subject::SubjectKey;
use crate::store::backend::{Backend, Expect, Outcome, WriteSet};
use crate::store::checks::Base;
use crate::store::keys;
use crate::store::memory::Learned;
use crate::store::record::{SubjectRecord, open_json, parse_stored_commit};
use crate::store::seal::invalid;
use crate::store::{Commit, Committed, Durability, Head, StoreFault};

use super::Ledger;
use super::derive::{Before, Writes, only_ends};
use super::load::{Wanted, open_items};

/// How long a retry finds what its commit answered.
const REMEMBER_COMMITS: Duration = Duration::from_secs(24 * 60 * 60);

/// What is read before a commit.
struct Seen {
    base: Base,
    record: Option<(u64, SubjectRecord)>,
    anchor: Option<Bytes>,
    has_live_value: bool,
    tombstones: Vec<Tombstone>,
}

enum Prepared {
    /// An earlier try with the same commit id was written.
    Already(Committed),
    Seen(Box<Seen>),
}

impl<B: Backend> Ledger<B> {
    pub(in crate::store) async fn commit_transition(
        &self,
        commit: Commit,
    ) -> Result<Committed, StoreFault> {
        let subject = commit.subject.key();
        let partition = subject.partition(self.checks.partitions);
        let seen = match self.look(&commit, partition, subject).await? {
            Prepared::Already(committed) => return Ok(committed),
            Prepared::Seen(seen) => seen,
        };
        let base = seen.base.clone();
        if base.markers.generation != commit.generation {
            return Ok(Committed::GenerationMoved);
        }
        let version = seen.record.as_ref().map_or(0, |(version, _)| *version);
        if version != commit.expected_version {
            return Ok(Committed::VersionConflict);
        }
        let Some(before) = self.before(&commit, partition, *seen).await? else {
            return Ok(Committed::VersionConflict);
        };
        let write = self.write_set(&commit, partition, &base, version, before)?;
        let outcome = self.backend.commit(write).await?;
        self.conclude(&commit, partition, &base, outcome).await
    }

    /// Reads what the commit builds on. The commit id is looked at before anything else: a retry
    /// after a lost reply gets its answer also when everything has moved since.
    async fn look(
        &self,
        commit: &Commit,
        partition: Partition,
        subject: SubjectKey,
    ) -> Result<Prepared, StoreFault> {
        let known = self.checks.memory.known(partition, Some(subject));
        let own = keys::commit(partition, commit.id);
        let anchor_key = keys::subject(partition, subject);
        let live_key = keys::live(partition, subject);
        let ended_key = keys::ended(partition, subject);
        let keys =
            [own, keys::head(partition), keys::markers(partition), anchor_key, live_key, ended_key];
        let [stored, head, markers, anchor, live, ended] = self.get(partition, keys).await?;
        let base = self.base(partition, &known, head.as_ref(), markers.as_ref());
        if let Some(stored) = stored {
            let (version, seq) =
                parse_stored_commit(&stored).ok_or_else(|| invalid(&own, "not an answer"))?;
            // Only the try that wrote it knew; what cannot be said is not confirmed.
            let settled = self.backend.settle(partition).await;
            let durability = settled.unwrap_or(Durability::Unconfirmed);
            self.checks.memory.remember_ends(&commit.transition.grants, self.clock.now());
            // Whoever is told of a commit also notices when it is lost.
            if let Ok(base) = base.await {
                let _closed = self.checks.learn(partition, &known, &base, Some((subject, version)));
            }
            return Ok(Prepared::Already(Committed::Done { version, seq, durability }));
        }
        let base = base.await?;
        let record = self.open_anchor(&anchor_key, anchor.as_ref(), &commit.subject)?;
        let version = record.as_ref().map_or(0, |(version, _)| *version);
        self.checks.version(partition, &known, &base, version)?;
        self.checks.learn(partition, &known, &base, Some((subject, version)))?;
        // Broken tombstones only choose between two refusals; they must not stop a revocation.
        let tombstones = ended
            .and_then(|value| open_json(&self.checks.sealer, &ended_key, &value).ok())
            .map_or_else(Vec::new, |(_, tombstones): (u64, Vec<Tombstone>)| tombstones);
        let has_live_value = live.is_some();
        let seen = Seen { base, record, anchor, has_live_value, tombstones };
        Ok(Prepared::Seen(Box::new(seen)))
    }

    /// Adds the open grants that the transition does not touch; `None` when the subject changed
    /// meanwhile.
    async fn before(
        &self,
        commit: &Commit,
        partition: Partition,
        seen: Seen,
    ) -> Result<Option<Before>, StoreFault> {
        let Seen { record, anchor, has_live_value, tombstones, base: _ } = seen;
        let record = record.map_or_else(|| new_record(commit), |(_, record)| record);
        let changed = |id| commit.transition.grants.iter().any(|grant| grant.id == id);
        let wanted: Vec<Wanted<_>> = record
            .open
            .iter()
            .filter(|listed| !changed(listed.id))
            .map(|listed| Wanted { id: listed.id, listed_at: Some(listed.version) })
            .collect();
        if wanted.is_empty() {
            let untouched = Vec::new();
            return Ok(Some(Before { record, untouched, tombstones, has_live_value }));
        }
        let mut keys = vec![keys::subject(partition, commit.subject.key())];
        keys.extend(wanted.iter().map(|wanted| keys::grant(wanted.id)));
        let values = self.backend.get(partition, &keys).await?;
        let Some((found, values)) = values.split_first() else {
            return Err(StoreFault::Unreachable("an answer of another length".into()));
        };
        if *found != anchor {
            return Ok(None);
        }
        let open = open_items::<Grant>(&self.checks.sealer, &commit.subject, &wanted, values)?;
        let untouched = open.into_values().collect();
        Ok(Some(Before { record, untouched, tombstones, has_live_value }))
    }

    fn write_set(
        &self,
        commit: &Commit,
        partition: Partition,
        base: &Base,
        version: u64,
        before: Before,
    ) -> Result<WriteSet, StoreFault> {
        let subject = commit.subject.key();
        // A first version is the time: an old value of a forgotten subject never fits again.
        let new_version = match version {
            0 => commit.now.millis().max(1),
            version => version.saturating_add(1),
        };
        let writes = Writes::of(&self.checks.sealer, commit, partition, new_version, before)?;
        Ok(WriteSet {
            partition,
            commit: commit.id,
            expect: Expect {
                head: base.head,
                generation: commit.generation,
                version: Some((keys::subject(partition, subject), version)),
            },
            new_version,
            remember_until: commit.now.plus(REMEMBER_COMMITS),
            only_ends: only_ends(commit),
            puts: writes.puts,
            deletes: writes.deletes,
            sets: writes.sets,
            events: writes.events,
        })
    }

    async fn conclude(
        &self,
        commit: &Commit,
        partition: Partition,
        base: &Base,
        outcome: Outcome,
    ) -> Result<Committed, StoreFault> {
        match outcome {
            Outcome::Done { version, seq, durability } => {
                self.checks.memory.remember_ends(&commit.transition.grants, self.clock.now());
                let head = Head { epoch: base.head.epoch, seq, id: commit.id };
                let subject = Some((commit.subject.key(), version));
                let generation = commit.generation;
                // It is written, whatever was noticed meanwhile; the partition stays closed then.
                let learned =
                    self.checks.memory.learn(partition, Learned { head, generation, subject });
                if learned.is_err() {
                    tracing::warn!(%partition, "committed into a partition that was just closed");
                }
                Ok(Committed::Done { version, seq, durability })
            }
            Outcome::Missing(what) => Err(StoreFault::Missing { partition, what }),
            Outcome::HeadDoesNotFit => {
                self.went_back(partition, base).await?;
                Ok(Committed::VersionConflict)
            }
            Outcome::GenerationMoved => Ok(Committed::GenerationMoved),
            Outcome::VersionConflict => Ok(Committed::VersionConflict),
        }
    }

    /// The store said that its head does not follow ours: closed, unless the epoch was raised.
    pub(super) async fn went_back(
        &self,
        partition: Partition,
        base: &Base,
    ) -> Result<(), StoreFault> {
        let now = self.read_base(partition).await?;
        if now.head.epoch > base.head.epoch {
            return Ok(());
        }
        Err(self.checks.memory.close(partition))
    }
}

/// The record of a subject that has none.
fn new_record(commit: &Commit) -> SubjectRecord {
    SubjectRecord {
        subject: commit.subject.clone(),
        pending: Vec::new(),
        open: Vec::new(),
        supervised_until: None,
        templates: Vec::new(),
    }
}
