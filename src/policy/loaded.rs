//! The policies that this process has loaded, and how newer ones take their place.

use std::collections::VecDeque;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};

use super::embedded::{
    Bound, Effect, Engine, Listing, Options, PolicyProblem, PolicyProblems, Snapshot, SuiteResult,
    TestVerdict,
};

/// A suite that takes longer is as good as a broken one.
const SUITES_TAKE: Duration = Duration::from_secs(10);

/// How many earlier sets are kept, so that decisions of before a reload can be explained.
const EARLIER: usize = 4;

/// A directory and the engine that was last made of it.
#[derive(Debug)]
pub struct Loaded {
    directory: PathBuf,
    engine: ArcSwap<Numbered>,
    /// Held while a newer engine is made: of two reloads the one that reads later is the one that
    /// stays, and no two get one number.
    reloading: Mutex<()>,
    /// Never held for long: whoever explains a decision of before does not wait for tests.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What the engine was made of.
    listing: Listing,
    /// Oldest first.
    earlier: VecDeque<Arc<Numbered>>,
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

impl Loaded {
    /// Loads every policy below `directory` and runs its test suites. An empty directory denies
    /// everything.
    ///
    /// # Errors
    /// Everything that is wrong with the files, every test that fails, or a directory that cannot
    /// be read.
    pub fn load(directory: &Path) -> Result<Self, PolicyProblems> {
        let (engine, listing) = tested(directory, Options::default(), 1)?;
        Ok(Self {
            directory: directory.to_owned(),
            engine: ArcSwap::from_pointee(engine),
            reloading: Mutex::default(),
            state: Mutex::new(State { listing, earlier: VecDeque::new() }),
        })
    }

    /// Reads the directory again and swaps when everything loads and the suites pass. Blocks on the
    /// disk and on the tests.
    ///
    /// # Errors
    /// What is wrong, also that no policy is left; the set that was in use stays.
    pub fn reload(&self) -> Result<(), PolicyProblems> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.engine.load_full();
        let number = current.number.saturating_add(1);
        let (newer, listing) = tested(&self.directory, current.options().clone(), number)?;
        if newer.policies().is_empty() && !current.policies().is_empty() {
            let why = "no policy is left: most likely it is not mounted, or half written";
            return Err(PolicyProblems(vec![problem(&self.directory, "", why.to_owned())]));
        }
        let mut state = self.held();
        state.earlier.push_back(self.engine.swap(Arc::new(newer)));
        while state.earlier.len() > EARLIER {
            state.earlier.pop_front();
        }
        state.listing = listing;
        Ok(())
    }

    /// What the engine of this moment was made of.
    #[must_use]
    pub fn listing(&self) -> Listing {
        self.held().listing.clone()
    }

    /// What lies in the directory now. Blocks on the disk.
    #[must_use]
    pub fn look(&self) -> Listing {
        Listing::of(&self.directory)
    }

    fn held(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.held().earlier.iter().find(|it| it.number == number).cloned()
    }

    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// What is tested is what is loaded: every file is read once.
fn tested(
    directory: &Path,
    options: Options,
    number: u64,
) -> Result<(Numbered, Listing), PolicyProblems> {
    let started = Instant::now();
    let snapshot = Snapshot::read(directory)?;
    let engine = Engine::of(&snapshot, options)?;
    let bound = Bound { until: Instant::now().checked_add(SUITES_TAKE), ..Bound::default() };
    let results = engine.run_suites_of(&snapshot, bound);
    let problems: Vec<_> = results.suites.iter().flat_map(failures).collect();
    if problems.is_empty() {
        let newer = Numbered { number, took: started.elapsed(), engine };
        Ok((newer, snapshot.into_listing()))
    } else {
        Err(PolicyProblems(problems))
    }
}

/// Everything of a suite that did not pass.
fn failures(suite: &SuiteResult) -> Vec<PolicyProblem> {
    let broken = suite.error.iter().map(|why| problem(&suite.file, "", why.clone()));
    let failed = suite.cases.iter().filter_map(|case| {
        let what = match &case.verdict {
            TestVerdict::Passed | TestVerdict::Skipped { .. } => return None,
            TestVerdict::Errored { error } => error.clone(),
            TestVerdict::Failed { expected, actual, outputs } => {
                let mut what = outputs.clone();
                if expected != actual {
                    what.insert(0, format!("expected {}, got {}", name(*expected), name(*actual)));
                }
                what.join("; ")
            }
        };
        let (principal, resource, action) = (&case.principal, &case.resource, &case.action);
        let case_of = format!("principal '{principal}', resource '{resource}', action '{action}'");
        Some(problem(&suite.file, &format!("test '{}'", case.test), format!("{case_of}: {what}")))
    });
    broken.chain(failed).collect()
}

const fn name(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "EFFECT_ALLOW",
        Effect::Deny => "EFFECT_DENY",
    }
}

fn problem(file: &Path, place: &str, message: String) -> PolicyProblem {
    let (file, place) = (file.to_owned(), place.to_owned());
    PolicyProblem { file, line: None, column: None, place, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_set_is_found_while_a_newer_one_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let loaded = Loaded::load(folder.path()).unwrap();
        loaded.reload().unwrap();
        let _being_made = loaded.reloading.lock().unwrap();
        assert_eq!(loaded.numbered(1).map(|it| it.number), Some(1));
        assert_eq!(loaded.numbered(2).map(|it| it.number), Some(2));
        assert!(loaded.numbered(3).is_none());
    }
}
