//! How grants and undecided requests end: revoked, released, killed, or by their timers.

use std::sync::Arc;
use std::time::Duration;

use super::super::command::{Authority, Timer, TimerChange, Transition};
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::grant::{Ended, EndedWhy, Grant, GrantStatus};
use super::super::ids::{GrantId, RequestId};
use super::super::markers::Kill;
use super::super::refused::{FieldError, Refused};
use super::super::request::{Request, RequestStatus};
use super::super::subject::{Actor, Person};
use super::super::time::Timestamp;
use super::{
    Context, check_text, decide, grant_status, invalid, kill_that_cancelled, kill_that_revoked,
    request_status, warn,
};

/// How long after its kill switch a subject gets nothing without approvers, where no time was named.
pub const SUPERVISED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How the reason in an event begins, of an end that was made a second time.
const RECONCILED: &str = "ended again by reconcile";

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
    refuse_others(context, grant)?;
    check_text(reason, "/reason")?;
    refuse_ended(context, grant)?;
    Ok(ended(context, grant, ending(context, EndedWhy::Released, reason)))
}

/// Revokes every open grant and cancels every pending request; what a kill or its time ended
/// already keeps that end. Until `until` approvers decide on whatever the subject asks for. Refused
/// only for its reason's length, and for an `until` that has passed.
pub(super) fn revoke_subject(
    context: &Context<'_>,
    reason: &str,
    until: Option<Timestamp>,
) -> Result<Transition, Refused> {
    check_text(reason, "/reason")?;
    let (state, now) = (context.state, context.now);
    if until.is_some_and(|until| until <= now) {
        let detail = "expected a time from now on";
        return Err(invalid(vec![FieldError::new("/until", "out-of-range", detail)]));
    }
    // Who names a time means it; who names none takes nothing back of what stands.
    let usual = || now.plus(SUPERVISED_FOR).max(state.supervised_until.unwrap_or_default());
    let supervised_until = Some(until.unwrap_or_else(usual));
    let supervised_until = supervised_until.filter(|_| supervised_until != state.supervised_until);
    let mut all = Transition { supervised_until, ..Transition::default() };
    let markers = &state.markers;
    for grant in state.grants.values().filter(|grant| refuse_ended(context, grant).is_ok()) {
        all.append(ended(context, grant, ending(context, EndedWhy::Revoked, reason)));
    }
    let pending = |request: &&Request| request_status(request, markers, now) == "pending";
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
    if let Some(kill) = kill_that_cancelled(request, &context.state.markers, context.now) {
        return Ok(cancelled_by(context, request, kill));
    }
    let status = RequestStatus::Expired { at: request.pending_until };
    let (kind, reason) = (EventKind::RequestExpired, "nobody decided in time");
    Ok(decide::finish(context, kind, request, status, reason))
}

/// The timer of a grant. A grant that was killed meanwhile is recorded as revoked by that kill.
pub(super) fn expire(context: &Context<'_>, id: GrantId) -> Result<Transition, Refused> {
    let grant = context.grant(id)?;
    if grant.ended.is_some() || context.now < grant.expires_at {
        return Err(Refused::NothingDue);
    }
    if let Some(kill) = kill_that_revoked(grant, &context.state.markers, context.now) {
        return Ok(revoked_by(context, grant, kill));
    }
    let (at, why, by) = (grant.expires_at, EndedWhy::Expired, context.actor.name().into());
    Ok(ended(context, grant, Ended { at, why, by, reason: String::new() }))
}

/// Ends a grant that somebody remembers as ended, as it ended then. Refused when there is no such
/// grant, or nothing to end.
pub(super) fn end_again(
    context: &Context<'_>,
    id: GrantId,
    end: &Ended,
) -> Result<Transition, Refused> {
    let grant = context.grant(id)?;
    if grant.ended.is_some() {
        return Err(Refused::NothingDue);
    }
    let mut transition = ended(context, grant, end.clone());
    for event in &mut transition.events {
        event.reason = Some(format!("{RECONCILED}: {}", end.reason));
    }
    Ok(transition)
}

/// Marks everything that a kill ended, as the deed of whoever threw the switch. With nothing to
/// mark it changes nothing, so that it happens once, whoever sweeps.
pub(super) fn sweep(context: &Context<'_>) -> Transition {
    let (state, markers) = (context.state, &context.state.markers);
    let mut all = Transition::default();
    for grant in state.grants.values() {
        if let Some(kill) = kill_that_revoked(grant, markers, context.now) {
            all.append(revoked_by(context, grant, kill));
        }
    }
    for request in state.requests.values() {
        if let Some(kill) = kill_that_cancelled(request, markers, context.now) {
            all.append(cancelled_by(context, request, kill));
        }
    }
    all
}

fn revoked_by(context: &Context<'_>, grant: &Grant, kill: &Kill) -> Transition {
    let actor = thrower(kill);
    let context = &Context { actor: &actor, ..*context };
    let (by, reason) = (kill.by.name.clone(), kill.reason.to_string());
    ended(context, grant, Ended { at: kill.at, why: EndedWhy::Revoked, by, reason })
}

fn cancelled_by(context: &Context<'_>, request: &Request, kill: &Kill) -> Transition {
    let actor = thrower(kill);
    let context = &Context { actor: &actor, ..*context };
    let (by, reason) = (kill.by.name.clone(), kill.reason.to_string());
    let status = RequestStatus::Cancelled { at: kill.at, by, reason };
    decide::finish(context, EventKind::RequestCancelled, request, status, &kill.reason)
}

/// Whoever threw the kill switch; the markers keep no more of them than who it was.
fn thrower(kill: &Kill) -> Actor {
    Actor::Person(Person::named(kill.by.clone()))
}

fn may_revoke(context: &Context<'_>, grant: &Grant) -> Result<(), Refused> {
    let Some(groups) = &grant.approver_groups else { return Ok(()) };
    if context.actor.person().is_some_and(|person| person.in_any_group(groups)) {
        return Ok(());
    }
    Err(Refused::NotARevoker { groups: groups.join(", ") })
}

/// Anybody but its holder.
pub(super) fn refuse_others(context: &Context<'_>, grant: &Grant) -> Result<(), Refused> {
    let holds = context.actor.person().is_some_and(|person| person.subject == grant.subject);
    if holds { Ok(()) } else { Err(Refused::NotTheHolder) }
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
        notify: Vec::new(),
    };
    let mut timers = vec![TimerChange::Remove { timer: Timer::ExpireGrant(after.id) }];
    timers.extend(warn::forgotten(&after));
    if !after.confirmed {
        timers.push(TimerChange::Remove { timer: Timer::ConfirmGrant(after.id) });
    }
    Transition { timers, grants: vec![after], events: vec![event], ..Transition::default() }
}

fn just_before(at: Timestamp, expires_at: Timestamp) -> Timestamp {
    at.min(expires_at.minus(std::time::Duration::from_millis(1)))
}
