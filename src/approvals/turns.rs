//! Who is next: commands on one subject take turns within this process. Two of them could not both
//! commit anyway, and without turns a crowd could wear out the eight reloads, even of a revocation.
//! Other processes are held apart by the subject's version alone.

use tokio::sync::{Mutex, MutexGuard};

use crate::domain::subject::SubjectKey;

/// Subjects share turns by their key; so many that a wait for another subject is rare.
const STRIPES: usize = 1024;

pub struct Turns(Box<[Mutex<()>]>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Mutex::new(())).collect())
    }
}

impl Turns {
    /// Waits, first come first served. `None` never happens: every key has its stripe.
    pub async fn take(&self, subject: SubjectKey) -> Option<MutexGuard<'_, ()>> {
        let [one, two, ..] = subject.0;
        let stripe = usize::from(u16::from_be_bytes([one, two])) % STRIPES;
        match self.0.get(stripe) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }
}
