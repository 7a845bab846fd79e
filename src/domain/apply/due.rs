//! When a timer is really due: one that had nothing to do moves there, or goes.

use std::time::Duration;

use super::super::command::{SubjectState, Timer};
use super::super::grant::GrantStatus;
use super::super::time::Timestamp;
use super::{CONFIRM_AFTER, grant_status, request_status};

/// A warning that could not be given yet, as its grant is not confirmed.
const WARN_AGAIN: Duration = Duration::from_secs(5);

/// `None`: never again.
#[must_use]
pub fn due_at(state: &SubjectState, timer: Timer, now: Timestamp) -> Option<Timestamp> {
    let pending = |id| state.requests.get(&id).filter(|request| request.is_pending());
    let open = |id| state.grants.get(&id).filter(|grant| grant.ended.is_none());
    match timer {
        Timer::TimeOutRequest(id) => pending(id).map(|request| request.pending_until),
        Timer::ExpireGrant(id) => open(id).map(|grant| grant.expires_at),
        Timer::ConfirmGrant(id) => {
            let grant = state.grants.get(&id);
            let status = grant.map(|grant| grant_status(grant, &state.markers, now));
            (status == Some(GrantStatus::Unconfirmed)).then(|| now.plus(CONFIRM_AFTER))
        }
        Timer::Escalate(id) => {
            let request = pending(id).filter(|request| request.course.escalated_at.is_none())?;
            let escalation = request.template.rules.escalation.as_ref()?;
            // One that was killed or has timed out is escalated no more, although it is not
            // recorded yet.
            let waits = request_status(request, &state.markers, now) == "pending";
            waits.then(|| request.created_at.plus(escalation.after))
        }
        Timer::WarnOfEnd(id) => {
            let grant = open(id)?;
            let at = grant.expires_at.minus(grant.terms.warn_before_end?);
            // Once it was told, only an extension sets it again.
            let is_told = grant.terms.warned_of == Some(grant.expires_at);
            let is_over = match grant_status(grant, &state.markers, now) {
                GrantStatus::Active | GrantStatus::Scheduled | GrantStatus::Unconfirmed => false,
                GrantStatus::Expired | GrantStatus::Revoked | GrantStatus::Released => true,
            };
            let next = if now < at { at } else { now.plus(WARN_AGAIN) };
            (!is_told && !is_over).then_some(next)
        }
        Timer::ReviewDue(id) => {
            let review = state.requests.get(&id)?.course.owed()?;
            (!review.overdue).then_some(review.due_at)
        }
    }
}
