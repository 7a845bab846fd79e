//! Whether the store was found to fit: nothing is answered before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::super::StoreFault;

/// Opens once, and never closes again.
#[derive(Debug)]
pub struct Gate {
    open: AtomicBool,
    why_not: Mutex<String>,
}

impl Default for Gate {
    fn default() -> Self {
        let why_not = Mutex::new("it has not answered yet".to_owned());
        Self { open: AtomicBool::new(false), why_not }
    }
}

impl Gate {
    /// To be asked before every read and write.
    ///
    /// # Errors
    /// The store has not been found to fit yet.
    pub fn pass(&self) -> Result<(), StoreFault> {
        if self.open.load(Ordering::Acquire) {
            return Ok(());
        }
        let why_not = self.why_not.lock().unwrap_or_else(PoisonError::into_inner);
        Err(StoreFault::Unreachable(why_not.clone()))
    }

    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    pub fn stay_closed(&self, why_not: &str) {
        let mut reason = self.why_not.lock().unwrap_or_else(PoisonError::into_inner);
        why_not.clone_into(&mut reason);
    }
}
