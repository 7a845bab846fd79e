//! `policy.providers`: where the attributes of resources come from.

pub(super) mod sources;

use std::sync::Arc;

use serde_json::Value;

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::{
    Attributes, CheckConfig, KeyConfig, LookupPart, LookupTemplate, Otherwise, ProviderConfig,
};

use super::{name, word};

const ONE: &str = "a mapping with resource and sources";
/// Sources of one kind are asked one after the other, each with its own time.
const MOST_SOURCES: usize = 4;
const MOST_CHECKS: usize = 32;
const LONGEST_CONDITION: usize = 8 * 1024;

pub fn providers(at: &At<'_>, strict: bool) -> Option<Vec<ProviderConfig>> {
    let found = at.list("a list of providers", |at| provider(at, strict))?;
    for (index, provider) in found.iter().enumerate() {
        if found.iter().take(index).any(|earlier| earlier.resource == provider.resource) {
            let told = format!("the resource {} again", provider.resource);
            return at.refuse_as(told, "one provider for each kind of resource");
        }
    }
    Some(found)
}

fn provider(at: &At<'_>, strict: bool) -> Option<ProviderConfig> {
    let map = at.map(ONE)?;
    let resource = map.need("resource", "the kind of the resource, like document", name);
    let key = map.or("key", plain_key(), key);
    let sources = map.need("sources", "at least one source", |at| {
        let found = at.filled("at least one source", |at| sources::source(at, strict))?;
        let expected = "at most 4 sources";
        if found.len() > MOST_SOURCES { at.refuse_as("more", expected) } else { Some(found) }
    });
    let validate = map.or("validate", Vec::new(), |at| {
        let found = at.list("a list of conditions", check)?;
        let expected = "at most 32 conditions";
        if found.len() > MOST_CHECKS { at.refuse_as("more", expected) } else { Some(found) }
    });
    let default = map.maybe("default", attributes);
    map.finish();
    Some(ProviderConfig {
        resource: resource?,
        key: key?,
        sources: sources?,
        validate: validate?,
        default: default?,
    })
}

fn plain_key() -> KeyConfig {
    let template = LookupTemplate(vec![LookupPart::Id]);
    KeyConfig { template, strip_prefix: None, lower_case: false }
}

/// A template, or a mapping with it.
fn key(at: &At<'_>) -> Option<KeyConfig> {
    if !at.is_map() {
        return Some(KeyConfig { template: template(at, false)?, ..plain_key() });
    }
    let map = at.map("`{ template: \"{id}\", strip_prefix: ..., lower_case: true }`")?;
    let template = map.or("template", plain_key().template, |at| template(at, false));
    let strip_prefix = map.maybe("strip_prefix", word);
    let lower_case = map.or("lower_case", false, At::flag);
    map.finish();
    let (strip_prefix, lower_case) = (strip_prefix?, lower_case?);
    Some(KeyConfig { template: template?, strip_prefix, lower_case })
}

fn check(at: &At<'_>) -> Option<CheckConfig> {
    let map = at.map("`{ require: CONDITION, otherwise: denied }`")?;
    let require = map.need("require", "a condition in CEL over R", condition);
    let otherwise = map.need("otherwise", "not-found or denied", |at| {
        at.one_of(&[("not-found", Otherwise::NotFound), ("denied", Otherwise::Denied)])
    });
    let message = map.maybe("message", word);
    map.finish();
    Some(CheckConfig { require: require?, otherwise: otherwise?, message: message? })
}

fn condition(at: &At<'_>) -> Option<Arc<str>> {
    let expected = "a condition in CEL over R, of at most 8 KiB";
    let text = at.text(expected)?;
    if text.len() > LONGEST_CONDITION { at.refuse(expected) } else { Some(text.into()) }
}

fn attributes(at: &At<'_>) -> Option<Attributes> {
    members(&at.map("a mapping of attributes")?)
}

fn members(map: &Map<'_>) -> Option<Attributes> {
    let read = map.entries(|name, at| Some((name.to_owned(), json(at)?)))?;
    Some(read.into_iter().collect())
}

/// What the file says, as JSON.
fn json(at: &At<'_>) -> Option<Value> {
    if at.is_map() {
        return attributes(at).map(Value::Object);
    }
    if at.is_list() {
        return at.list("a list", json).map(Value::Array);
    }
    at.json_scalar()
}

/// Text with `{id}`, `{kind}`, `{tool}` and, where there is one, `{key}`.
fn template(at: &At<'_>, has_key: bool) -> Option<LookupTemplate> {
    let shape = shape(has_key);
    let text = at.text(shape)?;
    match parts(&text, has_key) {
        Some(parts) => Some(LookupTemplate(parts)),
        None => at.refuse(shape),
    }
}

const fn shape(has_key: bool) -> &'static str {
    if has_key {
        "text with {key}, {id}, {kind} or {tool}, and with {key} or {id} at least"
    } else {
        "text with {id}, {kind} or {tool}, and with {id} at least"
    }
}

fn parts(text: &str, has_key: bool) -> Option<Vec<LookupPart>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}')?;
        literal(before, &mut parts)?;
        parts.push(match name {
            "id" => LookupPart::Id,
            "kind" => LookupPart::Kind,
            "tool" => LookupPart::Tool,
            "key" if has_key => LookupPart::Key,
            _ => return None,
        });
        rest = tail;
    }
    literal(rest, &mut parts)?;
    let names_one = parts.iter().any(|part| matches!(part, LookupPart::Id | LookupPart::Key));
    names_one.then_some(parts)
}

fn literal(text: &str, parts: &mut Vec<LookupPart>) -> Option<()> {
    if text.contains('}') || text.chars().any(char::is_control) {
        return None;
    }
    if !text.is_empty() {
        parts.push(LookupPart::Text(text.into()));
    }
    Some(())
}
