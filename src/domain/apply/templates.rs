//! Templates that are made over the API.

use std::sync::Arc;

use super::super::access::Access;
use super::super::command::Transition;
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::made::{Content, MOST_TEMPLATES, Made, TemplateChange};
use super::super::refused::Refused;
use super::super::template::Template;
use super::Context;

/// Refusals in order: it is there or not, other than the caller saw; too many names. The same
/// content again changes nothing. Whether the content is good is the catalog's question.
pub(super) fn put(
    context: &Context<'_>,
    template: &Arc<Template>,
    exists: bool,
) -> Result<Transition, Refused> {
    let name = template.name.clone();
    let before = context.state.templates.get(&name);
    if before.is_some_and(|made| !made.is_deleted()) != exists {
        return Err(Refused::TemplateMoved(name));
    }
    if before.is_none() && context.state.templates.len() >= MOST_TEMPLATES {
        return Err(Refused::TooManyTemplates { limit: MOST_TEMPLATES });
    }
    let (version, there) = (next(before), before.and_then(Made::template));
    if there.is_some_and(|old| Template { made: old.made, ..(**template).clone() } == **old) {
        return Ok(Transition::default());
    }
    let template = Arc::new(Template { made: Some(version), ..(**template).clone() });
    Ok(changed(context, before, TemplateChange { name, version, template: Some(template) }))
}

/// Refusals in order: no such template.
pub(super) fn delete(context: &Context<'_>, name: &Arc<str>) -> Result<Transition, Refused> {
    let before = context.state.templates.get(name).filter(|made| !made.is_deleted());
    if before.is_none() {
        return Err(Refused::NoSuchMadeTemplate(name.clone()));
    }
    let change = TemplateChange { name: name.clone(), version: next(before), template: None };
    Ok(changed(context, before, change))
}

fn next(before: Option<&Made>) -> u64 {
    before.map_or(1, |made| made.version.saturating_add(1))
}

fn changed(context: &Context<'_>, before: Option<&Made>, change: TemplateChange) -> Transition {
    let event = Event {
        kind: EventKind::TemplateChanged,
        resource: Resource::Template(change.name.clone()),
        correlation: None,
        actor: context.actor.clone(),
        at: context.now,
        reason: None,
        before: before.filter(|made| !made.is_deleted()).map(was),
        after: is(&change),
        notify: Vec::new(),
    };
    Transition { templates: vec![change], events: vec![event], ..Transition::default() }
}

fn was(made: &Made) -> Snapshot {
    let status = match &made.content {
        Content::There(template) => status(template),
        Content::Deleted => "deleted",
        Content::Unreadable(_) => "unreadable",
    };
    snapshot(status, made.version, &made.accesses)
}

fn is(change: &TemplateChange) -> Snapshot {
    match &change.template {
        Some(template) => snapshot(status(template), change.version, &template.accesses),
        None => snapshot("deleted", change.version, &[]),
    }
}

fn status(template: &Template) -> &'static str {
    if template.enabled { "enabled" } else { "disabled" }
}

fn snapshot(status: &str, version: u64, accesses: &[Access]) -> Snapshot {
    let accesses = accesses.iter().map(ToString::to_string).collect();
    Snapshot::Template { status: status.to_owned(), version, accesses }
}
