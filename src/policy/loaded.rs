//! The policies that this process has loaded, and how newer ones take their place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::embedded::{Engine, PolicyProblems};

/// A directory and the engine that was last made of it.
#[derive(Debug)]
pub struct Loaded {
    directory: PathBuf,
    engine: ArcSwap<Engine>,
}

impl Loaded {
    /// Loads every policy below `directory`. An empty directory denies everything.
    ///
    /// # Errors
    /// Everything that is wrong with the files, or a directory that cannot be read.
    pub fn load(directory: &Path) -> Result<Self, PolicyProblems> {
        let engine = Engine::load(directory)?;
        Ok(Self { directory: directory.to_owned(), engine: ArcSwap::from_pointee(engine) })
    }

    /// Reads the directory again and swaps when everything loads. Blocks on the disk.
    ///
    /// # Errors
    /// What is wrong; the set that was in use stays.
    pub fn reload(&self) -> Result<(), PolicyProblems> {
        self.engine.store(Arc::new(Engine::load(&self.directory)?));
        Ok(())
    }

    /// The engine of this moment.
    #[must_use]
    pub fn engine(&self) -> Guard<Arc<Engine>> {
        self.engine.load()
    }
}
