//! What whoever watches the policy is told. Nothing of it changes a decision.

use super::Reason;

/// Why an engine could not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The PDP cannot be reached, or the connection broke.
    Connection,
    /// The PDP did not answer in time.
    Deadline,
    /// The PDP refused to answer.
    Refused,
    /// The PDP's answer is none to this question.
    Answer,
    /// The question cannot be put.
    Question,
    /// The engine itself failed.
    Engine,
}

impl FaultKind {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Deadline => "deadline",
            Self::Refused => "refused",
            Self::Answer => "answer",
            Self::Question => "question",
            Self::Engine => "engine",
        }
    }
}

/// How two engines answered one question.
#[derive(Clone, Copy, Debug)]
pub enum Comparison<'a> {
    Same,
    Differs {
        decision: &'a str,
        kind: &'a str,
        action: &'a str,
        decided: Answer<'a>,
        other: Answer<'a>,
    },
    /// One of them could not decide.
    Unreachable,
    /// Too many wait to be compared.
    Dropped,
}

impl Comparison<'_> {
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs { .. } => "differs",
            Self::Unreachable => "unreachable",
            Self::Dropped => "dropped",
        }
    }
}

/// One engine's answer, without anything of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub allowed: bool,
    pub reason: Reason,
    pub policy: &'a str,
    pub scope: &'a str,
}

pub trait PolicyWatch: Send + Sync + 'static {
    fn failed(&self, kind: FaultKind, why: &str);
    fn compared(&self, comparison: &Comparison<'_>);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl PolicyWatch for Unwatched {
    fn failed(&self, _kind: FaultKind, _why: &str) {}
    fn compared(&self, _comparison: &Comparison<'_>) {}
}
