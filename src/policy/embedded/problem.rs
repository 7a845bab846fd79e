//! What is wrong with a policy set, said so that its author finds the place.

use std::fmt;
use std::path::PathBuf;

use serde_saphyr::{Location, Spanned};

/// One thing that keeps a policy set from being loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblem {
    pub file: PathBuf,
    /// Counted from 1; absent where the whole file is meant.
    pub line: Option<u64>,
    /// Counted from 1, in characters; absent where the whole line is meant.
    pub column: Option<u64>,
    /// The rule, derived role or variable; empty where the policy itself is meant.
    pub place: String,
    pub message: String,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        f.write_str(": ")?;
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

/// More of one file say nothing new.
const MAX_OF_A_FILE: usize = 100;

/// Everything that is wrong, at once. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblems(pub Vec<PolicyProblem>);

/// As many are told; the others are counted.
const MAX_TOLD: usize = 100;

impl PolicyProblems {
    /// One text for each, and for more than a hundred how many there are besides.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let mut texts: Vec<_> = self.0.iter().take(MAX_TOLD).map(ToString::to_string).collect();
        let more = self.0.len().saturating_sub(MAX_TOLD);
        if more > 0 {
            texts.push(format!("and {more} more problems of the policies"));
        }
        texts
    }
}

impl fmt::Display for PolicyProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join("\n"))
    }
}

impl std::error::Error for PolicyProblems {}

/// Collects problems of one file.
pub(super) struct Problems {
    pub file: PathBuf,
    pub found: Vec<PolicyProblem>,
}

impl Problems {
    pub fn new(file: PathBuf) -> Self {
        Self { file, found: Vec::new() }
    }

    pub fn add(&mut self, at: At, place: &str, message: impl Into<String>) {
        if self.found.len() >= MAX_OF_A_FILE {
            return;
        }
        self.found.push(PolicyProblem {
            file: self.file.clone(),
            line: at.0,
            column: at.1,
            place: place.to_owned(),
            message: message.into(),
        });
    }
}

/// Line and column.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct At(pub Option<u64>, pub Option<u64>);

impl At {
    pub const NOWHERE: Self = Self(None, None);
}

impl From<&Location> for At {
    fn from(at: &Location) -> Self {
        let known = |number: u64| (number > 0).then_some(number);
        Self(known(at.line()), known(at.column()))
    }
}

impl<T> From<&Spanned<T>> for At {
    fn from(text: &Spanned<T>) -> Self {
        Self::from(&text.referenced)
    }
}
