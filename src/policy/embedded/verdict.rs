//! What a check decides, and why.

use std::borrow::Cow;
use std::sync::Arc;

use super::cel::EvalError;
use super::evaluate::OutputEntry;
use super::schema::ValidationError;
use super::set::{Effect, Rule};

/// What was decided for one action, and why.
#[derive(Clone, Debug)]
pub struct Verdict<'c> {
    pub effect: Effect,
    /// Borrowed from the set: cores share it, and would fight for the count of who has it.
    pub policy: Cow<'c, Arc<str>>,
    pub scope: &'c str,
    pub cause: Cause<'c>,
}

/// What decided.
#[derive(Clone, Debug)]
pub enum Cause<'c> {
    /// No policy is about this kind or principal.
    Unknown,
    /// Policies are about it, but none in this scope or version.
    Elsewhere,
    /// No rule said anything.
    NoRule,
    /// The attributes do not fit their schema.
    Invalid,
    Rule {
        name: &'c Arc<str>,
        /// For people, where it allowed the action.
        allows: &'c Arc<str>,
        line: u32,
        role: &'c str,
        derived: Option<&'c str>,
    },
    /// A role policy allows its role less than this.
    RolePolicy { role: &'c str },
    /// A condition had no value.
    Failed { name: &'c Arc<str>, why: EvalError },
}

/// The answer for one resource.
#[derive(Debug)]
pub struct Checked<'c> {
    /// One for each action, in order.
    pub verdicts: Vec<Verdict<'c>>,
    pub derived_roles: Vec<Arc<str>>,
    pub validation_errors: Vec<ValidationError>,
    pub outputs: Vec<OutputEntry>,
    /// Rows tried, when asked for.
    pub tried: Vec<Tried<'c>>,
}

/// One row that was looked at.
#[derive(Clone, Debug)]
pub struct Tried<'c> {
    pub action: &'c str,
    pub policy: &'c str,
    pub rule: &'c str,
    pub line: u32,
    pub effect: Effect,
    /// What it said; `None`: its condition failed.
    pub applies: Option<bool>,
}

/// What a role, or a principal policy, gets.
pub(super) struct Found<'c> {
    pub effect: Option<Effect>,
    /// Instead of the policy that was asked for.
    pub policy: Option<&'c Arc<str>>,
    pub scope: &'c str,
    pub cause: Cause<'c>,
    /// Whether the policy that was asked for exists.
    pub exists: bool,
}

/// The action is denied at once: all roles and scopes are abandoned.
pub(super) struct Failed<'c> {
    pub rule: &'c Rule,
    pub why: EvalError,
}

impl Found<'_> {
    pub const fn nothing(exists: bool) -> Self {
        Self { effect: None, policy: None, scope: "", cause: Cause::NoRule, exists }
    }
}
