//! Templates that are made over the API.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::access::Access;
use super::super::command::{Meant, Transition};
use super::super::event::{Event, EventKind, Resource, Snapshot};
use super::super::hash::sha256;
use super::super::ids::hex;
use super::super::made::{Content, MOST_TEMPLATES, Made, TemplateChange};
use super::super::refused::Refused;
use super::super::template::Template;
use super::Context;

/// Refusals in order: it is not as the caller saw it; too many names. The same
/// content again changes nothing. Whether the content is good is the catalog's question.
pub(super) fn put(
    context: &Context<'_>,
    template: &Arc<Template>,
    meant: Meant,
) -> Result<Transition, Refused> {
    let name = template.name.clone();
    let before = context.state.templates.get(&name);
    let exists = before.is_some_and(|made| !made.is_deleted());
    let is_as_seen = match meant {
        Meant::New => !exists,
        Meant::Change => exists,
        Meant::Same => before.is_some_and(|made| made.says(template)),
    };
    if !is_as_seen {
        return Err(Refused::TemplateMoved(name));
    }
    if before.is_none() && context.state.templates.len() >= MOST_TEMPLATES {
        return Err(Refused::TooManyTemplates { limit: MOST_TEMPLATES });
    }
    if before.is_some_and(|made| made.says(template)) {
        return Ok(Transition::default());
    }
    let version = next(before);
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
        after: is(before, &change),
        notify: Vec::new(),
    };
    Transition { templates: vec![change], events: vec![event], ..Transition::default() }
}

fn was(made: &Made) -> Snapshot {
    let (status, template) = match &made.content {
        Content::There(template) => (status(template), Some(template)),
        Content::Deleted => ("deleted", None),
        Content::Unreadable(_) => ("unreadable", None),
    };
    let digest = template.map_or_else(String::new, |template| digest(template));
    snapshot(status, made.version, &made.accesses, (digest, Vec::new()))
}

fn is(before: Option<&Made>, change: &TemplateChange) -> Snapshot {
    match &change.template {
        Some(template) => {
            let old = before.and_then(Made::template);
            let parts = (digest(template), differing(old.map(|old| &**old), template));
            snapshot(status(template), change.version, &template.accesses, parts)
        }
        None => snapshot("deleted", change.version, &[], Default::default()),
    }
}

/// Of everything that the template says, its number left out.
fn digest(template: &Template) -> String {
    let template = Template { made: None, ..template.clone() };
    hex(&sha256(&[&serde_json::to_vec(&template).unwrap_or_default()]))
}

/// The names of the parts in which two templates differ; all of them for a new one.
fn differing(old: Option<&Template>, new: &Template) -> Vec<String> {
    let (old, new) = (old.map(parts).unwrap_or_default(), parts(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().filter(|name| old.get(*name) != new.get(*name)).cloned().collect()
}

fn parts(template: &Template) -> BTreeMap<String, serde_json::Value> {
    let template = Template { made: None, ..template.clone() };
    let Ok(serde_json::Value::Object(mut parts)) = serde_json::to_value(&template) else {
        return BTreeMap::new();
    };
    if let Some(serde_json::Value::Object(rules)) = parts.remove("rules") {
        parts.extend(rules);
    }
    parts.into_iter().collect()
}

fn status(template: &Template) -> &'static str {
    if template.enabled { "enabled" } else { "disabled" }
}

fn snapshot(
    status: &str,
    version: u64,
    accesses: &[Access],
    (digest, changed): (String, Vec<String>),
) -> Snapshot {
    let accesses = accesses.iter().map(ToString::to_string).collect();
    Snapshot::Template { status: status.to_owned(), version, accesses, digest, changed }
}
