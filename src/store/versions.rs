//! The versions of the subjects seen lately, in bounded room.
//!
//! Two halves: what is learned or asked for goes into the young one; when that is full it becomes
//! the old one, and the old one is forgotten. Forgetting only means that nothing is compared: it
//! never raises a false alarm, and what every reply has to pass besides stays as it is.

use crate::digest_map::DigestMap;
use crate::domain::subject::SubjectKey;

/// Over all partitions: up to about 50 bytes each, so some 50 MiB at most.
pub const MOST_SUBJECTS: usize = 1 << 20;

#[derive(Debug)]
pub struct Versions {
    /// How many subjects one half holds.
    half: usize,
    young: DigestMap<SubjectKey, u64>,
    old: DigestMap<SubjectKey, u64>,
    turns: u64,
}

impl Versions {
    /// For one of `partitions` equal shares.
    #[must_use]
    pub fn share_of(partitions: u16) -> Self {
        let half = MOST_SUBJECTS / usize::from(partitions.max(1)) / 2;
        Self { half, young: DigestMap::default(), old: DigestMap::default(), turns: 0 }
    }

    /// How often the old half was forgotten.
    pub const fn turns(&self) -> u64 {
        self.turns
    }

    /// The same room, empty.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self { half: self.half, young: DigestMap::default(), old: DigestMap::default(), turns: 0 }
    }

    /// The last version seen. Whoever is asked for stays: subjects in use are not forgotten.
    pub fn of(&mut self, subject: SubjectKey) -> Option<u64> {
        if let Some(version) = self.young.get(&subject) {
            return Some(*version);
        }
        let version = self.old.get(&subject).copied()?;
        self.insert(subject, version);
        Some(version)
    }

    /// Keeps the higher of what is known and `version`; 0 stands for "no record" and tells nothing.
    pub fn remember(&mut self, subject: SubjectKey, version: u64) {
        if version == 0 {
            return;
        }
        let known = self.of(subject).unwrap_or(0);
        if version > known {
            self.insert(subject, version);
        }
    }

    fn insert(&mut self, subject: SubjectKey, version: u64) {
        if self.young.len() >= self.half && !self.young.contains_key(&subject) {
            self.old = std::mem::take(&mut self.young);
            self.turns += 1;
        }
        self.young.insert(subject, version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(n: usize) -> SubjectKey {
        SubjectKey(u128::try_from(n).expect("small").to_be_bytes())
    }

    #[test]
    fn the_memory_of_versions_is_bounded_whoever_comes() {
        let mut versions = Versions::share_of(64);
        for n in 0..100_000 {
            versions.remember(subject(n), 7);
            assert!(versions.young.len() + versions.old.len() <= 16_384);
        }
        assert_eq!(versions.of(subject(99_999)), Some(7));
        assert_eq!(versions.of(subject(0)), None, "forgotten: nothing is compared");
        assert!(Versions::share_of(1024).half >= 512);
    }

    #[test]
    fn a_subject_in_use_is_not_forgotten() {
        let mut versions = Versions::share_of(1024);
        versions.remember(subject(0), 9);
        for n in 1..10_000 {
            versions.remember(subject(n), 1);
            assert_eq!(versions.of(subject(0)), Some(9));
        }
    }

    #[test]
    fn a_version_is_never_taken_back_while_it_is_known() {
        let mut versions = Versions::share_of(1024);
        versions.remember(subject(0), 9);
        for n in 1..=512 {
            versions.remember(subject(n), 1);
        }
        versions.remember(subject(0), 8);
        assert_eq!(versions.of(subject(0)), Some(9), "also from the old half");
    }

    #[test]
    fn a_subject_without_a_record_takes_no_room() {
        let mut versions = Versions::share_of(64);
        versions.remember(subject(1), 0);
        assert!(versions.young.is_empty());
    }
}
