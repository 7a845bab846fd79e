//! The debt of a break-glass: reviewed, or overdue.

use super::super::command::Transition;
use super::super::ids::RequestId;
use super::super::refused::Refused;
use super::Context;

pub(super) fn review(
    context: &Context<'_>,
    id: RequestId,
    _comment: &str,
) -> Result<Transition, Refused> {
    let _request = context.request(id)?;
    Err(Refused::NothingToReview)
}

pub(super) fn remind(context: &Context<'_>, id: RequestId) -> Result<Transition, Refused> {
    let _request = context.request(id)?;
    Err(Refused::NothingDue)
}
