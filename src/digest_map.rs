//! A map whose keys are digests. They are scattered already, but anybody can make some that look alike
//! in a few bits: so a secret of the map goes into their hashes, by one multiplication.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

pub type DigestMap<K, V> = HashMap<K, V, Keyed>;

/// The secret of one map.
#[derive(Clone, Debug)]
pub struct Keyed([u64; 2]);

impl Default for Keyed {
    fn default() -> Self {
        let random = RandomState::new();
        Self([random.hash_one(0), random.hash_one(1)])
    }
}

impl BuildHasher for Keyed {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded { keys: self.0, hash: 0 }
    }
}

/// Takes the first 16 bytes of a digest; shorter ones are filled up with zeros.
#[derive(Debug)]
pub struct Folded {
    keys: [u64; 2],
    hash: u64,
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        let mut first = [0; 16];
        for (to, from) in first.iter_mut().zip(bytes) {
            *to = *from;
        }
        let digest = u128::from_le_bytes(first);
        let [low, high] = self.keys;
        let factor = |half: u128, key: u64| (half & u128::from(u64::MAX)) ^ u128::from(key);
        let product = factor(digest, low).wrapping_mul(factor(digest >> 64, high));
        let folded = (product ^ (product >> 64)) & u128::from(u64::MAX);
        self.hash ^= u64::try_from(folded).unwrap_or(0);
    }

    /// All digests of one map have one length.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// One of so many.
    fn digest(n: u64) -> [u8; 32] {
        let mut digest = [0; 32];
        for to in digest.chunks_mut(8) {
            to.copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        }
        digest
    }

    #[test]
    fn what_was_put_under_a_digest_is_found_under_it_alone() {
        let mut map = DigestMap::default();
        for n in 1..1000 {
            map.insert(digest(n), n);
        }
        for n in 1..1000 {
            assert_eq!(map.get(&digest(n)), Some(&n));
        }
        assert_eq!(map.get(&digest(1000)), None);
    }

    #[test]
    fn each_map_has_a_secret_and_digests_that_differ_little_are_scattered() {
        assert_ne!(Keyed::default().hash_one([1_u8; 16]), Keyed::default().hash_one([1_u8; 16]));
        let keyed = Keyed::default();
        for place in 0..16 {
            let alike = (0..=u8::MAX).map(|byte| {
                let mut digest = [7_u8; 16];
                digest[place] = byte;
                digest
            });
            let hashes: Vec<u64> = alike.map(|digest| keyed.hash_one(digest)).collect();
            let low: HashSet<_> = hashes.iter().map(|hash| hash & 0xffff).collect();
            let high: HashSet<_> = hashes.iter().map(|hash| hash >> 48).collect();
            assert!(low.len() > 200 && high.len() > 200, "{place}: {} {}", low.len(), high.len());
        }
    }
}
