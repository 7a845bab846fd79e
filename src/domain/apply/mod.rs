//! What a command does to a subject.
//!
//! Each command checks its refusals in a fixed order, which the documentation of its function
//! lists; the first that applies is the answer, and nothing has changed then.

mod able;
mod break_glass;
mod comment;
mod confirm;
mod decide;
mod due;
mod duties;
mod end;
mod escalate;
mod extend;
mod fields;
mod give;
mod review;
mod submit;
mod templates;
#[cfg(test)]
mod tests;
mod warn;

pub use confirm::CONFIRM_AFTER;
pub use decide::MAX_NARROWINGS;
pub use due::due_at;
pub use end::SUPERVISED_FOR;
pub use submit::{MAX_GRANTS, MAX_PENDING};

use super::command::{Command, SubjectState, Transition};
use super::grant::{Grant, GrantStatus};
use super::ids::{GrantId, RequestId, Seed};
use super::markers::{Kill, Markers};
use super::refused::{FieldError, Refused};
use super::request::Request;
use super::subject::Actor;
use super::time::Timestamp;

/// The most characters a justification, reason or comment may have.
pub const MAX_TEXT: usize = 4096;

/// Everything besides the command that its effect depends on.
struct Context<'a> {
    state: &'a SubjectState,
    actor: &'a Actor,
    seed: Seed,
    now: Timestamp,
}

/// What `command`, given by `actor` at `now`, does to the subject of `state`.
///
/// Every fresh identifier is made from `seed`.
///
/// # Errors
/// The first refusal that applies, in the order documented with each command; nothing has changed.
pub fn apply(
    state: &SubjectState,
    command: &Command,
    actor: &Actor,
    seed: Seed,
    now: Timestamp,
) -> Result<Transition, Refused> {
    let context = Context { state, actor, seed, now };
    match command {
        Command::Submit(submit) => submit::submit(&context, submit),
        Command::Approve { request, step, comment, bounds, eligible } => {
            let (step, comment, eligible) = (*step, comment.as_deref(), eligible.as_ref());
            let vote = decide::Vote { step, comment, bounds, eligible };
            decide::approve(&context, *request, &vote)
        }
        Command::Deny { request, step, reason } => decide::deny(&context, *request, *step, reason),
        Command::Cancel { request, reason } => decide::cancel(&context, *request, reason),
        Command::Comment { request, text } => comment::comment(&context, *request, text),
        Command::Revoke { grant, reason, authority } => {
            end::revoke(&context, *grant, reason, *authority)
        }
        Command::Release { grant, reason } => end::release(&context, *grant, reason),
        Command::Extend { grant, by, justification } => {
            extend::extend(&context, *grant, *by, justification)
        }
        Command::Review { request, comment, authority } => {
            review::review(&context, *request, comment, *authority)
        }
        Command::Escalate { request } => escalate::escalate(&context, *request),
        Command::WarnOfEnd { grant } => warn::warn_of_end(&context, *grant),
        Command::RemindOfReview { request } => review::remind(&context, *request),
        Command::PutTemplate { template, meant } => templates::put(&context, template, *meant),
        Command::DeleteTemplate { name } => templates::delete(&context, name),
        Command::RevokeSubject { reason, until } => end::revoke_subject(&context, reason, *until),
        Command::Sweep => Ok(end::sweep(&context)),
        Command::TimeOutRequest { request } => end::time_out(&context, *request),
        Command::ExpireGrant { grant } => end::expire(&context, *grant),
        Command::ConfirmGrant { grant } => confirm::confirm(&context, *grant),
        Command::EndAgain { grant, ended } => end::end_again(&context, *grant, ended),
    }
}

/// The word for where a request stands at `now`, whether or not the timer or the sweep that will
/// record it has run: a kill cancels and a passed deadline expires at once.
#[must_use]
pub fn request_status(request: &Request, markers: &Markers, now: Timestamp) -> &'static str {
    if !request.is_pending() {
        request.status.word()
    } else if kill_that_cancelled(request, markers, now).is_some() {
        "cancelled"
    } else if now >= request.pending_until {
        "expired"
    } else {
        "pending"
    }
}

/// Where a grant stands at `now`; a killed grant is revoked whether or not it was swept.
#[must_use]
pub fn grant_status(grant: &Grant, markers: &Markers, now: Timestamp) -> GrantStatus {
    if kill_that_revoked(grant, markers, now).is_some() {
        return GrantStatus::Revoked;
    }
    grant.status(now)
}

/// The kill that ended a grant which is not marked as ended. One that ran out before the kill was
/// thrown has expired.
#[must_use]
pub fn kill_that_revoked<'m>(
    grant: &Grant,
    markers: &'m Markers,
    now: Timestamp,
) -> Option<&'m Kill> {
    let kill = markers.kill_of_grant(grant).filter(|_| grant.ended.is_none())?;
    (grant.is_open(now) || kill.at < grant.expires_at).then_some(kill)
}

/// The kill that ended a request which is not marked as decided.
#[must_use]
pub fn kill_that_cancelled<'m>(
    request: &Request,
    markers: &'m Markers,
    now: Timestamp,
) -> Option<&'m Kill> {
    let kill = markers.kill_of_request(request).filter(|_| request.is_pending())?;
    (now < request.pending_until || kill.at < request.pending_until).then_some(kill)
}

impl Context<'_> {
    fn request(&self, id: RequestId) -> Result<&Request, Refused> {
        self.state.requests.get(&id).ok_or(Refused::NoSuchRequest)
    }

    /// The request, if it still waits for a decision.
    fn pending(&self, id: RequestId) -> Result<&Request, Refused> {
        let request = self.request(id)?;
        match request_status(request, &self.state.markers, self.now) {
            "pending" => Ok(request),
            status => Err(Refused::AlreadyDecided { status }),
        }
    }

    fn grant(&self, id: GrantId) -> Result<&Grant, Refused> {
        self.state.grants.get(&id).ok_or(Refused::NoSuchGrant)
    }

    /// Until when the subject gets nothing without approvers, if that is not over.
    fn supervised_until(&self) -> Option<Timestamp> {
        self.state.supervised_until.filter(|until| self.now < *until)
    }

    fn refuse_suspended(&self) -> Result<(), Refused> {
        let subject = &self.state.subject;
        if self.state.markers.is_suspended(subject.key()) {
            return Err(Refused::Suspended(subject.name.clone()));
        }
        Ok(())
    }

    /// How many grants occupy the live value: killed ones too, until they are swept.
    fn open_grants(&self) -> usize {
        self.state.grants.values().filter(|grant| grant.is_open(self.now)).count()
    }
}

fn check_text(text: &str, pointer: &str) -> Result<(), Refused> {
    let length = text.chars().count();
    if length <= MAX_TEXT {
        return Ok(());
    }
    let detail = format!("expected at most {MAX_TEXT} characters, found {length}");
    Err(invalid(vec![FieldError::new(pointer, "too-long", detail)]))
}

fn invalid(errors: Vec<FieldError>) -> Refused {
    Refused::Invalid(errors.len(), errors)
}
