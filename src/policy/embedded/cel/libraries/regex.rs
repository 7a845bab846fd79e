//! `regex.extract`, `regex.extractAll`, `regex.replace`.

use super::super::error::EvalError;
use super::super::library::{Context, Overload, global};
use super::super::types::Type::{self, Int, String as Text};
use super::super::value::Value;
use regex::{Captures, Regex};
use std::sync::Arc;

pub(super) fn overloads() -> Vec<Overload> {
    vec![
        global("regex.extract", [Text, Text], Type::optional(Text), extract).with_pattern(1),
        global("regex.extractAll", [Text, Text], Type::list(Text), extract_all).with_pattern(1),
        global("regex.replace", [Text, Text, Text], Text, replace).with_pattern(1),
        global("regex.replace", [Text, Text, Text, Int], Text, replace).with_pattern(1),
    ]
}

/// The pattern, with the work of one search through the text accounted for.
fn pattern(context: &mut Context<'_>, text: &str, pattern: &str) -> Result<Arc<Regex>, EvalError> {
    context.charge(text.len() / 8)?;
    context.regex(pattern)
}

/// The pattern of an extraction: with one group at most.
fn extractor(context: &mut Context<'_>, text: &str, source: &str) -> Result<Arc<Regex>, EvalError> {
    let regex = pattern(context, text, source)?;
    if regex.captures_len() > 2 {
        return Err(EvalError::new("the pattern has more than one group"));
    }
    Ok(regex)
}

/// The group where there is one, otherwise all of the match. An empty group is nothing.
fn extracted<'t>(regex: &Regex, found: &Captures<'t>) -> Option<&'t str> {
    if regex.captures_len() > 1 {
        return found.get(1).map(|group| group.as_str()).filter(|text| !text.is_empty());
    }
    found.get(0).map(|all| all.as_str())
}

fn extract(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::String(text), Value::String(source)] = args else {
        return Err(EvalError::no_such_overload());
    };
    let regex = extractor(context, text, source)?;
    match regex.captures(text).and_then(|found| extracted(&regex, &found)) {
        Some(part) => Ok(Value::some(context.string(part.to_owned())?)),
        None => Ok(Value::none()),
    }
}

fn extract_all(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::String(text), Value::String(source)] = args else {
        return Err(EvalError::no_such_overload());
    };
    let regex = extractor(context, text, source)?;
    let mut parts = Vec::new();
    for found in regex.captures_iter(text) {
        charge_match(context, text)?;
        if let Some(part) = extracted(&regex, &found) {
            context.produce(2 * size_of::<Value>())?;
            parts.push(context.string(part.to_owned())?);
        }
    }
    Ok(Value::list(parts))
}

/// A search that finds something may have looked through all of the rest.
fn charge_match(context: &mut Context<'_>, text: &str) -> Result<(), EvalError> {
    context.charge(2 + text.len() / 64)
}

fn replace(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (text, source, replacement, most) = match args {
        [Value::String(text), Value::String(source), Value::String(by)] => (text, source, by, -1),
        [Value::String(text), Value::String(source), Value::String(by), Value::Int(most)] => {
            (text, source, by, *most)
        }
        _ => return Err(EvalError::no_such_overload()),
    };
    if most == 0 {
        return Ok(Value::String(Arc::clone(text)));
    }
    let regex = pattern(context, text, source)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut result = String::new();
    let mut done = 0;
    for found in regex.captures_iter(text).take(most) {
        charge_match(context, text)?;
        let Some(all) = found.get(0) else { continue };
        let before = text.get(done..all.start()).unwrap_or_default();
        context.produce(before.len())?;
        result.push_str(before);
        expand(context, &found, replacement, &mut result)?;
        done = all.end();
    }
    let rest = text.get(done..).unwrap_or_default();
    context.produce(rest.len())?;
    result.push_str(rest);
    Ok(Value::from(result))
}

/// The replacement of one match: `\1` is a group, `\\` a backslash, no other escape exists.
fn expand(
    context: &mut Context<'_>,
    found: &Captures<'_>,
    replacement: &str,
    result: &mut String,
) -> Result<(), EvalError> {
    context.produce(replacement.len())?;
    let mut letters = replacement.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            result.push(letter);
            continue;
        }
        let digit = match letters.next() {
            Some('\\') => {
                result.push('\\');
                continue;
            }
            Some(letter) => letter.to_digit(10),
            None => None,
        };
        let group = digit.and_then(|digit| usize::try_from(digit).ok());
        let group = group.filter(|group| *group < found.len()).ok_or_else(|| {
            EvalError::new(
                "in the replacement '\\' must be followed by '\\' or the digit of a group",
            )
        })?;
        if let Some(group) = found.get(group) {
            context.produce(group.len())?;
            result.push_str(group.as_str());
        }
    }
    Ok(())
}
