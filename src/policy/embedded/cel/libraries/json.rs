//! `json.encode`: as an output shows the value, written as Go's `encoding/json` writes it.

use super::super::error::EvalError;
use super::super::library::{Context, Overload, global};
use super::super::types::Type;
use super::super::value::Value;
use std::fmt::Write as _;

pub(super) fn overloads() -> Vec<Overload> {
    vec![global("json.encode", [Type::Dyn], Type::String, encode)]
}

fn encode(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [value] = args else { return Err(EvalError::no_such_overload()) };
    let mut text = String::new();
    write(context, value, &mut text)?;
    Ok(Value::from(text))
}

fn write(context: &mut Context<'_>, value: &Value, to: &mut String) -> Result<(), EvalError> {
    context.charge(1)?;
    let before = to.len();
    match value {
        Value::List(values) => {
            to.push('[');
            for (place, value) in values.iter().enumerate() {
                to.push_str(if place == 0 { "" } else { "," });
                write(context, value, to)?;
            }
            to.push(']');
            return context.produce(1 + values.len());
        }
        Value::Map(map) => {
            to.push('{');
            for (place, (key, value)) in map.iter().enumerate() {
                let key = key.as_str().ok_or_else(|| EvalError::new("a key is no string"))?;
                to.push_str(if place == 0 { "" } else { "," });
                context.produce(key.len() + 4)?;
                write_text(key, to);
                to.push(':');
                write(context, value, to)?;
            }
            to.push('}');
            return context.produce(2);
        }
        Value::Optional(Some(inner)) => return write(context, inner, to),
        Value::String(text) => {
            context.produce(text.len())?;
            write_text(text, to);
        }
        Value::Double(value) => write_double(*value, to)?,
        other => {
            let json =
                other.to_json().ok_or_else(|| EvalError::new("the value is none of JSON"))?;
            match json {
                serde_json::Value::String(text) => write_text(&text, to),
                other => to.push_str(&other.to_string()),
            }
        }
    }
    context.produce(to.len().saturating_sub(before))
}

fn write_text(text: &str, to: &mut String) {
    to.push('"');
    for letter in text.chars() {
        match letter {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\u{8}' => to.push_str("\\b"),
            '\u{c}' => to.push_str("\\f"),
            '<' | '>' | '&' | '\u{0}'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                let _ = write!(to, "\\u{:04x}", u32::from(letter));
            }
            other => to.push(other),
        }
    }
    to.push('"');
}

/// The shortest digits, with an exponent below 1e-6 and from 1e21 on.
fn write_double(value: f64, to: &mut String) -> Result<(), EvalError> {
    if !value.is_finite() {
        return Err(EvalError::new("the number is none of JSON"));
    }
    let size = value.abs();
    if value == 0.0 || (1e-6..1e21).contains(&size) {
        to.push_str(&value.to_string());
        return Ok(());
    }
    let digits = format!("{value:e}");
    to.push_str(&if size < 1.0 { digits } else { digits.replace('e', "e+") });
    Ok(())
}
