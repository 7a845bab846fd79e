//! `int()`, `uint()`, `double()`, `string()`, `bytes()`, `bool()`, `timestamp()`, `duration()`,
//! `dyn()`, `type()`.

use super::error::EvalError;
use super::library::{Context, Overload, global};
use super::text;
use super::timestamp::Timestamp;
use super::types::Type;
use super::value::Value;
use std::sync::Arc;

pub(super) fn overloads() -> Vec<Overload> {
    use Type::{Bool, Bytes, Double, Duration, Int, String, Timestamp, Uint};
    let any = || Type::Param(0);
    let mut all = vec![
        global("dyn", [any()], Type::Dyn, dynamic),
        global("type", [any()], Type::Type, type_of),
    ];
    for of in [Int, Double, Duration, String, Timestamp, Uint] {
        all.push(global("int", [of], Int, to_int));
    }
    for of in [Uint, Double, Int, String] {
        all.push(global("uint", [of], Uint, to_uint));
    }
    for of in [Double, Int, String, Uint] {
        all.push(global("double", [of], Double, to_double));
    }
    for of in [String, Bool, Bytes, Double, Duration, Int, Timestamp, Uint] {
        all.push(global("string", [of], String, to_string));
    }
    for of in [Bytes, String] {
        all.push(global("bytes", [of], Bytes, to_bytes));
    }
    for of in [Bool, String] {
        all.push(global("bool", [of], Bool, to_bool));
    }
    for of in [Timestamp, Int, String] {
        all.push(global("timestamp", [of], Timestamp, to_timestamp));
    }
    for of in [Duration, String] {
        all.push(global("duration", [of], Duration, to_duration));
    }
    all
}

fn dynamic(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    args.first().map(|value| (*value).clone()).ok_or_else(EvalError::no_such_overload)
}

fn type_of(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let value = args.first().ok_or_else(EvalError::no_such_overload)?;
    Ok(Value::Type(Arc::new(value.type_of())))
}

fn range<T>(result: Option<T>) -> Result<T, EvalError> {
    result.ok_or_else(|| EvalError::new("out of range"))
}

fn malformed(what: &str) -> EvalError {
    EvalError::new(format!("the string is no {what}"))
}

fn to_int(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(Value::Int(match args {
        [Value::Int(value) | Value::Duration(value)] => *value,
        [Value::Uint(value)] => range(i64::try_from(*value).ok())?,
        [Value::Double(value)] => range(double_to_int(*value))?,
        [Value::String(text)] => text.parse().map_err(|_| malformed("int"))?,
        [Value::Timestamp(at)] => at.seconds(),
        _ => return Err(EvalError::no_such_overload()),
    }))
}

/// Cut off towards zero; cel-go refuses the bounds themselves.
#[expect(clippy::cast_precision_loss, reason = "the bounds are powers of two")]
fn double_to_int(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the range was tested")]
    let whole = (value > i64::MIN as f64 && value < i64::MAX as f64).then_some(value as i64);
    whole
}

fn to_uint(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(Value::Uint(match args {
        [Value::Uint(value)] => *value,
        [Value::Int(value)] => range(u64::try_from(*value).ok())?,
        [Value::Double(value)] => range(double_to_uint(*value))?,
        [Value::String(text)] if !text.starts_with('+') => {
            text.parse().map_err(|_| malformed("uint"))?
        }
        [Value::String(_)] => return Err(malformed("uint")),
        _ => return Err(EvalError::no_such_overload()),
    }))
}

#[expect(clippy::cast_precision_loss, reason = "the bound is a power of two")]
fn double_to_uint(value: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was tested"
    )]
    let whole = (value >= 0.0 && value < u64::MAX as f64).then_some(value as u64);
    whole
}

#[expect(clippy::cast_precision_loss, reason = "that is what double() does")]
fn to_double(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(Value::Double(match args {
        [Value::Double(value)] => *value,
        [Value::Int(value)] => *value as f64,
        [Value::Uint(value)] => *value as f64,
        [Value::String(text)] => parse_double(text).ok_or_else(|| malformed("double"))?,
        _ => return Err(EvalError::no_such_overload()),
    }))
}

/// Go's `strconv.ParseFloat`: a number too big is an error. Hexadecimal ones and digits with
/// underscores are refused.
fn parse_double(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let named = ["inf", "infinity", "nan"].iter().any(|name| digits.eq_ignore_ascii_case(name));
    // A sign before NaN is not read by Go.
    if digits.eq_ignore_ascii_case("nan") && digits.len() != text.len() {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    (named || value.is_finite()).then_some(value)
}

fn to_string(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    match args {
        [Value::String(text)] => Ok(Value::String(Arc::clone(text))),
        [Value::Bytes(bytes)] => match std::str::from_utf8(bytes) {
            Ok(text) => context.string(text.to_owned()),
            Err(_) => Err(EvalError::new("the bytes are no UTF-8")),
        },
        [value] => {
            let text = text::of(value).ok_or_else(EvalError::no_such_overload)?;
            context.string(text)
        }
        _ => Err(EvalError::no_such_overload()),
    }
}

fn to_bytes(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(Arc::clone(bytes))),
        [Value::String(text)] => {
            context.produce(text.len())?;
            Ok(Value::Bytes(text.as_bytes().into()))
        }
        _ => Err(EvalError::no_such_overload()),
    }
}

/// The spellings of Go's `strconv.ParseBool`.
fn to_bool(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(Value::Bool(match args {
        [Value::Bool(value)] => *value,
        [Value::String(text)] => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            _ => return Err(malformed("bool")),
        },
        _ => return Err(EvalError::no_such_overload()),
    }))
}

fn to_timestamp(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(Value::Timestamp(match args {
        [Value::Timestamp(at)] => *at,
        [Value::Int(seconds)] => range(Timestamp::from_unix(*seconds, 0))?,
        [Value::String(text)] => Timestamp::parse(text).ok_or_else(|| malformed("timestamp"))?,
        _ => return Err(EvalError::no_such_overload()),
    }))
}

fn to_duration(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(Value::Duration(match args {
        [Value::Duration(nanos)] => *nanos,
        [Value::String(text)] => text::parse_duration(text).ok_or_else(|| malformed("duration"))?,
        _ => return Err(EvalError::no_such_overload()),
    }))
}
