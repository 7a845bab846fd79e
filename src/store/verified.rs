//! What one core has verified lately, with the very bytes that were: a reply that brings the same
//! bytes under the same key again needs no other look at its seal. Every request still has a read of
//! its own; what is saved is arithmetic that could only come out the same.

use std::mem;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::domain::ids::Partition;
use crate::domain::subject::SubjectKey;

use super::live::Whole;
use super::memory::VerifiedMarkers;

/// Bytes of live values that are kept at most, twice: those used since the last change of guard,
/// and those used in the time before.
const BYTES: usize = 4 << 20;
/// What one is counted as, beside its bytes.
const EACH: usize = 256;

/// Of one core.
#[derive(Debug, Default)]
pub struct Verified {
    /// One for each partition at most.
    markers: FxHashMap<Partition, VerifiedMarkers>,
    young: Lives,
    old: Lives,
}

#[derive(Debug, Default)]
struct Lives {
    by_subject: FxHashMap<SubjectKey, (Bytes, Whole)>,
    bytes: usize,
}

impl Verified {
    /// The markers that these very bytes were found to hold.
    pub fn markers(&self, partition: Partition, bytes: &Bytes) -> Option<&VerifiedMarkers> {
        self.markers.get(&partition).filter(|verified| verified.bytes == bytes)
    }

    pub fn remember_markers(&mut self, partition: Partition, verified: VerifiedMarkers) {
        self.markers.insert(partition, verified);
    }

    /// The live value that these very bytes were found to be, for this subject.
    pub fn live(&mut self, subject: SubjectKey, bytes: &Bytes) -> Option<Whole> {
        if let Some((_, whole)) = self.young.by_subject.get(&subject).filter(|it| it.0 == bytes) {
            return Some(whole.clone());
        }
        let (known, whole) = self.old.take(subject).filter(|it| it.0 == bytes)?;
        self.remember(subject, known, whole.clone());
        Some(whole)
    }

    /// `bytes` are its own, not a part of a larger buffer.
    pub fn remember(&mut self, subject: SubjectKey, bytes: Bytes, whole: Whole) {
        if self.young.bytes >= BYTES {
            self.old = mem::take(&mut self.young);
        }
        self.young.take(subject);
        self.young.bytes += bytes.len() + EACH;
        self.young.by_subject.insert(subject, (bytes, whole));
    }
}

impl Lives {
    fn take(&mut self, subject: SubjectKey) -> Option<(Bytes, Whole)> {
        let taken = self.by_subject.remove(&subject)?;
        self.bytes = self.bytes.saturating_sub(taken.0.len() + EACH);
        Some(taken)
    }
}
