//! When nobody has decided: others may as well.

use super::super::command::{Timer, TimerChange, Transition};
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::ids::RequestId;
use super::super::iso8601;
use super::super::refused::Refused;
use super::super::request::Request;
use super::{Context, request_status};

/// Refused when there is nothing to escalate (yet): no such request; its template has no escalation;
/// escalated before; no longer pending; too early.
pub(super) fn escalate(context: &Context<'_>, id: RequestId) -> Result<Transition, Refused> {
    let before = context.request(id)?;
    let escalation = before.template.rules.escalation.as_ref();
    let escalation = escalation.filter(|_| before.course.escalated_at.is_none());
    let escalation = escalation.ok_or(Refused::NothingDue)?;
    let is_pending = request_status(before, &context.state.markers, context.now) == "pending";
    if !is_pending || context.now < before.created_at.plus(escalation.after) {
        return Err(Refused::NothingDue);
    }
    let mut after = before.clone();
    after.course.escalated_at = Some(context.now);
    after.revision += 1;
    let (waited, groups) = (iso8601::duration(escalation.after), escalation.groups.join(", "));
    let event = Event {
        kind: EventKind::RequestEscalated,
        resource: Resource::Request(id),
        correlation: Some(id),
        actor: context.actor.clone(),
        at: context.now,
        reason: Some(format!("not decided within {waited}: {groups} may decide as well")),
        before: Some(Snapshot::of_request(before)),
        after: Snapshot::of_request(&after),
        notify: Vec::new(),
    };
    Ok(Transition {
        requests: vec![after],
        events: vec![event],
        timers: vec![TimerChange::Remove { timer: Timer::Escalate(id) }],
        ..Transition::default()
    })
}

/// The timers of a request that no longer waits for a decision.
pub(super) fn forgotten(request: &Request) -> Vec<TimerChange> {
    let time_out = TimerChange::Remove { timer: Timer::TimeOutRequest(request.id) };
    let escalation = TimerChange::Remove { timer: Timer::Escalate(request.id) };
    let escalates = request.template.rules.escalation.is_some();
    std::iter::once(time_out).chain(escalates.then_some(escalation)).collect()
}
