//! `id` and `scope` of a rule: text with `{path.x}`, `{query.x}`, `{header.x}`, `{method}`.

use crate::config::reader::At;
use crate::config::{ValuePart, ValueTemplate};
use crate::domain::access::PathPattern;

const SHAPE: &str = "text with {path.NAME}, {query.NAME}, {header.NAME} or {method}";

/// `path` is the rule's pattern, when it could be read.
pub fn template(at: &At<'_>, path: Option<&PathPattern>) -> Option<ValueTemplate> {
    let text = at.text(SHAPE)?;
    let mut parts = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((inner, tail)) = after.split_once('}') else {
            return at.refuse(format!("{SHAPE} (a brace is not closed)"));
        };
        literal(at, before, &mut parts)?;
        parts.push(reference(at, inner, path)?);
        rest = tail;
    }
    literal(at, rest, &mut parts)?;
    Some(ValueTemplate(parts))
}

fn literal(at: &At<'_>, text: &str, parts: &mut Vec<ValuePart>) -> Option<()> {
    if text.contains('}') || text.chars().any(char::is_control) {
        return at.refuse(format!("{SHAPE} (a brace or a control character stands alone)"));
    }
    if !text.is_empty() {
        parts.push(ValuePart::Text(text.into()));
    }
    Some(())
}

fn reference(at: &At<'_>, inner: &str, path: Option<&PathPattern>) -> Option<ValuePart> {
    match inner.split_once('.') {
        None if inner == "method" => Some(ValuePart::Method),
        Some(("path", name)) => match path {
            Some(path) if path.captures().all(|capture| capture != name) => {
                at.refuse("a name that the rule's path captures")
            }
            Some(_) | None => Some(ValuePart::Path(name.into())),
        },
        Some(("query", name)) if !name.is_empty() => Some(ValuePart::Query(name.into())),
        Some(("header", name)) => match name.parse() {
            Ok(name) => Some(ValuePart::Header(name)),
            Err(_) => at.refuse(format!("{SHAPE} (no header has such a name)")),
        },
        Some(_) | None => at.refuse(SHAPE),
    }
}
