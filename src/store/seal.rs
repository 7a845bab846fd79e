//! The seal: who has no key can neither make a record nor move one (docs/store.md, "Seal").

use std::sync::Arc;

use aws_lc_rs::{constant_time, hmac};
use bytes::Bytes;

use crate::config::SealKey;

use super::StoreFault;
use super::keys::Key;

/// The first byte of every sealed value.
const FORMAT: u8 = 1;
/// Format byte and version.
const FIXED: usize = 1 + 8;
const MAC: usize = 32;
/// A shorter key is no key.
const SHORTEST_KEY: usize = 32;

/// A value whose seal was verified for the key it was read under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    pub version: u64,
    pub content: Bytes,
}

/// Seals with the first key, opens with all.
#[derive(Clone)]
pub struct Sealer {
    first: Arc<Prepared>,
    others: Arc<[Prepared]>,
}

struct Prepared {
    id: Arc<str>,
    key: hmac::Key,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableKeys {
    #[error("no seal key is configured")]
    None,
    #[error("the seal key {0} is shorter than 32 bytes")]
    TooShort(Arc<str>),
    #[error("the name of a seal key must have 1 to 64 characters, found {0:?}")]
    Name(Arc<str>),
    #[error("two seal keys are named {0}")]
    Twice(Arc<str>),
}

impl Sealer {
    /// # Errors
    /// No key, one shorter than 32 bytes, a name that does not fit, or the same name twice.
    pub fn new(keys: &[SealKey]) -> Result<Self, UnusableKeys> {
        for (place, key) in keys.iter().enumerate() {
            if key.bytes.len() < SHORTEST_KEY {
                return Err(UnusableKeys::TooShort(key.id.clone()));
            }
            if !(1..=64).contains(&key.id.len()) {
                return Err(UnusableKeys::Name(key.id.clone()));
            }
            if keys.iter().take(place).any(|earlier| earlier.id == key.id) {
                return Err(UnusableKeys::Twice(key.id.clone()));
            }
        }
        let mut prepared = keys.iter().map(|key| Prepared {
            id: key.id.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key.bytes),
        });
        let first = Arc::new(prepared.next().ok_or(UnusableKeys::None)?);
        Ok(Self { first, others: prepared.collect() })
    }

    /// The sealed value of `content` under `key` at `version`.
    #[must_use]
    pub fn seal(&self, key: &Key, version: u64, content: &[u8]) -> Bytes {
        let sealing = &*self.first;
        let id = sealing.id.as_bytes();
        let mut value = Vec::with_capacity(FIXED + 1 + id.len() + MAC + content.len());
        value.push(FORMAT);
        value.extend_from_slice(&version.to_be_bytes());
        value.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
        value.extend_from_slice(id);
        value.extend_from_slice(mac(sealing, key, version, content).as_ref());
        value.extend_from_slice(content);
        value.into()
    }

    /// Verifies the seal of `value`, which was read under `key`.
    ///
    /// # Errors
    /// Not a sealed value of a known format, a key that is not configured, or a seal that does not
    /// fit key, version and content.
    pub fn open(&self, key: &Key, value: &Bytes) -> Result<Opened, &'static str> {
        let parts = Parts::of(value).ok_or("not a sealed value of a known format")?;
        let sealed_by = self.named(parts.key_id).ok_or("sealed with a key that is not known")?;
        let expected = mac(sealed_by, key, parts.version, parts.content);
        constant_time::verify_slices_are_equal(expected.as_ref(), parts.mac)
            .map_err(|_unequal| "the seal does not fit")?;
        Ok(Opened { version: parts.version, content: value.slice_ref(parts.content) })
    }

    /// [`Sealer::open`] with the fault that names the record.
    ///
    /// # Errors
    /// [`StoreFault::InvalidRecord`].
    pub fn open_record(&self, key: &Key, value: &Bytes) -> Result<Opened, StoreFault> {
        self.open(key, value).map_err(|why| invalid(key, why))
    }

    fn named(&self, id: &[u8]) -> Option<&Prepared> {
        let all = std::iter::once(&*self.first).chain(self.others.iter());
        all.into_iter().find(|prepared| prepared.id.as_bytes() == id)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("first", &self.first.id).finish_non_exhaustive()
    }
}

#[must_use]
pub fn invalid(key: &Key, why: &'static str) -> StoreFault {
    StoreFault::InvalidRecord { key: key.to_string(), why }
}

/// The version that a sealed value claims, unverified: what a commit compares under the store's
/// own isolation, where no key is at hand. `None` when it is no sealed value.
#[must_use]
pub fn claimed_version(value: &[u8]) -> Option<u64> {
    Parts::of(value).map(|parts| parts.version)
}

struct Parts<'a> {
    version: u64,
    key_id: &'a [u8],
    mac: &'a [u8],
    content: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(value: &'a [u8]) -> Option<Self> {
        let (&format, rest) = value.split_first()?;
        if format != FORMAT {
            return None;
        }
        let (version, rest) = rest.split_first_chunk::<8>()?;
        let (&length, rest) = rest.split_first()?;
        let (key_id, rest) = rest.split_at_checked(usize::from(length))?;
        let (mac, content) = rest.split_at_checked(MAC)?;
        Some(Self { version: u64::from_be_bytes(*version), key_id, mac, content })
    }
}

/// HMAC-SHA-256 (RFC 2104) over format, key id, key name, version and content; each part of
/// variable length has its length before it, so that no two inputs are the same bytes.
fn mac(sealing: &Prepared, key: &Key, version: u64, content: &[u8]) -> hmac::Tag {
    let mut hash = hmac::Context::with_key(&sealing.key);
    let (id, name) = (sealing.id.as_bytes(), key.as_bytes());
    hash.update(&[FORMAT]);
    hash.update(&length(id));
    hash.update(id);
    hash.update(&length(name));
    hash.update(name);
    hash.update(&version.to_be_bytes());
    hash.update(&length(content));
    hash.update(content);
    hash.sign()
}

fn length(part: &[u8]) -> [u8; 8] {
    u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::Partition;
    use crate::store::keys;

    fn key(id: &str, byte: u8) -> SealKey {
        SealKey { id: id.into(), bytes: [byte; 32].into() }
    }

    fn sealer(keys: &[SealKey]) -> Sealer {
        Sealer::new(keys).expect("usable keys")
    }

    #[test]
    fn a_value_opens_only_under_its_own_key_name() {
        let sealer = sealer(&[key("k1", 1)]);
        let value = sealer.seal(&keys::markers(Partition(1)), 7, b"content");
        let opened = sealer.open(&keys::markers(Partition(1)), &value).expect("its own");
        assert_eq!((opened.version, &opened.content[..]), (7, &b"content"[..]));
        assert!(sealer.open(&keys::markers(Partition(2)), &value).is_err());
    }

    #[test]
    fn any_changed_byte_breaks_the_seal() {
        let sealer = sealer(&[key("k1", 1)]);
        let name = keys::markers(Partition(1));
        let value = sealer.seal(&name, 7, b"content");
        for place in 0..value.len() {
            let mut edited = value.to_vec();
            edited[place] ^= 1;
            assert!(sealer.open(&name, &edited.into()).is_err(), "byte {place}");
            assert!(sealer.open(&name, &value.slice(..place)).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn the_second_key_verifies_and_the_first_seals() {
        let name = keys::markers(Partition(1));
        let old = sealer(&[key("k1", 1)]);
        let rotated = sealer(&[key("k2", 2), key("k1", 1)]);
        assert!(rotated.open(&name, &old.seal(&name, 1, b"x")).is_ok());
        assert!(old.open(&name, &rotated.seal(&name, 1, b"x")).is_err());
        let impostor = sealer(&[key("k1", 9)]);
        assert!(impostor.open(&name, &old.seal(&name, 1, b"x")).is_err());
    }

    #[test]
    fn keys_that_cannot_protect_are_refused() {
        assert!(matches!(Sealer::new(&[]), Err(UnusableKeys::None)));
        let short = SealKey { id: "k".into(), bytes: [1; 31].into() };
        assert!(matches!(Sealer::new(&[short]), Err(UnusableKeys::TooShort(_))));
        let twice = [key("k", 1), key("k", 2)];
        assert!(matches!(Sealer::new(&twice), Err(UnusableKeys::Twice(_))));
        assert!(matches!(Sealer::new(&[key("", 1)]), Err(UnusableKeys::Name(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_open_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let sealer = sealer(&[key("k1", 1)]);
            let _ = claimed_version(&bytes);
            prop_assert!(sealer.open(&keys::meta(), &bytes.into()).is_err());
        }
    }
}
