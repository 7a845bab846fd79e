//! A grant that ends soon.

use super::super::command::{Timer, TimerChange, Transition};
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::grant::{Grant, GrantStatus};
use super::super::ids::GrantId;
use super::super::refused::Refused;
use super::super::time::Timestamp;
use super::{Context, grant_status};

/// The timer of the warning, where there is one to come.
pub(super) fn warning(grant: &Grant, now: Timestamp) -> Option<TimerChange> {
    let at = grant.expires_at.minus(grant.terms.warn_before_end?);
    (now < at).then_some(TimerChange::Set { timer: Timer::WarnOfEnd(grant.id), at })
}

/// The timer after the end was moved. Nobody is warned of an end that they have just asked for.
pub(super) fn moved(grant: &Grant, now: Timestamp) -> Option<TimerChange> {
    warning(grant, now).or_else(|| forgotten(grant))
}

/// The grant has ended, or ends too soon to be warned of.
pub(super) fn forgotten(grant: &Grant) -> Option<TimerChange> {
    grant.terms.warn_before_end.map(|_| TimerChange::Remove { timer: Timer::WarnOfEnd(grant.id) })
}

/// Refused when there is nothing to warn of (yet): no such grant; it does not count; too early; warned
/// of this end before, by another process.
pub(super) fn warn_of_end(context: &Context<'_>, id: GrantId) -> Result<Transition, Refused> {
    let before = context.grant(id)?;
    if !is_due(context, before) {
        return Err(Refused::NothingDue);
    }
    // The revision stays: nothing that is shown changes, and the holder who is warned may be about
    // to extend the grant that they see.
    let mut after = before.clone();
    after.terms.warned_of = Some(before.expires_at);
    let event = Event {
        kind: EventKind::GrantExpiring,
        resource: Resource::Grant(id),
        correlation: Some(after.request),
        actor: context.actor.clone(),
        at: context.now,
        reason: None,
        before: None,
        after: Snapshot::of_grant(&after, context.now),
        notify: Vec::new(),
    };
    Ok(Transition {
        grants: vec![after],
        events: vec![event],
        timers: vec![TimerChange::Remove { timer: Timer::WarnOfEnd(id) }],
        ..Transition::default()
    })
}

fn is_due(context: &Context<'_>, grant: &Grant) -> bool {
    let counts = match grant_status(grant, &context.state.markers, context.now) {
        GrantStatus::Active | GrantStatus::Scheduled => true,
        GrantStatus::Unconfirmed
        | GrantStatus::Expired
        | GrantStatus::Revoked
        | GrantStatus::Released => false,
    };
    let span = grant.terms.warn_before_end;
    let has_come = span.is_some_and(|span| context.now >= grant.expires_at.minus(span));
    counts && has_come && grant.terms.warned_of != Some(grant.expires_at)
}
