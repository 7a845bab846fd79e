//! `tools[].rules`: which requests are what, first match wins.

use std::sync::Arc;

use http::Method;

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::{AccessMode, Rule};
use crate::domain::access::PathPattern;

use super::{distinct, templates};

pub const SOME: &str = "a list of at least one rule (without any, every request is denied: `{ path: \"/**\", action: read }`)";

pub fn rules(at: &At<'_>) -> Option<Vec<Rule>> {
    let rules = at.filled(SOME, rule)?;
    let catches_all = |rule: &Rule| rule.methods.is_empty() && rule.path.as_str() == "/**";
    if let Some(index) = rules.iter().position(catches_all)
        && index + 1 < rules.len()
    {
        at.warn(&format!("rule {index} matches everything, so no rule after it is ever used"));
    }
    Some(rules)
}

fn rule(at: &At<'_>) -> Option<Rule> {
    let map = at.map("a mapping like { methods: [GET], path: \"/**\", action: read }")?;
    let methods = map.or("methods", Vec::new(), methods);
    let path = map.need("path", "a path pattern like /docs/{doc}/**", pattern);
    let access = map.or("access", AccessMode::Grant, access);
    let action = action(&map, access);
    let resource = map.or("resource", "tool".into(), identifier);
    let id = map.maybe("id", |at| templates::template(at, path.as_ref()));
    let scope = map.maybe("scope", |at| templates::template(at, path.as_ref()));
    let default_effect_allow =
        map.or("default_effect", false, |at| at.one_of(&[("deny", false), ("allow", true)]));
    map.finish();
    Some(Rule {
        methods: methods?,
        path: path?,
        access: access?,
        action: action?,
        resource: resource?,
        id: id?,
        scope: scope?,
        default_effect_allow: default_effect_allow?,
    })
}

/// Methods are compared byte for byte, so `get` would never match anything.
fn methods(at: &At<'_>) -> Option<Vec<Method>> {
    let expected = "a list of at least one method (leave `methods` out for any method)";
    let methods = at.filled(expected, |at| {
        let text = at.text("a method like GET")?;
        let upper = text.to_ascii_uppercase();
        match Method::from_bytes(text.as_bytes()) {
            Ok(_) if upper != text => {
                at.refuse(format!("a method in upper case; did you mean `{upper}`?"))
            }
            Ok(Method::CONNECT) => {
                at.refuse("a method other than CONNECT, which is never forwarded")
            }
            Ok(method) => Some(method),
            Err(_) => at.refuse("a method like GET (a token of RFC 9110)"),
        }
    })?;
    distinct(at, "method", &methods).then_some(methods)
}

fn pattern(at: &At<'_>) -> Option<PathPattern> {
    let text = at.text("a path pattern like /docs/{doc}/**")?;
    match PathPattern::new(&text) {
        Ok(pattern) => Some(pattern),
        Err(wrong) => at.refuse(format!("a path pattern like /docs/{{doc}}/** ({})", wrong.why)),
    }
}

fn access(at: &At<'_>) -> Option<AccessMode> {
    at.one_of(&[
        ("grant", AccessMode::Grant),
        ("policy", AccessMode::Policy),
        ("authenticated", AccessMode::Authenticated),
        ("public", AccessMode::Public),
    ])
}

fn action(map: &Map<'_>, access: Option<AccessMode>) -> Option<Arc<str>> {
    match access {
        Some(AccessMode::Public | AccessMode::Authenticated) | None => {
            map.or("action", "".into(), identifier)
        }
        Some(AccessMode::Policy | AccessMode::Grant) => {
            map.need("action", "the action that the policy is asked about", identifier)
        }
    }
}

/// A name in policies: an action or a resource kind.
fn identifier(at: &At<'_>) -> Option<Arc<str>> {
    let expected = "1 to 128 characters of a-z A-Z 0-9 . _ : / @ -";
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"._:/@-".contains(&b);
    let text = at.text(expected)?;
    let fits = text.len() <= 128 && text.bytes().all(letter);
    if fits { Some(text.into()) } else { at.refuse(expected) }
}
