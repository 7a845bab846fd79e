//! The discussion of a request.

use super::super::command::Transition;
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::ids::RequestId;
use super::super::refused::{FieldError, Refused};
use super::super::request::Comment;
use super::{Context, check_text, invalid};

const MAX_COMMENTS: usize = 200;

/// Refusals in order: no such request; empty or too long; too many. Comments are possible after a
/// decision too. Whether the actor may see the request is the caller's question.
pub(super) fn comment(
    context: &Context<'_>,
    id: RequestId,
    text: &str,
) -> Result<Transition, Refused> {
    let before = context.request(id)?;
    if text.trim().is_empty() {
        let detail = "expected a comment of at least one character";
        return Err(invalid(vec![FieldError::new("/text", "required", detail)]));
    }
    check_text(text, "/text")?;
    if before.comments.len() >= MAX_COMMENTS {
        return Err(Refused::TooManyComments { limit: MAX_COMMENTS });
    }
    let mut after = before.clone();
    let by = context.actor.name().into();
    after.comments.push(Comment { by, at: context.now, text: text.to_owned() });
    after.revision += 1;
    let event = Event {
        kind: EventKind::RequestCommented,
        resource: Resource::Request(id),
        correlation: Some(id),
        actor: context.actor.clone(),
        at: context.now,
        reason: Some(text.to_owned()),
        before: Some(Snapshot::of_request(before)),
        after: Snapshot::of_request(&after),
        notify: Vec::new(),
    };
    Ok(Transition { requests: vec![after], events: vec![event], ..Default::default() })
}
