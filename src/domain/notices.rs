//! Notices: who is told of what. Every event of a transition gets its recipients in the commit that
//! makes it true; sinks send them.

use super::command::{SubjectState, Transition};
use super::ids::Seed;
use super::people::People;

/// What a choice hangs on that no subject owns, drawn before the commit.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    pub seed: Seed,
    /// Where approvers are told one after the other: whose turn it is.
    pub turn: u64,
}

/// Chooses whom each event of the transition is for, and keeps in the request who was told.
pub fn address(
    _before: &SubjectState,
    _transition: &mut Transition,
    _people: &People,
    _draw: Draw,
) {
}
