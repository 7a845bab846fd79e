//! Moving the end of a grant.

use std::time::Duration;

use super::super::command::{Timer, TimerChange, Transition};
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::grant::{Grant, GrantStatus};
use super::super::ids::GrantId;
use super::super::iso8601;
use super::super::refused::{FieldError, Refused};
use super::super::rules::Extension;
use super::{Context, end, grant_status, invalid, submit, warn};

/// Refusals in order: no such grant; not its holder; suspended; ended, also by a kill; not confirmed
/// yet; not to be extended; extended as often as it may be; values not accepted (all of them at
/// once). The end moves on from where it was, however much of the time is left.
pub(super) fn extend(
    context: &Context<'_>,
    id: GrantId,
    by: Duration,
    justification: &str,
) -> Result<Transition, Refused> {
    let before = context.grant(id)?;
    end::refuse_others(context, before)?;
    context.refuse_suspended()?;
    refuse_inert(context, before)?;
    let extension = may_be_extended(before)?;
    check_values(before, extension, by, justification)?;

    // The generation stays: what the kill switch would have hit, it still hits.
    let mut after = before.clone();
    after.expires_at = before.expires_at.plus(by);
    after.terms.extended = before.terms.extended.saturating_add(1);
    after.revision += 1;
    let event = Event {
        kind: EventKind::GrantExtended,
        resource: Resource::Grant(id),
        correlation: Some(after.request),
        actor: context.actor.clone(),
        at: context.now,
        reason: (!justification.is_empty()).then(|| justification.to_owned()),
        before: Some(Snapshot::of_grant(before, context.now)),
        after: Snapshot::of_grant(&after, context.now),
        notify: Vec::new(),
    };
    let end = TimerChange::Set { timer: Timer::ExpireGrant(id), at: after.expires_at };
    let timers = std::iter::once(end).chain(warn::moved(&after, context.now)).collect();
    Ok(Transition { timers, grants: vec![after], events: vec![event], ..Transition::default() })
}

/// What does not count cannot be made to count for longer.
fn refuse_inert(context: &Context<'_>, grant: &Grant) -> Result<(), Refused> {
    match grant_status(grant, &context.state.markers, context.now) {
        GrantStatus::Active | GrantStatus::Scheduled => Ok(()),
        GrantStatus::Unconfirmed => Err(Refused::NotConfirmed),
        status @ (GrantStatus::Expired | GrantStatus::Revoked | GrantStatus::Released) => {
            Err(Refused::GrantEnded(status))
        }
    }
}

fn may_be_extended(grant: &Grant) -> Result<&Extension, Refused> {
    let Some(extension) = &grant.terms.extension else {
        return Err(Refused::NotExtendable(grant.template.clone()));
    };
    if grant.terms.extended >= extension.max {
        return Err(Refused::ExtensionsUsed { max: extension.max });
    }
    Ok(extension)
}

fn check_values(
    grant: &Grant,
    extension: &Extension,
    by: Duration,
    justification: &str,
) -> Result<(), Refused> {
    let mut errors = Vec::new();
    if !extension.steps.contains(&by) {
        let steps: Vec<String> = extension.steps.iter().copied().map(iso8601::duration).collect();
        let (steps, found) = (steps.join(", "), iso8601::duration(by));
        let detail = format!("expected one of {steps}, found {found}");
        errors.push(FieldError::new("/duration", "not-offered", detail));
    }
    let rule = grant.terms.justification.as_ref();
    let is_required = grant.terms.require_justification;
    submit::check_justification((is_required, rule), justification, &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(invalid(errors)) }
}
