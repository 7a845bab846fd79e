//! Cerbos policies, evaluated in the process: resource, principal and role policies, derived
//! roles, scopes, versions, variables, outputs and schemas. Always strict: a condition that cannot
//! be evaluated denies the action. Where the PDP's answer depends on the order of a hash map, the
//! most restrictive of its answers is given.
//!
//! `listing`, `snapshot`, `load` and `file` read, `compile` (with `definitions`, `expressions`, `resources`, `principals`
//! and `registry`) makes the index of `set`, `check` (with `rows` and `evaluate`) decides, `api`
//! has the requests of the PDP. What the engine does not know is refused while loading, with file,
//! rule and column. Nothing here imports from the rest of the gateway.

pub mod api;
mod by_scope;
pub mod cel;
mod check;
mod compile;
mod definitions;
mod evaluate;
mod expressions;
mod file;
mod fixtures;
mod input;
mod lint;
mod listing;
mod load;
mod matrix;
mod names;
mod options;
mod pattern;
mod principals;
mod problem;
mod registry;
mod resources;
mod rows;
mod schema;
mod set;
mod snapshot;
mod suite;
mod unique;
mod verdict;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use evaluate::OutputEntry;
pub use input::{Attribute, Attributes, Facts, Input, Subject};
pub use lint::{Finding, LintRule, Severity};
pub use listing::Listing;
pub use options::{Clock, Enforcement, Options};
pub use problem::{PolicyProblem, PolicyProblems};
pub use schema::{Source, ValidationError};
use set::Set;
pub use set::{Effect, Registered};
pub use snapshot::Snapshot;
pub use suite::{Bound, CaseResult, SuiteResult, SuiteResults, TestVerdict};
pub use verdict::{Cause, Checked, Tried, Verdict};

/// A loaded policy set: immutable, shared by everyone who asks.
#[derive(Clone, Debug)]
pub struct Engine {
    set: Arc<Set>,
    options: Options,
}

impl Engine {
    /// Loads every policy below `directory`. An empty directory is a set that knows nothing.
    ///
    /// # Errors
    /// Everything that is wrong, or not supported, at once.
    pub fn load(directory: &Path) -> Result<Self, PolicyProblems> {
        Self::load_with(directory, Options::default())
    }

    /// # Errors
    /// Everything that is wrong, or not supported, at once.
    pub fn load_with(directory: &Path, options: Options) -> Result<Self, PolicyProblems> {
        Self::of(&Snapshot::read(directory)?, options)
    }

    /// # Errors
    /// Everything that is wrong, or not supported, at once.
    pub fn of(snapshot: &Snapshot, options: Options) -> Result<Self, PolicyProblems> {
        Ok(Self { set: Arc::new(compile::compile(snapshot)?), options })
    }

    /// The same policies, asked in another way.
    #[must_use]
    pub fn with_options(&self, options: Options) -> Self {
        Self { set: Arc::clone(&self.set), options }
    }

    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Every policy by its key.
    #[must_use]
    pub fn policies(&self) -> &BTreeMap<Arc<str>, Registered> {
        &self.set.policies
    }

    /// Answers one input, which is not validated. With `explain` the rows tried are told as well.
    pub fn with_checked<T>(
        &self,
        input: &Input<'_>,
        explain: bool,
        then: impl FnOnce(Checked<'_>) -> T,
    ) -> T {
        let kind = names::sanitised(input.kind);
        let values = input::Values::new(input, &self.options.globals, &*self.options.clock);
        then(check::check(&self.set, &self.options, &values, input, &kind, explain))
    }
}
