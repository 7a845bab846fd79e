//! What a source answered, for a little while. Failures are never kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use crate::config::CacheConfig;
use crate::domain::time::Timestamp;

use super::source::Found;

/// Bytes that the answers of one source take in memory at most.
const BYTES: usize = 32 << 20;

/// At most so many answers, and bytes; the oldest goes when another one comes.
pub struct Cache {
    config: CacheConfig,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    answers: FxHashMap<String, Answer>,
    /// By the order in which they came.
    order: BTreeMap<u64, String>,
    next: u64,
    bytes: usize,
}

struct Answer {
    found: Found,
    at: Timestamp,
    number: u64,
}

impl Cache {
    #[must_use]
    pub fn new(config: CacheConfig) -> Self {
        Self { config, kept: Mutex::default() }
    }

    /// The answer, while it is fresh. A clock that went back makes none fresh.
    pub fn get(&self, name: &str, now: Timestamp) -> Option<Found> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = kept.answers.get(name)?;
        let is_fresh = answer.at <= now && now < answer.at.plus(self.config.ttl);
        is_fresh.then(|| answer.found.clone())
    }

    pub fn put(&self, name: String, found: Found, at: Timestamp) {
        let mut guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *guard;
        let number = kept.next;
        kept.next += 1;
        kept.bytes += bytes(&name, &found);
        if let Some(old) = kept.answers.insert(name.clone(), Answer { found, at, number }) {
            kept.order.remove(&old.number);
            kept.bytes = kept.bytes.saturating_sub(bytes(&name, &old.found));
        }
        kept.order.insert(number, name);
        while kept.answers.len() > self.config.entries || kept.bytes > BYTES {
            let Some((_, oldest)) = kept.order.pop_first() else { break };
            if let Some(old) = kept.answers.remove(&oldest) {
                kept.bytes = kept.bytes.saturating_sub(bytes(&oldest, &old.found));
            }
        }
    }
}

/// About what an answer takes, with its name.
fn bytes(name: &str, found: &Found) -> usize {
    let attributes = match found {
        Found::There(known) => known.bytes,
        Found::NotThere => 0,
    };
    2 * name.len() + attributes + 256
}
