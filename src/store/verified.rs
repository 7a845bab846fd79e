//! What one core has verified lately, with the very bytes that were: a reply that brings the same
//! bytes under the same key again needs no other look at its seal. Every request still has a read of
//! its own; what is saved is arithmetic that could only come out the same.

use std::mem;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::domain::ids::Partition;
use crate::domain::subject::SubjectKey;

use super::Head;
use super::live::Whole;
use super::memory::{Known, Memory, VerifiedMarkers};
use super::record::parse_head;

/// Bytes of live values that are kept at most, twice: those used since the last change of guard,
/// and those used in the time before.
const BYTES: usize = 4 << 20;
/// So many subjects of which it is kept what was known.
const KNOWN: usize = 16_384;
/// What one is counted as, beside its bytes.
const EACH: usize = 256;

/// Of one core.
#[derive(Debug, Default)]
pub struct Verified {
    /// One for each partition at most.
    markers: FxHashMap<Partition, VerifiedMarkers>,
    /// The same; what a head says is in no seal, but reading it anew would only show the same.
    heads: FxHashMap<Partition, (Bytes, Head)>,
    young: Lives,
    old: Lives,
    /// What the process knew in an edition of its memory.
    known: FxHashMap<SubjectKey, (u64, Known)>,
}

#[derive(Debug, Default)]
struct Lives {
    by_subject: FxHashMap<SubjectKey, (Bytes, Whole)>,
    bytes: usize,
}

impl Verified {
    /// What is known of a subject, of the process's memory if that has changed since it was asked.
    pub fn known(&mut self, memory: &Memory, partition: Partition, subject: SubjectKey) -> Known {
        let edition = memory.edition(partition);
        let kept = self.known.get(&subject).filter(|(of, _)| Some(*of) == edition);
        if let Some((_, known)) = kept {
            return *known;
        }
        let known = memory.known(partition, Some(subject));
        if let Some(edition) = edition {
            if self.known.len() >= KNOWN {
                self.known.clear();
            }
            self.known.insert(subject, (edition, known));
        }
        known
    }

    /// The markers that these very bytes were found to hold.
    pub fn markers(&self, partition: Partition, bytes: &Bytes) -> Option<&VerifiedMarkers> {
        self.markers.get(&partition).filter(|verified| verified.bytes == bytes)
    }

    pub fn remember_markers(&mut self, partition: Partition, verified: VerifiedMarkers) {
        self.markers.insert(partition, verified);
    }

    /// The head that these very bytes are.
    pub fn head(&mut self, partition: Partition, bytes: &Bytes) -> Option<Head> {
        if let Some((_, head)) = self.heads.get(&partition).filter(|it| it.0 == bytes) {
            return Some(*head);
        }
        let head = parse_head(bytes)?;
        // A copy: a reply may be part of a much larger buffer, which would be kept with it.
        self.heads.insert(partition, (Bytes::copy_from_slice(bytes), head));
        Some(head)
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
