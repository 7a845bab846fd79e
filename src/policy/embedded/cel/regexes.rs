//! Compiled patterns: those in the source for good, others in a bounded memory.

use super::budget::Budget;
use super::error::EvalError;
use super::re2;
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

const MAX_REMEMBERED: usize = 256;
/// Patterns that are not in a policy are data of the caller: they are kept short.
const MAX_DYNAMIC: usize = 512;
/// Compiling costs some 10 to 100 us.
const COMPILE_STEPS: u64 = 2_000;

/// The patterns of one environment.
#[derive(Debug, Default)]
pub struct Regexes {
    dynamic: Mutex<BTreeMap<Box<str>, Arc<Regex>>>,
}

impl Regexes {
    /// A pattern that only became known while evaluating.
    pub(super) fn get(&self, pattern: &str, budget: &mut Budget) -> Result<Arc<Regex>, EvalError> {
        if let Some(known) = self.lock().get(pattern) {
            return Ok(Arc::clone(known));
        }
        if pattern.len() > MAX_DYNAMIC {
            return Err(EvalError::new("the pattern is too long"));
        }
        budget.charge(COMPILE_STEPS)?;
        let regex = Arc::new(compile(pattern)?);
        let mut known = self.lock();
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(pattern.into(), Arc::clone(&regex));
        Ok(regex)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Box<str>, Arc<Regex>>> {
        self.dynamic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// # Errors
/// Says what of the pattern is not supported.
pub(super) fn compile(pattern: &str) -> Result<Regex, EvalError> {
    re2::compile(pattern)
        .map_err(|why| EvalError::new(format!("the pattern '{pattern}' is refused: {why}")))
}
