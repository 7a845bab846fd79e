//! Giving access: what was decided becomes grants, and the clock starts.

use std::sync::Arc;
use std::time::Duration;

use super::super::access::{Access, Narrowing};
use super::super::command::{Timer, TimerChange};
use super::super::course::{Course, Way};
use super::super::event::Event;
use super::super::grant::Grant;
use super::super::ids::GrantId;
use super::super::refused::Refused;
use super::super::request::{Approval, Bounds, Request, RequestStatus};
use super::super::rules::{Extension, Rules, Terms};
use super::super::template::{Approvers, Template};
use super::super::time::Timestamp;
use super::confirm::{self, CONFIRM_AFTER};
use super::{Context, duties, submit, warn};

/// What a request turns into.
pub(super) struct Given {
    pub grants: Vec<Grant>,
    /// Of the grants.
    pub events: Vec<Event>,
    /// Of the grants.
    pub timers: Vec<TimerChange>,
}

/// Approves `request`: every access of its template becomes a grant. One that is still to be
/// confirmed is activated later, by [`confirm::confirm`].
///
/// Refusals in order: an approver's end has passed; separation of duties; too many live grants.
pub(super) fn give(context: &Context<'_>, request: &mut Request) -> Result<Given, Refused> {
    let expires_at = agreed_end(context.now, request);
    if expires_at <= context.now {
        return Err(Refused::EndHasPassed);
    }
    duties::refuse_conflicts(context, &request.template)?;
    submit::refuse_too_many_grants(context, &request.template)?;

    let accesses = (1_u16..).zip(&request.template.accesses);
    let grants: Vec<Grant> = accesses
        .map(|(number, access)| grant(context, request, number, access, expires_at))
        .collect();
    let (at, ids) = (context.now, grants.iter().map(|grant| grant.id).collect());
    request.status = RequestStatus::Approved { at, grants: ids };
    let (mut events, mut timers) = (Vec::new(), Vec::new());
    for grant in &grants {
        timers.push(TimerChange::Set { timer: Timer::ExpireGrant(grant.id), at: expires_at });
        timers.extend(warn::warning(grant, context.now));
        if grant.confirmed {
            events.push(confirm::activated(context, grant));
        } else {
            let (timer, at) = (Timer::ConfirmGrant(grant.id), context.now.plus(CONFIRM_AFTER));
            timers.push(TimerChange::Set { timer, at });
        }
    }
    Ok(Given { grants, events, timers })
}

/// The earliest end that any approver set, at most the asked duration from now; what an eligibility
/// gives ends with it.
fn agreed_end(now: Timestamp, request: &Request) -> Timestamp {
    let asked = now.plus(request.duration);
    let asked = end_of_eligibility(request).map_or(asked, |until| asked.min(until));
    request.approvals.iter().fold(asked, |end, Approval { bounds, .. }| {
        let shorter = bounds.duration_ms.map(|millis| now.plus(Duration::from_millis(millis)));
        end.min(shorter.unwrap_or(end)).min(bounds.expires_at.unwrap_or(end))
    })
}

/// Where nothing but an eligibility that ends let the requester ask, or nobody else decided.
fn end_of_eligibility(request: &Request) -> Option<Timestamp> {
    let eligible = match request.course.way {
        Way::Eligibility => request.template.rules.eligible.as_ref(),
        Way::Approvers | Way::Rule { .. } | Way::BreakGlass { .. } => request.eligibility(),
    };
    eligible.and_then(|eligible| eligible.until)
}

fn grant(
    context: &Context<'_>,
    request: &Request,
    number: u16,
    access: &Access,
    expires_at: Timestamp,
) -> Grant {
    let narrowings: Vec<Narrowing> = request
        .approvals
        .iter()
        .map(|approval| approval.bounds.narrowing.clone())
        .filter(|narrowing| !narrowing.is_empty())
        .collect();
    Grant {
        id: GrantId { partition: request.id.partition, random: context.seed.nth(number) },
        subject: request.subject().clone(),
        access: access.clone(),
        template: request.template.name.clone(),
        request: request.id,
        approvers: request.approvals.iter().map(|a| a.by.subject.name.clone()).collect(),
        approver_groups: revokers(request),
        generation: context.state.markers.generation,
        granted_at: context.now,
        not_before: None,
        expires_at,
        narrowings,
        ended: None,
        confirmed: !context.state.confirms_later,
        terms: terms(request),
        revision: 1,
    }
}

fn terms(request: &Request) -> Terms {
    let Template { rules, require_justification, justification, .. } = &*request.template;
    let Rules { warn_before_end, .. } = rules;
    let extension = extension(request);
    Terms {
        justification: justification.clone().filter(|_| extension.is_some()),
        extension,
        extended: 0,
        require_justification: *require_justification,
        warned_of: None,
        warn_before_end: *warn_before_end,
        conflicts_with: rules.conflicts().cloned().collect(),
    }
}

/// What an approver said about the end stays, and so do the end of a break-glass and that of an
/// eligibility: such a grant is not extended.
fn extension(request: &Request) -> Option<Extension> {
    let is_bound = |bounds: &Bounds| bounds.duration_ms.is_some() || bounds.expires_at.is_some();
    let Course { way, .. } = &request.course;
    match way {
        // A rule, and an eligibility, is asked anew for longer access.
        Way::BreakGlass { .. } | Way::Rule { .. } | Way::Eligibility => None,
        Way::Approvers if request.approvals.iter().any(|it| is_bound(&it.bounds)) => None,
        Way::Approvers if end_of_eligibility(request).is_some() => None,
        Way::Approvers => request.template.rules.extension.clone(),
    }
}

/// Whoever could decide on any step may revoke later, those that it was escalated to included.
fn revokers(request: &Request) -> Option<Vec<Arc<str>>> {
    let mut all = approver_groups(&request.template)?;
    all.extend(request.escalated_to().iter().cloned());
    all.sort();
    all.dedup();
    Some(all)
}

/// Whoever could decide on any step; `None` when one step is open to anybody.
pub(super) fn approver_groups(template: &Template) -> Option<Vec<Arc<str>>> {
    let mut all: Vec<Arc<str>> = Vec::new();
    for step in &template.steps {
        match &step.approvers {
            Approvers::Anyone => return None,
            Approvers::Groups(groups) => all.extend(groups.iter().cloned()),
        }
    }
    all.sort();
    all.dedup();
    Some(all)
}
