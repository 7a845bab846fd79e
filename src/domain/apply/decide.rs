//! Approving, denying and cancelling a request.

use super::super::access::Narrowing;
use super::super::command::Transition;
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::ids::RequestId;
use super::super::refused::{FieldError, Refused};
use super::super::request::{Approval, Bounds, Request, RequestStatus};
use super::super::rules::Eligible;
use super::super::subject::Person;
use super::super::template::{Approvers, Step};
use super::super::time::Timestamp;
use super::give::{self, Given};
use super::{Context, check_text, escalate, invalid};

/// The most methods or paths one approver may narrow a grant to.
pub const MAX_NARROWINGS: usize = 16;

pub(super) struct Vote<'a> {
    pub step: Option<u32>,
    pub comment: Option<&'a str>,
    pub bounds: &'a Bounds,
    /// Who may activate the template now.
    pub eligible: Option<&'a Eligible>,
}

/// Refusals in order: no such request; no longer pending; subject suspended; another step than the
/// current one; own request; not among the step's approvers; already counted; the requester is not
/// eligible any more; values not accepted; an earlier approver's end has passed; separation of
/// duties; too many live grants.
pub(super) fn approve(
    context: &Context<'_>,
    id: RequestId,
    vote: &Vote<'_>,
) -> Result<Transition, Refused> {
    let request = context.pending(id)?;
    context.refuse_suspended()?;
    let (step, person) = may_decide(context, request, vote.step)?;
    if request.approvals.iter().any(|approval| approval.by.is_same_person(person)) {
        return Err(Refused::AlreadyApproved);
    }
    refuse_ineligible(context, request, vote.eligible)?;
    check_text(vote.comment.unwrap_or_default(), "/comment")?;
    check_bounds(context.now, request, vote.bounds)?;

    let mut after = request.clone();
    after.revision += 1;
    after.approvals.push(Approval {
        step,
        by: person.clone(),
        at: context.now,
        comment: vote.comment.map(ToOwned::to_owned),
        digest: request.digest(),
        bounds: vote.bounds.clone(),
    });
    if after.current_step().is_some() {
        let event = approved(context, EventKind::RequestStepApproved, request, &after);
        return Ok(Transition { requests: vec![after], events: vec![event], ..Default::default() });
    }
    grant_all(context, request, after)
}

/// An eligibility that let its requester ask has to hold when it is approved: as it was then, and as
/// the template says it now.
fn refuse_ineligible(
    context: &Context<'_>,
    request: &Request,
    eligible: Option<&Eligible>,
) -> Result<(), Refused> {
    let Some(then) = request.eligibility() else { return Ok(()) };
    let holds = |it: &Eligible| it.holds_for(&request.requester, context.now);
    if holds(then) && eligible.is_some_and(holds) {
        return Ok(());
    }
    let (subject, template) = (request.subject().name.clone(), request.template.name.clone());
    Err(Refused::NotEligible { subject, template })
}

/// The last approval: what was asked for is given.
fn grant_all(
    context: &Context<'_>,
    before: &Request,
    mut after: Request,
) -> Result<Transition, Refused> {
    let Given { grants, events, timers } = give::give(context, &mut after)?;
    let approval = approved(context, EventKind::RequestApproved, before, &after);
    Ok(Transition {
        events: std::iter::once(approval).chain(events).collect(),
        timers: escalate::forgotten(before).into_iter().chain(timers).collect(),
        requests: vec![after],
        grants,
        ..Transition::default()
    })
}

/// Refusals in order: no such request; no longer pending; another step than the current one; own
/// request; not among the step's approvers; reason too long. A denial at any step ends the request.
pub(super) fn deny(
    context: &Context<'_>,
    id: RequestId,
    step: Option<u32>,
    reason: &str,
) -> Result<Transition, Refused> {
    let request = context.pending(id)?;
    let (step, person) = may_decide(context, request, step)?;
    check_text(reason, "/reason")?;
    let by = person.clone();
    let status = RequestStatus::Denied { at: context.now, by, step, reason: reason.to_owned() };
    Ok(finish(context, EventKind::RequestDenied, request, status, reason))
}

/// Refusals in order: no such request; neither its requester nor who asked for them; no longer
/// pending; reason too long.
pub(super) fn cancel(
    context: &Context<'_>,
    id: RequestId,
    reason: &str,
) -> Result<Transition, Refused> {
    let request = context.request(id)?;
    let own = context.actor.person().is_some_and(|person| asked_by(request, person));
    if !own {
        return Err(Refused::NotTheRequester);
    }
    context.pending(id)?;
    check_text(reason, "/reason")?;
    let by = context.actor.name().into();
    let status = RequestStatus::Cancelled { at: context.now, by, reason: reason.to_owned() };
    Ok(finish(context, EventKind::RequestCancelled, request, status, reason))
}

/// A request that ends without a grant.
pub(super) fn finish(
    context: &Context<'_>,
    kind: EventKind,
    request: &Request,
    status: RequestStatus,
    reason: &str,
) -> Transition {
    let mut after = request.clone();
    after.status = status;
    after.revision += 1;
    let reason = (!reason.is_empty()).then_some(reason);
    Transition {
        events: vec![event(context, kind, request, &after, reason)],
        timers: escalate::forgotten(&after),
        requests: vec![after],
        ..Transition::default()
    }
}

/// The current step's number and the person, when they may decide it.
fn may_decide<'a>(
    context: &Context<'a>,
    request: &Request,
    asked: Option<u32>,
) -> Result<(u32, &'a Person), Refused> {
    // A pending request always has a step to decide: its last approval ends it.
    let (current, step) = request.current_step().ok_or(Refused::NothingDue)?;
    if let Some(asked) = asked.filter(|asked| *asked != current) {
        return Err(Refused::AnotherStep { asked, current });
    }
    let person = context.actor.person().ok_or_else(|| not_an_approver(request, current, step))?;
    if asked_by(request, person) && !request.template.self_approval {
        return Err(Refused::SelfApproval);
    }
    if !request.may_be_decided_by(step, person) {
        return Err(not_an_approver(request, current, step));
    }
    Ok((current, person))
}

pub(super) fn asked_by(request: &Request, person: &Person) -> bool {
    let asker = request.on_behalf_by.as_ref();
    request.requester.is_same_person(person)
        || asker.is_some_and(|asker| asker.is_same_person(person))
}

fn not_an_approver(request: &Request, step: u32, asked: &Step) -> Refused {
    let groups = match &asked.approvers {
        Approvers::Anyone => "anybody who is signed in".to_owned(),
        Approvers::Groups(groups) => [groups, request.escalated_to()].concat().join(", "),
    };
    Refused::NotAnApprover { step, groups }
}

/// An approver may make the access shorter or narrower, never longer or wider.
fn check_bounds(now: Timestamp, request: &Request, bounds: &Bounds) -> Result<(), Refused> {
    let mut errors = Vec::new();
    let asked = u64::try_from(request.duration.as_millis()).unwrap_or(u64::MAX);
    if bounds.duration_ms.is_some_and(|millis| millis == 0 || millis > asked) {
        let detail = "expected more than zero and at most the asked duration";
        errors.push(FieldError::new("/duration", "out-of-range", detail));
    }
    let latest = now.plus(request.duration);
    if bounds.expires_at.is_some_and(|end| end <= now || end > latest) {
        let detail = "expected a time from now on, within the asked duration";
        errors.push(FieldError::new("/expires_at", "out-of-range", detail));
    }
    let Narrowing { methods, paths } = &bounds.narrowing;
    for (pointer, count) in [("/methods", methods.len()), ("/paths", paths.len())] {
        if count > MAX_NARROWINGS {
            let detail = format!("expected at most {MAX_NARROWINGS}, found {count}");
            errors.push(FieldError::new(pointer, "too-many", detail));
        }
    }
    if !methods.iter().all(|method| is_method(method)) {
        let detail = "expected HTTP methods in upper case, like GET";
        errors.push(FieldError::new("/methods", "invalid", detail));
    }
    if errors.is_empty() { Ok(()) } else { Err(invalid(errors)) }
}

fn is_method(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
}

pub(super) fn event(
    context: &Context<'_>,
    kind: EventKind,
    before: &Request,
    after: &Request,
    reason: Option<&str>,
) -> Event {
    Event {
        kind,
        resource: Resource::Request(after.id),
        correlation: Some(after.id),
        actor: context.actor.clone(),
        at: context.now,
        reason: reason.map(ToOwned::to_owned),
        before: Some(Snapshot::of_request(before)),
        after: Snapshot::of_request(after),
        notify: Vec::new(),
    }
}

/// Of an approval, the newest of `after`: with its comment, and the bounds that it set.
fn approved(context: &Context<'_>, kind: EventKind, before: &Request, after: &Request) -> Event {
    let approval = after.approvals.last();
    let comment = approval.and_then(|approval| approval.comment.as_deref());
    let mut event = event(context, kind, before, after, comment);
    let set = approval.map(|approval| &approval.bounds).filter(|set| **set != Bounds::default());
    if let Snapshot::Request { bounds, .. } = &mut event.after {
        *bounds = set.cloned();
    }
    event
}
