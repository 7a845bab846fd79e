//! Asking for access.

use std::time::Duration;

use super::super::command::{Submit, Timer, TimerChange, Transition};
use super::super::course::{Course, Way};
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::ids::RequestId;
use super::super::iso8601;
use super::super::refused::{FieldError, Refused};
use super::super::request::{Request, RequestStatus};
use super::super::template::{JustificationRule, Requesters, Template};
use super::give::{self, Given};
use super::{
    Context, MAX_TEXT, able, break_glass, decide, duties, fields, invalid, request_status,
};

/// The most live grants one subject may hold: they share one value that every request reads.
pub const MAX_GRANTS: usize = 64;

/// The most requests of one subject that may wait at the same time.
pub const MAX_PENDING: usize = 64;

/// Refusals in order: suspended; template unknown, disabled or not visible; break-glass that may not
/// be taken, or else a requester who is not eligible or not in the template's groups; values not
/// accepted (all of them at once); separation of duties; a request for the same template pending;
/// too many pending; too many live grants; nobody who could approve.
///
/// What needs no approver is given in the same commit, unless the subject's kill switch was thrown
/// lately: then approvers decide, and there is no break-glass. Break-glass does not wait for what is
/// pending.
pub(super) fn submit(context: &Context<'_>, submit: &Submit) -> Result<Transition, Refused> {
    context.refuse_suspended()?;
    if !submit.template.is_visible_to(&submit.requester) {
        return Err(Refused::NoSuchTemplate(submit.template.name.clone()));
    }
    let way = way(context, submit)?;
    let duration = check_values(submit, &way)?;
    duties::refuse_conflicts(context, &submit.template)?;
    check_room(context, &submit.template, &way)?;
    let request = request(context, submit, way, duration);
    match &request.course.way {
        Way::Approvers => {
            able::refuse_undecidable(context, submit)?;
            Ok(asked(context, request))
        }
        Way::Rule { .. } | Way::Eligibility | Way::BreakGlass { .. } => at_once(context, &request),
    }
}

/// How it will be decided, when the requester may ask at all. Only people themselves get something
/// at once, never what somebody asks for them.
fn way(context: &Context<'_>, submit: &Submit) -> Result<Way, Refused> {
    let Submit { template, requester, .. } = submit;
    if submit.break_glass {
        let rule = break_glass::may_break(context, submit)?;
        return Ok(Way::BreakGlass { review: break_glass::debt(context, rule) });
    }
    check_requester(context, submit)?;
    let person = context.actor.person();
    if person.is_none_or(|person| person.subject != requester.subject) {
        return Ok(Way::Approvers);
    }
    let rules = &template.rules;
    if context.supervised_until().is_some() {
        return Ok(Way::Approvers);
    }
    match (&rules.eligible, &rules.auto_approve) {
        (Some(eligible), _)
            if !eligible.needs_approval && eligible.holds_for(requester, context.now) =>
        {
            Ok(Way::Eligibility)
        }
        (_, Some(rule)) if submit.rule_holds => Ok(Way::Rule { rule: rule.clone() }),
        (Some(_) | None, Some(_) | None) => Ok(Way::Approvers),
    }
}

fn check_requester(context: &Context<'_>, submit: &Submit) -> Result<(), Refused> {
    let (template, requester) = (&submit.template, &submit.requester);
    if template.may_be_requested_by(requester, context.now) {
        return Ok(());
    }
    let name = template.name.clone();
    match (&template.rules.eligible, &template.requesters) {
        (None, Requesters::Groups(groups)) => {
            Err(Refused::NotARequester { template: name, groups: groups.join(", ") })
        }
        (Some(_), Requesters::Groups(_)) | (Some(_) | None, Requesters::Anyone) => {
            let subject = requester.subject.name.clone();
            Err(Refused::NotEligible { subject, template: name })
        }
    }
}

fn request(context: &Context<'_>, submit: &Submit, way: Way, duration: Duration) -> Request {
    let template = &submit.template;
    Request {
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
        course: Course { way, ..Course::default() },
        revision: 1,
    }
}

fn submitted(context: &Context<'_>, request: &Request) -> Event {
    Event {
        kind: EventKind::RequestSubmitted,
        resource: Resource::Request(request.id),
        correlation: Some(request.id),
        actor: context.actor.clone(),
        at: context.now,
        reason: None,
        before: None,
        after: Snapshot::of_request(request),
        notify: Vec::new(),
    }
}

fn asked(context: &Context<'_>, request: Request) -> Transition {
    let events = vec![submitted(context, &request)];
    let timers = timers(&request);
    Transition { requests: vec![request], events, timers, ..Transition::default() }
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

/// Asked for and given in one commit: it never waits for anybody.
fn at_once(context: &Context<'_>, before: &Request) -> Result<Transition, Refused> {
    let mut after = before.clone();
    let Given { grants, events, mut timers } = give::give(context, &mut after)?;
    let mut all = vec![submitted(context, before)];
    let because = match &after.course.way {
        Way::Approvers => None,
        Way::Rule { rule } => Some(format!("auto-approve rule: {rule}")),
        Way::Eligibility => Some("standing eligibility".to_owned()),
        Way::BreakGlass { review } => {
            let used = EventKind::BreakglassUsed;
            all.push(decide::event(context, used, before, &after, Some(&after.justification)));
            let (timer, at) = (Timer::ReviewDue(after.id), review.due_at);
            timers.push(TimerChange::Set { timer, at });
            Some("break-glass".to_owned())
        }
    };
    let kind = EventKind::RequestApproved;
    all.push(decide::event(context, kind, before, &after, because.as_deref()));
    all.extend(events);
    Ok(Transition { requests: vec![after], grants, events: all, timers, ..Transition::default() })
}

/// The duration to ask for, when every value is accepted.
fn check_values(submit: &Submit, way: &Way) -> Result<Duration, Refused> {
    let template = &submit.template;
    let mut errors = Vec::new();
    let emergency = match way {
        Way::BreakGlass { .. } => template.rules.break_glass.as_ref(),
        Way::Approvers | Way::Rule { .. } | Way::Eligibility => None,
    };
    let (usual, offered) = match emergency {
        Some(rule) => (rule.duration, std::slice::from_ref(&rule.duration)),
        None => (template.default_duration, template.durations.as_slice()),
    };
    let duration = submit.duration.unwrap_or(usual);
    if !offered.contains(&duration) {
        let allowed: Vec<String> = offered.iter().map(|span| iso8601::duration(*span)).collect();
        let detail = format!(
            "expected one of {}, found {}",
            allowed.join(", "),
            iso8601::duration(duration)
        );
        errors.push(FieldError::new("/duration", "not-offered", detail));
    }
    let required = template.require_justification || emergency.is_some();
    let demands = (required, template.justification.as_ref());
    check_justification(demands, &submit.justification, &mut errors);
    fields::check(&template.fields, &submit.fields, &mut errors);
    if errors.is_empty() { Ok(duration) } else { Err(invalid(errors)) }
}

/// Whether a template requires one, and what it has to look like.
pub(super) fn check_justification(
    (is_required, rule): (bool, Option<&JustificationRule>),
    text: &str,
    errors: &mut Vec<FieldError>,
) {
    const POINTER: &str = "/justification";
    let length = text.chars().count();
    if length > MAX_TEXT {
        let detail = format!("expected at most {MAX_TEXT} characters, found {length}");
        errors.push(FieldError::new(POINTER, "too-long", detail));
    } else if is_required && text.trim().is_empty() {
        let detail = "a justification is required for this template";
        errors.push(FieldError::new(POINTER, "required", detail));
    } else if let Some(rule) = rule
        && (is_required || !text.is_empty())
        && !rule.pattern.is_match(text)
    {
        errors.push(FieldError::new(POINTER, "pattern", rule.message.as_ref()));
    }
}

fn check_room(context: &Context<'_>, template: &Template, way: &Way) -> Result<(), Refused> {
    let state = context.state;
    if matches!(way, Way::BreakGlass { .. }) {
        return refuse_too_many_grants(context, template);
    }
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
