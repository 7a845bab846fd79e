//! What is wrong with a policy set, said so that its author finds the place.

use std::fmt;
use std::path::PathBuf;

/// One thing that keeps a policy set from being loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblem {
    pub file: PathBuf,
    /// Counted from 1; absent where the whole file is meant.
    pub line: Option<u64>,
    /// The rule, derived role or variable; empty where the policy itself is meant.
    pub place: String,
    pub message: String,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong, at once. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblems(pub Vec<PolicyProblem>);

impl fmt::Display for PolicyProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
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

    pub fn add(&mut self, line: Option<u64>, place: &str, message: impl Into<String>) {
        self.found.push(PolicyProblem {
            file: self.file.clone(),
            line,
            place: place.to_owned(),
            message: message.into(),
        });
    }
}
