//! A grant that ends soon.

use super::super::command::{Timer, TimerChange, Transition};
use super::super::grant::Grant;
use super::super::ids::GrantId;
use super::super::refused::Refused;
use super::super::time::Timestamp;
use super::Context;

/// The timer of the warning, where there is one to come.
pub(super) fn warning(grant: &Grant, now: Timestamp) -> Option<TimerChange> {
    let at = grant.expires_at.minus(grant.terms.warn_before_end?);
    (now < at).then_some(TimerChange::Set { timer: Timer::WarnOfEnd(grant.id), at })
}

pub(super) fn warn_of_end(context: &Context<'_>, id: GrantId) -> Result<Transition, Refused> {
    let _grant = context.grant(id)?;
    Err(Refused::NothingDue)
}
