//! Identifiers of decisions and of this process, and the user as spans may name him.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;

use crate::domain::ids::{Base32, hex};
use crate::domain::subject::SubjectKey;
use crate::entropy::{self, NoEntropy};

/// Characters of an instance's name, and of the number after it.
const INSTANCE: usize = 8;
const NUMBER: usize = 13;
const ENCODED: usize = 26;

/// A fresh name for this process: 8 characters of base 32 (40 random bits).
///
/// # Errors
/// The operating system gave no random bytes.
pub fn instance() -> Result<Arc<str>, NoEntropy> {
    let text = Base32(entropy::bytes()?).to_string();
    Ok(text.get(ENCODED - INSTANCE..).unwrap_or_default().into())
}

/// Makes decision ids: `<instance>-<number>`, where the number (64 bits, 13 characters of base 32)
/// begins at random and grows by one. So an id names the process that made it, costs one atomic
/// addition, and does not come again after a restart, even under the same instance name. It can be
/// guessed: it is a name, not a secret.
#[derive(Debug)]
pub struct DecisionIds {
    instance: Arc<str>,
    next: AtomicU64,
}

impl DecisionIds {
    /// # Errors
    /// The operating system gave no random bytes.
    pub fn new(instance: &str) -> Result<Self, NoEntropy> {
        let start = u64::from_be_bytes(entropy::bytes()?);
        Ok(Self { instance: instance.into(), next: AtomicU64::new(start) })
    }

    #[must_use]
    pub fn instance(&self) -> &Arc<str> {
        &self.instance
    }

    #[must_use]
    pub fn next(&self) -> Arc<str> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let digits = Base32(u128::from(number).to_be_bytes()).to_string();
        let digits = digits.get(ENCODED - NUMBER..).unwrap_or_default();
        let mut id = String::with_capacity(self.instance.len() + 1 + NUMBER);
        id.push_str(&self.instance);
        id.push('-');
        id.push_str(digits);
        id.into()
    }
}

/// Makes `user.hash`: how spans and logs name a user.
///
/// HMAC-SHA-256 of the subject's key under a key that only this process knows, cut to 64 bits: one
/// user can be followed through one process, but nobody who reads the spans can find out who it is
/// by trying names, nor follow a user past a restart. The audit events, which are read by other
/// people, name the user.
pub struct UserHashes(hmac::Key);

impl UserHashes {
    /// # Errors
    /// The operating system gave no random bytes.
    pub fn new() -> Result<Self, NoEntropy> {
        let key: [u8; 32] = entropy::bytes()?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// 16 hexadecimal digits.
    #[must_use]
    pub fn of(&self, subject: SubjectKey) -> String {
        let tag = hmac::sign(&self.0, &subject.0);
        hex(tag.as_ref().get(..8).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_within_a_process_and_after_a_restart_under_the_same_name() {
        let mut seen = HashSet::new();
        for _restart in 0..50 {
            let ids = DecisionIds::new("gateway1").expect("entropy");
            for _ in 0..100 {
                assert!(seen.insert(ids.next()));
            }
        }
    }

    #[test]
    fn an_id_is_its_instance_and_a_number() {
        let ids = DecisionIds { instance: "abcd0123".into(), next: AtomicU64::new(u64::MAX) };
        assert_eq!(&*ids.next(), "abcd0123-fzzzzzzzzzzzz");
        assert_eq!(&*ids.next(), "abcd0123-0000000000000");
    }

    #[test]
    fn an_instance_has_eight_characters_and_is_not_the_last_one() {
        let (one, two) = (instance().expect("entropy"), instance().expect("entropy"));
        assert_eq!(one.len(), 8);
        assert_ne!(one, two);
    }

    #[test]
    fn a_user_has_one_hash_in_a_process_and_another_in_the_next() {
        let (one, two) = (UserHashes::new().expect("entropy"), UserHashes::new().expect("entropy"));
        let (alice, bob) = (SubjectKey::new("i", "alice"), SubjectKey::new("i", "bob"));
        assert_eq!(one.of(alice), one.of(alice));
        assert_ne!(one.of(alice), one.of(bob));
        assert_ne!(one.of(alice), two.of(alice));
        assert_eq!(one.of(alice).len(), 16);
    }
}
