//! When nobody has decided: others may as well.

use super::super::command::Transition;
use super::super::ids::RequestId;
use super::super::refused::Refused;
use super::Context;

pub(super) fn escalate(context: &Context<'_>, id: RequestId) -> Result<Transition, Refused> {
    let _request = context.request(id)?;
    Err(Refused::NothingDue)
}
