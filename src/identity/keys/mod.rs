//! What tokens may be signed with. Keys are judged here before any of them is used; the library
//! that checks signatures would take almost anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::time::Timestamp;

pub mod files;
pub mod jwk;
pub mod jwks;
pub mod key;
pub mod pem;
pub mod police;
pub mod remote;
pub mod source;

pub use key::{Key, Material};
pub use police::KeyDropped;
pub use source::Keys;

/// Keys of one issuer as they were read once.
#[derive(Clone)]
pub struct KeySet {
    pub keys: Arc<[Key]>,
    pub dropped: Arc<[Dropped]>,
    /// When the source was last read with success.
    pub read_at: Timestamp,
    /// Of this process, never given twice: another issuer, other issuer settings or other keys have
    /// another one.
    pub generation: u64,
}

/// A key that is not used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The key's id, or its position from 0 when it has none.
    pub key: Arc<str>,
    pub why: KeyDropped,
}

/// Why no key of a set can have signed a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    #[error("no key has the token's id")]
    UnknownId,
    #[error("the key of the token's id is not for the token's algorithm")]
    OtherAlgorithm,
    #[error("the token names no key, and not exactly one fits")]
    NotOne,
}

static GENERATIONS: AtomicU64 = AtomicU64::new(1);

impl KeySet {
    #[must_use]
    pub fn new(keys: Vec<Key>, dropped: Vec<Dropped>, read_at: Timestamp) -> Self {
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        Self { keys: keys.into(), dropped: dropped.into(), read_at, generation }
    }

    /// Keeps the generation of `before` when the keys are the same.
    #[must_use]
    pub fn after(self, before: Option<&Self>) -> Self {
        match before.filter(|before| before.keys == self.keys) {
            Some(before) => Self { generation: before.generation, ..self },
            None => self,
        }
    }

    /// The key that a token names, or without a name the only one that fits.
    ///
    /// # Errors
    /// See [`NoKey`].
    pub fn choose(
        &self,
        id: Option<&str>,
        algorithm: crate::config::Algorithm,
    ) -> Result<&Key, NoKey> {
        let Some(id) = id else {
            let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm));
            return match (fitting.next(), fitting.next()) {
                (Some(only), None) => Ok(only),
                (None, _) | (Some(_), Some(_)) => Err(NoKey::NotOne),
            };
        };
        let named = self.keys.iter().find(|key| key.answers_to(id)).ok_or(NoKey::UnknownId)?;
        if named.fits(algorithm) { Ok(named) } else { Err(NoKey::OtherAlgorithm) }
    }

    /// Logs what was dropped, and that nothing was left.
    pub fn log(&self, issuer: &str) {
        for Dropped { key, why } in self.dropped.iter() {
            tracing::warn!(issuer, key = ?key, reason = %why, "a key is not used");
        }
        if self.keys.is_empty() {
            tracing::error!(issuer, "no usable key is left: every token of this issuer is refused");
        }
    }
}
