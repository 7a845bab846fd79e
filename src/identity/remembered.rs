//! Tokens that were verified (or whose signature was found wrong) and need not be again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Identity;
use super::claims::Validity;
use super::credential::Token;
use super::token::Audiences;
use crate::digest_map::DigestMap;
use crate::domain::hash::sha256;

/// Bytes that the claims of remembered tokens take in memory at most.
const BYTES: usize = 64 << 20;

/// SHA-256 over the whole token, so that no token is kept.
pub type Fingerprint = [u8; 32];

#[must_use]
pub fn fingerprint(token: Token<'_>) -> Fingerprint {
    sha256(&[token.bytes()])
}

/// What verification found, and under which keys. It says nothing once the keys have changed.
#[derive(Clone)]
pub struct Memory {
    /// Position of the issuer; means nothing without `generation`.
    pub issuer_at: usize,
    /// Of the key set, which belongs to one issuer under one configuration.
    pub generation: u64,
    pub found: Found,
}

#[derive(Clone)]
pub enum Found {
    Good { identity: Arc<Identity>, validity: Validity, audiences: Audiences },
    BadSignature,
}

impl Memory {
    fn bytes(&self) -> usize {
        match &self.found {
            Found::Good { identity, .. } => identity.proof.claims_bytes,
            Found::BadSignature => 0,
        }
    }
}

/// Where a good token was found last: worth a look, and no more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place(usize);

/// One per core; its lock is then never waited for.
pub struct Remembered {
    good: Mutex<Clock>,
    /// Apart, so that a flood of bad tokens cannot push good ones out.
    bad: Mutex<Clock>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self::new(50_000, 1_000)
    }
}

impl Remembered {
    /// Room for so many good and bad tokens.
    #[must_use]
    pub fn new(good: usize, bad: usize) -> Self {
        Self { good: Mutex::new(Clock::new(good)), bad: Mutex::new(Clock::new(bad)) }
    }

    #[must_use]
    pub fn get(&self, print: &Fingerprint) -> Option<Memory> {
        self.find(print, &mut Place::default())
    }

    /// [`Self::get`], at `place` first, which becomes the place where it was found.
    #[must_use]
    pub fn find(&self, print: &Fingerprint, place: &mut Place) -> Option<Memory> {
        lock(&self.good).get(print, &mut place.0).or_else(|| lock(&self.bad).get(print, &mut 0))
    }

    pub fn put(&self, print: Fingerprint, memory: Memory) {
        match memory.found {
            Found::Good { .. } => lock(&self.good).put(print, memory),
            Found::BadSignature => lock(&self.bad).put(print, memory),
        }
    }

    /// Entries of both kinds.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.good).slots.len() + lock(&self.bad).slots.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn lock(clock: &Mutex<Clock>) -> MutexGuard<'_, Clock> {
    clock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Second chance: the hand goes round and takes the first entry that was not used since it last
/// came by.
struct Clock {
    room: usize,
    bytes: usize,
    positions: DigestMap<Fingerprint, usize>,
    slots: Vec<Slot>,
    hand: usize,
}

struct Slot {
    print: Fingerprint,
    memory: Memory,
    used: bool,
}

impl Clock {
    fn new(room: usize) -> Self {
        Self { room, bytes: 0, positions: DigestMap::default(), slots: Vec::new(), hand: 0 }
    }

    fn get(&mut self, print: &Fingerprint, place: &mut usize) -> Option<Memory> {
        if self.slots.get(*place).is_none_or(|slot| slot.print != *print) {
            *place = *self.positions.get(print)?;
        }
        let slot = self.slots.get_mut(*place)?;
        slot.used = true;
        Some(slot.memory.clone())
    }

    fn put(&mut self, print: Fingerprint, memory: Memory) {
        let known = self.positions.get(&print).and_then(|at| self.slots.get_mut(*at));
        if let Some(slot) = known {
            self.bytes = self.bytes.saturating_sub(slot.memory.bytes()) + memory.bytes();
            slot.memory = memory;
            return;
        }
        let bytes = memory.bytes();
        while self.bytes + bytes > BYTES && self.take_one() {}
        let slot = Slot { print, memory, used: false };
        if self.slots.len() < self.room {
            self.bytes += bytes;
            self.positions.insert(print, self.slots.len());
            self.slots.push(slot);
            return;
        }
        let Some(at) = self.unused() else { return };
        if let Some(old) = self.slots.get_mut(at) {
            self.bytes = self.bytes.saturating_sub(old.memory.bytes()) + bytes;
            self.positions.remove(&old.print);
            *old = slot;
            self.positions.insert(print, at);
        }
    }

    /// Takes an unused one out; `false`: there is none.
    fn take_one(&mut self) -> bool {
        let Some(at) = self.unused() else { return false };
        let old = self.slots.swap_remove(at);
        self.bytes = self.bytes.saturating_sub(old.memory.bytes());
        self.positions.remove(&old.print);
        if let Some(moved) = self.slots.get(at) {
            self.positions.insert(moved.print, at);
        }
        if self.hand >= self.slots.len() {
            self.hand = 0;
        }
        true
    }

    /// At most twice round: the first round takes every second chance away.
    fn unused(&mut self) -> Option<usize> {
        for _ in 0..self.slots.len().saturating_mul(2) {
            let at = self.hand;
            self.hand = (at + 1) % self.slots.len();
            let slot = self.slots.get_mut(at)?;
            if !slot.used {
                return Some(at);
            }
            slot.used = false;
        }
        None
    }
}
