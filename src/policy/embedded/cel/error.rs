//! Why an evaluation failed.

use std::borrow::Cow;
use std::fmt;

/// What `||` and `&&` do with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The other side of `||` or `&&` may still decide.
    Absorbable,
    /// Nothing absorbs it: the PDP fails the whole expression, or the budget is used up.
    Fatal,
}

/// An expression had no value. Whatever leans on it is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    severity: Severity,
    message: Cow<'static, str>,
}

impl EvalError {
    /// An error that `||` and `&&` may absorb.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { severity: Severity::Absorbable, message: message.into() }
    }

    /// An error that fails the whole expression.
    pub fn fatal(message: impl Into<Cow<'static, str>>) -> Self {
        Self { severity: Severity::Fatal, message: message.into() }
    }

    #[must_use]
    pub fn no_such_overload() -> Self {
        Self::new("no such overload")
    }

    #[must_use]
    pub fn no_such_key(key: &str) -> Self {
        Self::new(format!("no such key: {key}"))
    }

    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self.severity, Severity::Fatal)
    }

    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EvalError {}

pub(super) const ALWAYS_FAILS: &str = "this part always fails: ";

/// Where and why a source is refused. Lines and columns start at 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl CompileError {
    /// What a part fails with whenever it is evaluated, when that is why the source is refused.
    #[must_use]
    pub fn always_fails(&self) -> Option<&str> {
        self.message.strip_prefix(ALWAYS_FAILS)
    }

    /// The source as a whole is refused.
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self { line: 1, column: 1, message: message.into() }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for CompileError {}
