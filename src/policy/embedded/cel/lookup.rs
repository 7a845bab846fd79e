//! Fields and elements.

use super::error::EvalError;
use super::evaluate::{Held, Outcome};
use super::map::is_key;
use super::value::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// What a lookup found, borrowed when what was looked in is.
fn found(operand: Held<'_>, find: impl Fn(&Value) -> Option<&Value>) -> Option<Held<'_>> {
    match operand {
        Cow::Borrowed(operand) => find(operand).map(Cow::Borrowed),
        Cow::Owned(operand) => find(&operand).cloned().map(Cow::Owned),
    }
}

pub(super) fn select<'e>(operand: Held<'e>, name: &Arc<str>) -> Outcome<'e> {
    if let Value::Optional(_) = &*operand {
        return optional_select(&operand, name);
    }
    found(operand, |value| value.field(name)).ok_or_else(|| EvalError::no_such_key(name))
}

/// False, not an error, where there are no fields at all; a list fails.
pub(super) fn has(operand: &Value, name: &str) -> Result<bool, EvalError> {
    match operand {
        Value::List(_) => Err(EvalError::new("a list has no fields")),
        Value::Optional(Some(inner)) => has(inner, name),
        other => Ok(other.field(name).is_some()),
    }
}

pub(super) fn optional_select<'e>(operand: &Value, name: &str) -> Outcome<'e> {
    let value = match operand {
        Value::Optional(None) => None,
        Value::Optional(Some(inner)) if !matches!(&**inner, Value::List(_)) => {
            inner.field(name).cloned()
        }
        Value::Optional(Some(_)) | Value::List(_) => {
            return Err(EvalError::new("a list has no fields"));
        }
        other => other.field(name).cloned(),
    };
    Ok(Cow::Owned(Value::Optional(value.map(Arc::new))))
}

pub(super) fn optional_index<'e>(operand: Held<'e>, key: &Value) -> Outcome<'e> {
    let operand = match operand.into_owned() {
        Value::Optional(None) => return Ok(Cow::Owned(Value::none())),
        Value::Optional(Some(inner)) => (*inner).clone(),
        other => other,
    };
    let value = match &operand {
        Value::Map(_) | Value::List(_) => element(&operand, key)?.cloned(),
        _ if is_key(key) || matches!(key, Value::Double(_)) => None,
        _ => return Err(EvalError::new(format!("a value of type {} is no index", key.type_of()))),
    };
    Ok(Cow::Owned(Value::Optional(value.map(Arc::new))))
}

pub(super) fn index<'e>(operand: Held<'e>, key: &Value) -> Outcome<'e> {
    if let Value::Optional(_) = &*operand {
        return optional_index(operand, key);
    }
    if element(&operand, key)?.is_none() {
        let key = super::text::of(key).unwrap_or_default();
        return Err(match &*operand {
            Value::List(_) => EvalError::new(format!("index out of bounds: {key}")),
            _ => EvalError::no_such_key(&key),
        });
    }
    found(operand, |value| element(value, key).ok().flatten())
        .ok_or_else(EvalError::no_such_overload)
}

/// The element at an index or key.
fn element<'v>(operand: &'v Value, key: &Value) -> Result<Option<&'v Value>, EvalError> {
    match (operand, key) {
        (Value::Map(map), _) if is_key(key) => Ok(map.get(key)),
        (Value::List(values), Value::Int(index)) => {
            Ok(usize::try_from(*index).ok().and_then(|index| values.get(index)))
        }
        (Value::List(values), Value::Uint(index)) => i64::try_from(*index)
            .map(|index| usize::try_from(index).ok().and_then(|index| values.get(index)))
            .map_err(|_| EvalError::new("the index of a list is too big")),
        (Value::List(values), Value::Double(index)) => whole(*index)
            .map(|index| usize::try_from(index).ok().and_then(|index| values.get(index)))
            .ok_or_else(|| EvalError::new("a list's index is a whole number")),
        (Value::List(_), Value::String(_) | Value::Bool(_)) => {
            Err(EvalError::new("a list's index is a whole number"))
        }
        (
            _,
            Value::String(_) | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_),
        ) => Err(EvalError::no_such_overload()),
        (_, other) => {
            Err(EvalError::new(format!("a value of type {} is no index", other.type_of())))
        }
    }
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

fn whole(value: f64) -> Option<i64> {
    // 2^63 is the first double that is no i64; -2^63 is one.
    let fits = value.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(&value);
    #[expect(clippy::cast_possible_truncation, reason = "the range was tested")]
    let whole = fits.then_some(value as i64);
    whole
}
