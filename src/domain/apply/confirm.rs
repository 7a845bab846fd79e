//! Confirming a grant. Where a commit can be lost, a new grant is inert until its commit is known to
//! be kept; then a second commit makes it count.

use std::time::Duration;

use super::super::command::{Timer, TimerChange, Transition};
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::grant::{Grant, GrantStatus};
use super::super::ids::GrantId;
use super::super::refused::Refused;
use super::{Context, grant_status};

/// When others carry on with a grant that whoever made it has not confirmed.
pub const CONFIRM_AFTER: Duration = Duration::from_secs(1);

/// Refused when there is nothing to confirm: no such grant; confirmed already; ended, killed or past
/// its end meanwhile.
pub(super) fn confirm(context: &Context<'_>, id: GrantId) -> Result<Transition, Refused> {
    let grant = context.grant(id)?;
    match grant_status(grant, &context.state.markers, context.now) {
        GrantStatus::Unconfirmed => (),
        GrantStatus::Scheduled
        | GrantStatus::Active
        | GrantStatus::Expired
        | GrantStatus::Revoked
        | GrantStatus::Released => return Err(Refused::NothingDue),
    }
    let mut after = grant.clone();
    after.confirmed = true;
    after.revision += 1;
    let event = Event { before: Some(snapshot(context, grant)), ..activated(context, &after) };
    Ok(Transition {
        grants: vec![after],
        events: vec![event],
        timers: vec![TimerChange::Remove { timer: Timer::ConfirmGrant(id) }],
        ..Transition::default()
    })
}

/// The grant counts from now on.
pub(super) fn activated(context: &Context<'_>, grant: &Grant) -> Event {
    Event {
        kind: EventKind::GrantActivated,
        resource: Resource::Grant(grant.id),
        correlation: Some(grant.request),
        actor: context.actor.clone(),
        at: context.now,
        reason: None,
        before: None,
        after: snapshot(context, grant),
        notify: Vec::new(),
    }
}

fn snapshot(context: &Context<'_>, grant: &Grant) -> Snapshot {
    Snapshot::of_grant(grant, context.now)
}
