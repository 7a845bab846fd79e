//! The token that a connection showed last. Most connections show one token all the time: its hash is
//! kept with it, and with that its place in what the core remembers. What is remembered of it is asked
//! each time, so whatever was forgotten there is forgotten here.

use std::cell::RefCell;
use std::fmt;

use super::credential::Token;
use super::remembered::{Fingerprint, Found, Memory, Place, Remembered, fingerprint};

/// Bytes of the longest token that is kept.
pub(super) const LONGEST: usize = 2 * 1024;

/// Of one connection.
#[derive(Default)]
pub struct LastToken(RefCell<Option<Kept>>);

struct Kept {
    token: Vec<u8>,
    print: Fingerprint,
    place: Place,
}

/// It is a secret.
impl fmt::Debug for LastToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastToken")
    }
}

/// What a token is looked up in: the memory of a core, or of a connection and its core.
pub trait LookUp {
    /// The token's hash, and what is remembered of it.
    fn look_up(&self, token: Token<'_>) -> (Fingerprint, Option<Memory>);

    fn remembered(&self) -> &Remembered;
}

impl LookUp for &Remembered {
    fn look_up(&self, token: Token<'_>) -> (Fingerprint, Option<Memory>) {
        let print = fingerprint(token);
        (print, self.get(&print))
    }

    fn remembered(&self) -> &Remembered {
        self
    }
}

impl LookUp for (&Remembered, &LastToken) {
    fn look_up(&self, token: Token<'_>) -> (Fingerprint, Option<Memory>) {
        let (remembered, last) = self;
        last.look_up(remembered, token)
    }

    fn remembered(&self) -> &Remembered {
        self.0
    }
}

impl LastToken {
    /// A good token is kept.
    fn look_up(&self, remembered: &Remembered, token: Token<'_>) -> (Fingerprint, Option<Memory>) {
        let shown = token.bytes();
        let mut last = self.0.borrow_mut();
        if let Some(last) = last.as_mut().filter(|last| is_same(&last.token, shown)) {
            return (last.print, remembered.find(&last.print, &mut last.place));
        }
        let (print, mut place) = (fingerprint(token), Place::default());
        let memory = remembered.find(&print, &mut place);
        if shown.len() <= LONGEST && memory.as_ref().is_some_and(is_good) {
            let mut kept = last.take().map_or_else(Vec::new, |before| before.token);
            kept.clear();
            kept.extend_from_slice(shown);
            *last = Some(Kept { token: kept, print, place });
        }
        (print, memory)
    }

    #[cfg(test)]
    pub(super) fn keeps(&self, token: &str) -> bool {
        self.0.borrow().as_ref().is_some_and(|last| last.token == token.as_bytes())
    }
}

const fn is_good(memory: &Memory) -> bool {
    match memory.found {
        Found::Good { .. } => true,
        Found::BadSignature => false,
    }
}

/// Looks at every byte, so that the time it takes says nothing of where they differ: the connection of a
/// proxy brings the tokens of many people, one of whom may try to guess another's.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differ = |differ, (one, other): (&u8, &u8)| differ | (one ^ other);
    one.len() == other.len() && one.iter().zip(other).fold(0, differ) == 0
}
