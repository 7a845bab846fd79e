//! What every reply has to pass before it is believed, the same for every back end: head and
//! markers are there, the seals fit, and nothing is older than what this process knew.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::ids::{CommitId, Partition, PartitionCount};
use crate::domain::markers::Markers;
use crate::domain::subject::SubjectKey;

use super::keys;
use super::memory::{Known, Learned, Memory, Standing, VerifiedMarkers};
use super::record::{MarkersRecord, open_json};
use super::seal::{Sealer, invalid};
use super::{Head, StoreFault};

/// The seals and the memory of one process; shared by all its cores.
#[derive(Debug)]
pub struct Checks {
    pub sealer: Sealer,
    pub memory: Memory,
    pub partitions: PartitionCount,
}

/// Head and markers of a partition, believed.
#[derive(Clone, Debug)]
pub struct Base {
    pub head: Head,
    pub markers: Arc<Markers>,
}

/// The epoch of the markers, and these.
type VerifyResult = Result<(u64, Arc<Markers>), StoreFault>;

/// "Entry `seq` of the log has to be of this commit."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    pub seq: u64,
    id: CommitId,
}

impl Checks {
    #[must_use]
    pub fn new(sealer: Sealer, partitions: PartitionCount) -> Self {
        Self { sealer, memory: Memory::new(partitions), partitions }
    }

    /// The head of a reply; `parse` is [`super::record::parse_head`], or what it said of these very bytes before.
    ///
    /// # Errors
    /// It is absent, or none.
    pub fn head(
        &self,
        partition: Partition,
        head: Option<&Bytes>,
        parse: impl FnOnce(&Bytes) -> Option<Head>,
    ) -> Result<Head, StoreFault> {
        let head = head.ok_or(StoreFault::Missing { partition, what: "head" })?;
        parse(head).ok_or_else(|| invalid(&keys::head(partition), "not a head"))
    }

    /// Checks head and markers of a reply; `verify` is [`Checks::markers`], or what it said of these
    /// very bytes before. The base may be used once the proof, if there is one,
    /// was brought ([`Checks::prove`]).
    ///
    /// # Errors
    /// Absent or invalid markers, or another epoch's; a partition that went back in time, which closes it.
    pub fn base(
        &self,
        partition: Partition,
        known: &Known,
        head: Head,
        (markers, verify): (Option<&Bytes>, impl FnOnce(&Bytes) -> VerifyResult),
    ) -> Result<(Base, Option<Proof>), StoreFault> {
        let markers = markers.ok_or(StoreFault::Missing { partition, what: "markers" })?;
        let (epoch, markers) = verify(markers)?;
        if epoch != head.epoch {
            return Err(invalid(
                &keys::head(partition),
                "its epoch is not the one of the sealed markers",
            ));
        }
        let base = Base { head, markers };
        match known.standing(&head) {
            Standing::WentBack => Err(self.memory.close(partition)),
            Standing::Same | Standing::Later { .. }
                if base.markers.generation < known.generation =>
            {
                Err(self.memory.close(partition))
            }
            Standing::Same | Standing::New => Ok((base, None)),
            Standing::Later { seq, id } => Ok((base, Some(Proof { seq, id }))),
        }
    }

    /// Whether the log still has the commit that this process remembers.
    ///
    /// # Errors
    /// It has another one, or none: the partition went back in time and is closed.
    pub fn prove(
        &self,
        partition: Partition,
        proof: Proof,
        found: Option<CommitId>,
    ) -> Result<(), StoreFault> {
        if found == Some(proof.id) { Ok(()) } else { Err(self.memory.close(partition)) }
    }

    /// Checks a subject's version against the known one. An absent record has none (`None`).
    ///
    /// # Errors
    /// It is older: the store went back in time.
    pub fn version(
        &self,
        partition: Partition,
        known: &Known,
        base: &Base,
        version: u64,
    ) -> Result<(), StoreFault> {
        let comparable = known.head.is_some_and(|head| head.epoch == base.head.epoch);
        if comparable && version < known.version {
            return Err(self.memory.close(partition));
        }
        Ok(())
    }

    /// Remembers a checked reply; costs nothing when it shows nothing new.
    ///
    /// # Errors
    /// The partition was closed meanwhile.
    pub fn learn(
        &self,
        partition: Partition,
        known: &Known,
        base: &Base,
        subject: Option<(SubjectKey, u64)>,
    ) -> Result<(), StoreFault> {
        let generation = base.markers.generation;
        let news = known.head != Some(base.head)
            || known.generation < generation
            || subject.is_some_and(|(_, version)| known.version < version);
        if !news {
            return Ok(());
        }
        self.memory.learn(partition, Learned { head: base.head, generation, subject })
    }

    /// Verifies markers.
    ///
    /// # Errors
    /// A bad seal, or not the generation that was sealed.
    pub fn markers(
        &self,
        partition: Partition,
        bytes: &Bytes,
    ) -> Result<VerifiedMarkers, StoreFault> {
        if let Some(verified) = self.memory.verified(partition, bytes) {
            return Ok(verified);
        }
        let key = keys::markers(partition);
        let (version, record): (u64, MarkersRecord) = open_json(&self.sealer, &key, bytes)?;
        if version != record.markers.generation {
            return Err(invalid(&key, "its generation is not the sealed version"));
        }
        let verified = VerifiedMarkers {
            // A copy: a reply may be part of a much larger buffer, which would be kept with it.
            bytes: Bytes::copy_from_slice(bytes),
            epoch: record.epoch,
            markers: Arc::new(record.markers),
        };
        self.memory.remember_markers(partition, verified.clone());
        Ok(verified)
    }
}
