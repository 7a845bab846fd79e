//! The gateway's reader, for any back end.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::clock::SharedClock;
use crate::domain::grant::Tombstone;
use crate::domain::ids::Partition;
use crate::domain::markers::Markers;
use crate::domain::subject::SubjectKey;

use super::backend::{LiveSource, RawLive};
use super::checks::{Base, Checks, Proof};
use super::keys::{self, Key};
use super::live::{LiveView, Whole};
use super::memory::{Known, VerifiedMarkers};
use super::record::open_json;
use super::seal::invalid;
use super::verified::Verified;
use super::{LiveReader, StoreFault};

/// How long an ended grant is remembered.
pub const TOMBSTONE_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// One per core over a source of its own; the checks are the process's.
#[derive(Clone)]
pub struct Reader<S> {
    source: S,
    checks: Arc<Checks>,
    clock: SharedClock,
    /// Of this core: nobody else waits for it.
    verified: Arc<Mutex<Verified>>,
}

impl<S: LiveSource> Reader<S> {
    pub fn new(source: S, checks: Arc<Checks>, clock: SharedClock) -> Self {
        Self { source, checks, clock, verified: Arc::default() }
    }

    /// Head and markers of a reply, once the log proved that nothing is lost that was known.
    async fn believed(
        &self,
        partition: Partition,
        known: &Known,
        raw: &RawLive,
    ) -> Result<Base, StoreFault> {
        let (base, proof) = self.base_of(partition, known, raw)?;
        if let Some(proof) = proof {
            // In a box, so that a read that needs none carries no room for it.
            let found = Box::pin(self.source.commit_at(partition, proof.seq)).await?;
            self.checks.prove(partition, proof, found)?;
        }
        Ok(base)
    }
}

impl<S> Reader<S> {
    fn base_of(
        &self,
        partition: Partition,
        known: &Known,
        raw: &RawLive,
    ) -> Result<(Base, Option<Proof>), StoreFault> {
        let mut verified = self.verified();
        let (head, markers) = (raw.head.as_ref(), raw.markers.as_ref());
        let head = self.checks.head(partition, head, |bytes| verified.head(partition, bytes))?;
        let verify = |bytes: &Bytes| self.markers(&mut verified, partition, bytes);
        self.checks.base(partition, known, head, (markers, verify))
    }

    fn markers(
        &self,
        verified: &mut Verified,
        partition: Partition,
        bytes: &Bytes,
    ) -> Result<(u64, Arc<Markers>), StoreFault> {
        if let Some(known) = verified.markers(partition, bytes) {
            return Ok((known.epoch, Arc::clone(&known.markers)));
        }
        let VerifiedMarkers { bytes, epoch, markers } = self.checks.markers(partition, bytes)?;
        // Its own: all cores share what the process knows, and would fight for the count of who has it.
        let markers = Arc::new(Markers::clone(&markers));
        let own = VerifiedMarkers { bytes, epoch, markers: Arc::clone(&markers) };
        verified.remember_markers(partition, own);
        Ok((epoch, markers))
    }

    fn live(
        &self,
        subject: SubjectKey,
        key: &Key,
        bytes: Option<&Bytes>,
    ) -> Result<Option<Whole>, StoreFault> {
        let Some(bytes) = bytes else { return Ok(None) };
        let mut verified = self.verified();
        if let Some(known) = verified.live(subject, bytes) {
            return Ok(Some(known));
        }
        // A copy: a reply may be part of a much larger buffer, which would be kept with it.
        let own = Bytes::copy_from_slice(bytes);
        let opened = self.checks.sealer.open_record(key, &own)?;
        let odd = || invalid(key, "not a live value of a known format");
        let whole = Whole::of(opened).ok_or_else(odd)?;
        verified.remember(subject, own, whole.clone());
        Ok(Some(whole))
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: LiveSource> LiveReader for Reader<S> {
    async fn read(&self, subject: SubjectKey) -> Result<LiveView, StoreFault> {
        let checks = &*self.checks;
        let partition = subject.partition(checks.partitions);
        let key = keys::live(partition, subject);
        let known = self.verified().known(&checks.memory, partition, subject);

        let raw = self.source.live(partition, &key).await?;

        let base = self.believed(partition, &known, &raw).await?;
        let live = self.live(subject, &key, raw.live.as_ref())?;
        let seen = live.as_ref().map(|whole| (subject, whole.version()));
        if let Some((_, version)) = seen {
            checks.version(partition, &known, &base, version)?;
        }
        checks.learn(partition, &known, &base, seen)?;
        Ok(LiveView::new(subject, base.head, base.markers, live))
    }

    async fn base(&self, partition: Partition) -> Result<Base, StoreFault> {
        let known = self.checks.memory.known(partition, None);
        let raw = self.source.base(partition).await?;
        let base = self.believed(partition, &known, &raw).await?;
        self.checks.learn(partition, &known, &base, None)?;
        Ok(base)
    }

    fn partition(&self, subject: SubjectKey) -> Partition {
        subject.partition(self.checks.partitions)
    }

    async fn tombstones(&self, subject: SubjectKey) -> Result<Vec<Tombstone>, StoreFault> {
        let partition = subject.partition(self.checks.partitions);
        let key = keys::ended(partition, subject);
        let Some(value) = self.source.one(partition, &key).await? else { return Ok(Vec::new()) };
        let (_, mut ended): (u64, Vec<Tombstone>) = open_json(&self.checks.sealer, &key, &value)?;
        let oldest = self.clock.now().minus(TOMBSTONE_LIFE);
        ended.retain(|tombstone| tombstone.at > oldest);
        ended.sort_by_key(|tombstone| Reverse(tombstone.at));
        Ok(ended)
    }
}
