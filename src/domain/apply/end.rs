//! How grants and undecided requests end: revoked, released, killed, or by their timers.

use std::sync::Arc;

use super::super::command::{Authority, Timer, TimerChange, Transition};
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::grant::{Ended, EndedWhy, Grant, GrantStatus};
use super::super::ids::{GrantId, RequestId};
use super::super::refused::Refused;
use super::super::request::{Request, RequestStatus};
use super::super::time::Timestamp;
use super::{Context, check_text, decide, grant_status, request_status};

/// Refusals in order: no such grant; an approver who could not have decided on it; reason too
/// long; already ended.
pub(super) fn revoke(
    context: &Context<'_>,
    id: GrantId,
    reason: &str,
    authority: Authority,
) -> Result<Transition, Refused> {
    let grant = context.grant(id)?;
    match authority {
        Authority::Any => (),
        Authority::Approver => may_revoke(context, grant)?,
    }
    check_text(reason, "/reason")?;
    refuse_ended(context, grant)?;
    Ok(ended(context, grant, ending(context, EndedWhy::Revoked, reason)))
}

/// Refusals in order: no such grant; not its holder; reason too long; already ended.
pub(super) fn release(
    context: &Context<'_>,
    id: GrantId,
    reason: &str,
) -> Result<Transition, Refused> {
    let grant = context.grant(id)?;
    if context.actor.person().is_none_or(|person| person.subject != grant.subject) {
        return Err(Refused::NotTheHolder);
    }
    check_text(reason, "/reason")?;
    refuse_ended(context, grant)?;
    Ok(ended(context, grant, ending(context, EndedWhy::Released, reason)))
}

/// Revokes every open grant and cancels every pending request; one past its deadline stays expired,
/// for its timer to record. Refused only for its reason's length; with nothing to end it changes
/// nothing.
pub(super) fn revoke_subject(context: &Context<'_>, reason: &str) -> Result<Transition, Refused> {
    check_text(reason, "/reason")?;
    let (state, now) = (context.state, context.now);
    let mut all = Transition::default();
    for grant in state.grants.values().filter(|grant| grant.is_open(now)) {
        all.append(ended(context, grant, ending(context, EndedWhy::Revoked, reason)));
    }
    let pending = |request: &&Request| request_status(request, &state.markers, now) == "pending";
    for request in state.requests.values().filter(pending) {
        let by: Arc<str> = context.actor.name().into();
        let status = RequestStatus::Cancelled { at: now, by, reason: reason.to_owned() };
        let kind = EventKind::RequestCancelled;
        all.append(decide::finish(context, kind, request, status, reason));
    }
    Ok(all)
}

/// The timer of an undecided request. Refused when there is nothing to time out (yet).
pub(super) fn time_out(context: &Context<'_>, id: RequestId) -> Result<Transition, Refused> {
    let request = context.request(id)?;
    if !request.is_pending() || context.now < request.pending_until {
        return Err(Refused::NothingDue);
    }
    let Some(kill) = context.state.markers.kill_of_request(request) else {
        let status = RequestStatus::Expired { at: request.pending_until };
        let (kind, reason) = (EventKind::RequestExpired, "nobody decided in time");
        return Ok(decide::finish(context, kind, request, status, reason));
    };
    let (by, reason) = (kill.by.clone(), kill.reason.to_string());
    let status = RequestStatus::Cancelled { at: kill.at, by, reason };
    let kind = EventKind::RequestCancelled;
    Ok(decide::finish(context, kind, request, status, &kill.reason))
}

/// The timer of a grant. A grant that was killed meanwhile is recorded as revoked by that kill.
pub(super) fn expire(context: &Context<'_>, id: GrantId) -> Result<Transition, Refused> {
    let grant = context.grant(id)?;
    if grant.ended.is_some() || context.now < grant.expires_at {
        return Err(Refused::NothingDue);
    }
    let end = match context.state.markers.kill_of_grant(grant) {
        Some(kill) => Ended {
            at: kill.at,
            why: EndedWhy::Revoked,
            by: kill.by.clone(),
            reason: kill.reason.to_string(),
        },
        None => Ended {
            at: grant.expires_at,
            why: EndedWhy::Expired,
            by: context.actor.name().into(),
            reason: String::new(),
        },
    };
    Ok(ended(context, grant, end))
}

fn may_revoke(context: &Context<'_>, grant: &Grant) -> Result<(), Refused> {
    let Some(groups) = &grant.approver_groups else { return Ok(()) };
    if context.actor.person().is_some_and(|person| person.in_any_group(groups)) {
        return Ok(());
    }
    Err(Refused::NotARevoker { groups: groups.join(", ") })
}

fn refuse_ended(context: &Context<'_>, grant: &Grant) -> Result<(), Refused> {
    match grant_status(grant, &context.state.markers, context.now) {
        GrantStatus::Active | GrantStatus::Scheduled | GrantStatus::Unconfirmed => Ok(()),
        status @ (GrantStatus::Expired | GrantStatus::Revoked | GrantStatus::Released) => {
            Err(Refused::GrantEnded(status))
        }
    }
}

fn ending(context: &Context<'_>, why: EndedWhy, reason: &str) -> Ended {
    Ended { at: context.now, why, by: context.actor.name().into(), reason: reason.to_owned() }
}

fn ended(context: &Context<'_>, grant: &Grant, end: Ended) -> Transition {
    let kind = EventKind::of_end(end.why);
    let reason = (!end.reason.is_empty()).then(|| end.reason.clone());
    // The state before its end: at its very end a grant that simply ran out was active.
    let before = Snapshot::of_grant(grant, just_before(end.at, grant.expires_at));
    let mut after = grant.clone();
    after.ended = Some(end);
    after.revision += 1;
    let event = Event {
        kind,
        resource: Resource::Grant(after.id),
        correlation: Some(after.request),
        actor: context.actor.clone(),
        at: context.now,
        reason,
        before: Some(before),
        after: Snapshot::of_grant(&after, context.now),
    };
    Transition {
        requests: Vec::new(),
        timers: vec![TimerChange::Remove { timer: Timer::ExpireGrant(after.id) }],
        grants: vec![after],
        events: vec![event],
    }
}

fn just_before(at: Timestamp, expires_at: Timestamp) -> Timestamp {
    at.min(expires_at.minus(std::time::Duration::from_millis(1)))
}
