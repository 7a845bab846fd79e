//! What a command does to a subject.

use super::command::{Command, SubjectState, Transition};
use super::ids::Seed;
use super::refused::Refused;
use super::subject::Actor;
use super::time::Timestamp;

/// What `command`, given by `actor` at `now`, does to the subject of `state`.
///
/// Every fresh identifier is made from `seed`.
///
/// # Errors
/// The first refusal that applies, in a fixed order; nothing has changed then.
pub fn apply(
    _state: &SubjectState,
    _command: &Command,
    _actor: &Actor,
    _seed: Seed,
    _now: Timestamp,
) -> Result<Transition, Refused> {
    Err(Refused::NothingDue)
}
