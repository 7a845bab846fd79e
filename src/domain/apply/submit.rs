//! Asking for access.

use std::time::Duration;

use super::super::command::{Submit, Timer, TimerChange, Transition};
use super::super::course::Course;
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::ids::RequestId;
use super::super::iso8601;
use super::super::refused::{FieldError, Refused};
use super::super::request::{Request, RequestStatus};
use super::super::template::{Requesters, Template};
use super::{Context, MAX_TEXT, fields, invalid, request_status};

/// The most live grants one subject may hold: they share one value that every request reads.
pub const MAX_GRANTS: usize = 64;

/// The most requests of one subject that may wait at the same time.
pub const MAX_PENDING: usize = 64;

/// Refusals in order: suspended; template unknown, disabled or not visible; requester not in the
/// template's groups; values not accepted (all of them at once); a request for the same template
/// pending; too many pending; too many live grants.
pub(super) fn submit(context: &Context<'_>, submit: &Submit) -> Result<Transition, Refused> {
    let template = &submit.template;
    context.refuse_suspended()?;
    check_requester(submit)?;
    let duration = check_values(submit)?;
    check_room(context, template)?;

    let request = Request {
        id: RequestId { partition: context.state.partition, random: context.seed.nth(0) },
        requester: submit.requester.clone(),
        on_behalf_by: context
            .actor
            .person()
            .filter(|person| person.subject != submit.requester.subject)
            .cloned(),
        template: template.clone(),
        duration,
        justification: submit.justification.clone(),
        fields: submit
            .fields
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.clone()))
            .collect(),
        created_at: context.now,
        pending_until: context.now.plus(template.pending_for),
        generation: context.state.markers.generation,
        approvals: Vec::new(),
        status: RequestStatus::Pending,
        comments: Vec::new(),
        course: Course::default(),
        revision: 1,
    };
    let event = Event {
        kind: EventKind::RequestSubmitted,
        resource: Resource::Request(request.id),
        correlation: Some(request.id),
        actor: context.actor.clone(),
        at: context.now,
        reason: None,
        before: None,
        after: Snapshot::of_request(&request),
        notify: Vec::new(),
    };
    let timers = timers(&request);
    let (requests, events) = (vec![request], vec![event]);
    Ok(Transition { requests, events, timers, ..Transition::default() })
}

fn timers(request: &Request) -> Vec<TimerChange> {
    let (id, at) = (request.id, request.pending_until);
    let time_out = TimerChange::Set { timer: Timer::TimeOutRequest(id), at };
    let escalation = request.template.rules.escalation.as_ref().map(|escalation| {
        let at = request.created_at.plus(escalation.after);
        TimerChange::Set { timer: Timer::Escalate(id), at }
    });
    std::iter::once(time_out).chain(escalation).collect()
}

fn check_requester(submit: &Submit) -> Result<(), Refused> {
    let (template, requester) = (&submit.template, &submit.requester);
    if !template.is_visible_to(requester) {
        return Err(Refused::NoSuchTemplate(template.name.clone()));
    }
    match &template.requesters {
        Requesters::Groups(groups) if !template.may_be_requested_by(requester) => {
            let groups = groups.join(", ");
            Err(Refused::NotARequester { template: template.name.clone(), groups })
        }
        Requesters::Groups(_) | Requesters::Anyone => Ok(()),
    }
}

/// The duration to ask for, when every value is accepted.
fn check_values(submit: &Submit) -> Result<Duration, Refused> {
    let template = &submit.template;
    let mut errors = Vec::new();
    let duration = submit.duration.unwrap_or(template.default_duration);
    if !template.durations.contains(&duration) {
        let allowed: Vec<String> =
            template.durations.iter().map(|span| iso8601::duration(*span)).collect();
        let detail = format!(
            "expected one of {}, found {}",
            allowed.join(", "),
            iso8601::duration(duration)
        );
        errors.push(FieldError::new("/duration", "not-offered", detail));
    }
    check_justification(template, &submit.justification, &mut errors);
    fields::check(&template.fields, &submit.fields, &mut errors);
    if errors.is_empty() { Ok(duration) } else { Err(invalid(errors)) }
}

fn check_justification(template: &Template, text: &str, errors: &mut Vec<FieldError>) {
    const POINTER: &str = "/justification";
    let length = text.chars().count();
    if length > MAX_TEXT {
        let detail = format!("expected at most {MAX_TEXT} characters, found {length}");
        errors.push(FieldError::new(POINTER, "too-long", detail));
    } else if template.require_justification && text.trim().is_empty() {
        let detail = "a justification is required for this template";
        errors.push(FieldError::new(POINTER, "required", detail));
    } else if let Some(rule) = &template.justification
        && (template.require_justification || !text.is_empty())
        && !rule.pattern.is_match(text)
    {
        errors.push(FieldError::new(POINTER, "pattern", rule.message.as_ref()));
    }
}

fn check_room(context: &Context<'_>, template: &Template) -> Result<(), Refused> {
    let state = context.state;
    let waiting =
        |request: &&Request| request_status(request, &state.markers, context.now) == "pending";
    let mut pending = state.requests.values().filter(waiting);
    if let Some(existing) = pending.clone().find(|request| request.template.name == template.name) {
        let template = template.name.clone();
        return Err(Refused::DuplicateRequest { template, existing: existing.id });
    }
    if pending.nth(MAX_PENDING - 1).is_some() {
        let subject = state.subject.name.clone();
        return Err(Refused::TooManyPending { subject, limit: MAX_PENDING });
    }
    refuse_too_many_grants(context, template)
}

/// Asked again at approval: grants may have been added meanwhile.
pub(super) fn refuse_too_many_grants(
    context: &Context<'_>,
    template: &Template,
) -> Result<(), Refused> {
    if context.open_grants() + template.accesses.len() > MAX_GRANTS {
        let subject = context.state.subject.name.clone();
        return Err(Refused::TooManyGrants { subject, limit: MAX_GRANTS });
    }
    Ok(())
}
