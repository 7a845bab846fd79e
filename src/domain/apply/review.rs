//! The debt of a break-glass: reviewed, or overdue.

use super::super::command::{Authority, Timer, TimerChange, Transition};
use super::super::course::{Review, Reviewed, Way};
use super::super::event::EventKind;
use super::super::ids::RequestId;
use super::super::refused::Refused;
use super::super::request::Request;
use super::super::subject::Person;
use super::{Context, check_text, decide, give};

/// Refusals in order: no such request; no review is owed; one's own, by any identity; an approver
/// who could not have decided on any step; comment too long.
pub(super) fn review(
    context: &Context<'_>,
    id: RequestId,
    comment: &str,
    authority: Authority,
) -> Result<Transition, Refused> {
    let request = context.request(id)?;
    let owed = request.course.owed().ok_or(Refused::NothingToReview)?;
    let person = may_review(context, request, authority)?;
    check_text(comment, "/comment")?;

    let by = person.clone();
    let reviewed = Some(Reviewed { by, at: context.now, comment: comment.to_owned() });
    let after = Review { reviewed, ..owed.clone() };
    let reason = (!comment.is_empty()).then_some(comment);
    let mut done = moved(context, request, after, EventKind::BreakglassReviewed, reason);
    done.timers = vec![TimerChange::Remove { timer: Timer::ReviewDue(id) }];
    Ok(done)
}

/// The timer of a review. Refused when none is owed, it was announced, or it is not due yet.
pub(super) fn remind(context: &Context<'_>, id: RequestId) -> Result<Transition, Refused> {
    let request = context.request(id)?;
    let owed = request.course.owed().filter(|it| !it.overdue && it.due_at <= context.now);
    let after = Review { overdue: true, ..owed.ok_or(Refused::NothingDue)?.clone() };
    let reason = Some("nobody reviewed it in time");
    Ok(moved(context, request, after, EventKind::BreakglassOverdue, reason))
}

fn moved(
    context: &Context<'_>,
    before: &Request,
    review: Review,
    kind: EventKind,
    reason: Option<&str>,
) -> Transition {
    let mut after = before.clone();
    after.course.way = Way::BreakGlass { review };
    after.revision += 1;
    let event = decide::event(context, kind, before, &after, reason);
    Transition { requests: vec![after], events: vec![event], ..Transition::default() }
}

/// Nobody reviews their own emergency, also where a template lets them decide on their requests.
fn may_review<'a>(
    context: &Context<'a>,
    request: &Request,
    authority: Authority,
) -> Result<&'a Person, Refused> {
    let groups = reviewer_groups(request);
    let not_a_reviewer = || {
        let groups = groups.as_ref().map(|groups| groups.join(", "));
        let groups = groups.unwrap_or_else(|| "anybody who is signed in".to_owned());
        Refused::NotAReviewer { groups }
    };
    let person = context.actor.person().ok_or_else(not_a_reviewer)?;
    if decide::asked_by(request, person) {
        return Err(Refused::SelfApproval);
    }
    match (authority, &groups) {
        (Authority::Any, _) | (Authority::Approver, None) => Ok(person),
        (Authority::Approver, Some(groups)) if person.in_any_group(groups) => Ok(person),
        (Authority::Approver, Some(_)) => Err(not_a_reviewer()),
    }
}

/// Whoever could have decided on any step, also after an escalation; `None`: anybody.
fn reviewer_groups(request: &Request) -> Option<Vec<std::sync::Arc<str>>> {
    let mut groups = give::approver_groups(&request.template)?;
    let escalation = request.template.rules.escalation.as_ref();
    groups.extend(escalation.into_iter().flat_map(|it| it.groups.iter().cloned()));
    groups.sort();
    groups.dedup();
    Some(groups)
}
