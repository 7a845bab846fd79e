//! `now()` and `timeSince(t)`: the time of the request.

use super::super::error::EvalError;
use super::super::library::{Context, Overload, global, member};
use super::super::types::Type;
use super::super::value::Value;

pub(super) fn overloads() -> Vec<Overload> {
    vec![
        global("now", [], Type::Timestamp, now).impure(),
        global("timeSince", [Type::Timestamp], Type::Duration, time_since).impure(),
        member("timeSince", [Type::Timestamp], Type::Duration, time_since).impure(),
    ]
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every function")]
fn now(context: &mut Context<'_>, _: &[&Value]) -> Result<Value, EvalError> {
    Ok(Value::Timestamp(context.now()))
}

/// As in Go, more than some 292 years are 292 years.
fn time_since(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::Timestamp(at)] = args else { return Err(EvalError::no_such_overload()) };
    let now = context.now();
    let limit = if now.order(*at).is_lt() { i64::MIN } else { i64::MAX };
    Ok(Value::Duration(now.since(*at).unwrap_or(limit)))
}
