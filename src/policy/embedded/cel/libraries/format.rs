//! `'...'.format([...])`.

use super::super::error::EvalError;
use super::super::library::{Context, Overload, member};
use super::super::text;
use super::super::timestamp::Timestamp;
use super::super::types::Type;
use super::super::value::Value;
use std::fmt::Write as _;

const PRECISION: usize = 6;
const MAX_PRECISION: usize = 100;

pub(super) fn overloads() -> Vec<Overload> {
    vec![member("format", [Type::String, Type::list(Type::Dyn)], Type::String, format)]
}

/// The letters of the clauses, in their order.
///
/// # Errors
/// A clause is unknown or not whole.
pub(in super::super) fn clauses(pattern: &str) -> Result<Vec<char>, EvalError> {
    let mut found = Vec::new();
    let mut rest = pattern;
    while let Some((_, clause)) = rest.split_once('%') {
        if let Some(after) = clause.strip_prefix('%') {
            rest = after;
            continue;
        }
        let (_, clause) = precision(clause)?;
        let mut letters = clause.chars();
        match letters.next() {
            Some(letter @ ('s' | 'd' | 'f' | 'e' | 'b' | 'o' | 'x' | 'X')) => found.push(letter),
            Some(_) | None => return Err(EvalError::new("format: no such clause")),
        }
        rest = letters.as_str();
    }
    Ok(found)
}

/// Every value is used: where the PDP can count them at load, it refuses others too.
fn format(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::String(pattern), Value::List(values)] = args else {
        return Err(EvalError::no_such_overload());
    };
    let mut values = values.iter();
    let mut result = String::new();
    let mut rest = &**pattern;
    while let Some((before, clause)) = rest.split_once('%') {
        push(context, &mut result, before)?;
        if let Some(after) = clause.strip_prefix('%') {
            result.push('%');
            rest = after;
            continue;
        }
        let value = values.next().ok_or_else(|| EvalError::new("format: too few values"))?;
        let (precision, clause) = precision(clause)?;
        let mut letters = clause.chars();
        let text = match letters.next() {
            Some('s') => {
                let mut text = String::new();
                write_text(context, value, &mut text)?;
                text
            }
            Some('d') => decimal(value)?,
            Some('f') => fixed(value, precision)?,
            Some('e') => scientific(value, precision)?,
            Some('b') => binary(value)?,
            Some('o') => octal(value)?,
            Some('x') => hex(context, value)?,
            Some('X') => hex(context, value)?.to_ascii_uppercase(),
            Some(_) | None => return Err(EvalError::new("format: no such clause")),
        };
        push(context, &mut result, &text)?;
        rest = letters.as_str();
    }
    push(context, &mut result, rest)?;
    match values.next() {
        None => Ok(Value::from(result)),
        Some(_) => Err(EvalError::new("format: too many values")),
    }
}

fn push(context: &mut Context<'_>, result: &mut String, text: &str) -> Result<(), EvalError> {
    context.produce(text.len())?;
    result.push_str(text);
    Ok(())
}

/// `.3` at the beginning of a clause, and what follows.
fn precision(clause: &str) -> Result<(usize, &str), EvalError> {
    let Some(rest) = clause.strip_prefix('.') else { return Ok((PRECISION, clause)) };
    let end = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
    digits
        .parse()
        .ok()
        .filter(|precision| *precision <= MAX_PRECISION)
        .map(|precision| (precision, rest))
        .ok_or_else(|| EvalError::new("format: no such precision"))
}

fn unfit(clause: &str, value: &Value) -> EvalError {
    EvalError::new(format!("format: {clause} takes no {}", value.type_of()))
}

fn write_text(context: &mut Context<'_>, value: &Value, to: &mut String) -> Result<(), EvalError> {
    context.charge(1)?;
    let before = to.len();
    match value {
        Value::Null => to.push_str("null"),
        Value::Int(_) | Value::Uint(_) | Value::Double(_) => to.push_str(&decimal(value)?),
        Value::Timestamp(at) => {
            let utc = Timestamp::from_unix(at.seconds(), at.nanos());
            to.push_str(&utc.unwrap_or(*at).to_text());
        }
        Value::Bool(_) | Value::Duration(_) => to.push_str(&text::of(value).unwrap_or_default()),
        Value::String(text) => push(context, to, text)?,
        Value::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes);
            push(context, to, text.map_err(|_| EvalError::new("the bytes are no UTF-8"))?)?;
        }
        Value::Type(of) => to.push_str(match &**of {
            Type::List(_) => "list",
            Type::Map(_) => "map",
            Type::Optional(_) => "optional_type",
            other => return push(context, to, &other.to_string()),
        }),
        Value::List(values) => {
            to.push('[');
            for (place, value) in values.iter().enumerate() {
                push(context, to, if place == 0 { "" } else { ", " })?;
                write_text(context, value, to)?;
            }
            to.push(']');
            return Ok(());
        }
        Value::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map.iter() {
                let (mut name, mut text) = (String::new(), String::new());
                write_text(context, key, &mut name)?;
                write_text(context, value, &mut text)?;
                entries.push((name, text));
            }
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            let entries: Vec<_> =
                entries.into_iter().map(|(name, text)| format!("{name}: {text}")).collect();
            let all = format!("{{{}}}", entries.join(", "));
            return push(context, to, &all);
        }
        Value::Optional(_) | Value::Opaque(_) => return Err(unfit("%s", value)),
    }
    context.produce(to.len().saturating_sub(before))
}

/// Without an exponent, however long.
fn decimal(value: &Value) -> Result<String, EvalError> {
    match value {
        Value::Int(value) => Ok(value.to_string()),
        Value::Uint(value) => Ok(value.to_string()),
        Value::Double(value) => Ok(special(*value).unwrap_or_else(|| value.to_string())),
        other => Err(unfit("%d", other)),
    }
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        return Some("NaN".to_owned());
    }
    value.is_infinite().then(|| if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "the PDP writes integers as doubles too")]
fn double(clause: &str, value: &Value) -> Result<f64, EvalError> {
    match value {
        Value::Int(value) => Ok(*value as f64),
        Value::Uint(value) => Ok(*value as f64),
        Value::Double(value) => Ok(*value),
        other => Err(unfit(clause, other)),
    }
}

fn fixed(value: &Value, precision: usize) -> Result<String, EvalError> {
    let value = double("%f", value)?;
    Ok(special(value).unwrap_or_else(|| format!("{value:.precision$}")))
}

/// The exponent has a sign and two digits at least.
fn scientific(value: &Value, precision: usize) -> Result<String, EvalError> {
    let value = double("%e", value)?;
    if let Some(special) = special(value) {
        return Ok(special);
    }
    let text = format!("{value:.precision$e}");
    let Some((digits, exponent)) = text.split_once('e') else { return Ok(text) };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    Ok(format!("{digits}e{sign}{exponent:0>2}"))
}

/// The sign and the size of an integer.
const fn integer(value: &Value) -> Option<(&'static str, u64)> {
    match value {
        Value::Int(value) => Some((if *value < 0 { "-" } else { "" }, value.unsigned_abs())),
        Value::Uint(value) => Some(("", *value)),
        _ => None,
    }
}

fn binary(value: &Value) -> Result<String, EvalError> {
    match (value, integer(value)) {
        (Value::Bool(value), _) => Ok(if *value { "1" } else { "0" }.to_owned()),
        (_, Some((sign, size))) => Ok(format!("{sign}{size:b}")),
        (other, None) => Err(unfit("%b", other)),
    }
}

fn octal(value: &Value) -> Result<String, EvalError> {
    let (sign, size) = integer(value).ok_or_else(|| unfit("%o", value))?;
    Ok(format!("{sign}{size:o}"))
}

fn hex(context: &mut Context<'_>, value: &Value) -> Result<String, EvalError> {
    let bytes = match value {
        Value::String(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
        other => {
            let (sign, size) = integer(other).ok_or_else(|| unfit("%x", other))?;
            return Ok(format!("{sign}{size:x}"));
        }
    };
    context.produce(bytes.len().saturating_mul(2))?;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}
