//! How much one evaluation may do.

use super::error::EvalError;

/// Bounds the steps and the bytes produced; using it up is an error that nothing absorbs.
#[derive(Clone, Debug)]
pub struct Budget {
    steps: u64,
    bytes: u64,
}

impl Budget {
    /// About 10 ms of work and 1 MiB of new values.
    pub const STANDARD: Self = Self::new(200_000, 1 << 20);

    #[must_use]
    pub const fn new(steps: u64, bytes: u64) -> Self {
        Self { steps, bytes }
    }

    /// What is left: steps and bytes.
    #[must_use]
    pub const fn left(&self) -> (u64, u64) {
        (self.steps, self.bytes)
    }

    /// # Errors
    /// Fewer steps are left.
    #[inline]
    pub fn charge(&mut self, steps: u64) -> Result<(), EvalError> {
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(self.exhausted("steps")),
        }
    }

    /// Accounts for a new value of about this size, and for the work of writing it.
    ///
    /// # Errors
    /// Fewer bytes are left.
    pub fn produce(&mut self, bytes: usize) -> Result<(), EvalError> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.charge(bytes / 64)?;
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => Err(self.exhausted("bytes")),
        }
    }

    #[cold]
    fn exhausted(&mut self, what: &str) -> EvalError {
        self.steps = 0;
        EvalError::fatal(format!("the expression takes too many {what}"))
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::STANDARD
    }
}
