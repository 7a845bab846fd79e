//! Moving the end of a grant.

use std::time::Duration;

use super::super::command::Transition;
use super::super::ids::GrantId;
use super::super::refused::Refused;
use super::Context;

pub(super) fn extend(
    context: &Context<'_>,
    id: GrantId,
    _by: Duration,
    _justification: &str,
) -> Result<Transition, Refused> {
    let _grant = context.grant(id)?;
    Err(Refused::NothingDue)
}
