//! The policies that this process has loaded, and how newer ones take their place.

use std::collections::VecDeque;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};

use super::embedded::{Engine, PolicyProblems};

/// How many earlier sets are kept, so that decisions of before a reload can be explained.
const EARLIER: usize = 4;

/// A directory and the engine that was last made of it.
#[derive(Debug)]
pub struct Loaded {
    directory: PathBuf,
    engine: ArcSwap<Numbered>,
    /// Oldest first.
    earlier: Mutex<VecDeque<Arc<Numbered>>>,
}

/// An engine, the how-manieth of this process it is (from 1), and how long loading it took.
#[derive(Debug)]
pub struct Numbered {
    pub number: u64,
    pub took: Duration,
    engine: Engine,
}

impl Deref for Numbered {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Numbered {
    fn load(directory: &Path, number: u64) -> Result<Self, PolicyProblems> {
        let started = Instant::now();
        let engine = Engine::load(directory)?;
        Ok(Self { number, took: started.elapsed(), engine })
    }
}

impl Loaded {
    /// Loads every policy below `directory`. An empty directory denies everything.
    ///
    /// # Errors
    /// Everything that is wrong with the files, or a directory that cannot be read.
    pub fn load(directory: &Path) -> Result<Self, PolicyProblems> {
        let engine = ArcSwap::from_pointee(Numbered::load(directory, 1)?);
        Ok(Self { directory: directory.to_owned(), engine, earlier: Mutex::default() })
    }

    /// Reads the directory again and swaps when everything loads. Blocks on the disk.
    ///
    /// # Errors
    /// What is wrong; the set that was in use stays.
    pub fn reload(&self) -> Result<(), PolicyProblems> {
        // Held throughout, so that two reloads at once do not get one number.
        let mut earlier = self.earlier();
        let number = self.engine.load().number.saturating_add(1);
        let newer = Numbered::load(&self.directory, number)?;
        earlier.push_back(self.engine.swap(Arc::new(newer)));
        while earlier.len() > EARLIER {
            earlier.pop_front();
        }
        Ok(())
    }

    /// The engine of this moment.
    #[must_use]
    pub fn engine(&self) -> Guard<Arc<Numbered>> {
        self.engine.load()
    }

    /// The engine with this number, while it is kept.
    #[must_use]
    pub fn numbered(&self, number: u64) -> Option<Arc<Numbered>> {
        let current = self.engine.load_full();
        if current.number == number {
            return Some(current);
        }
        self.earlier().iter().find(|it| it.number == number).cloned()
    }

    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn earlier(&self) -> MutexGuard<'_, VecDeque<Arc<Numbered>>> {
        self.earlier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
