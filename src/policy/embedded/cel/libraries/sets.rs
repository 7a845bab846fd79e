//! `sets.contains`, `sets.equivalent`, `sets.intersects`: lists read as sets.

use super::super::error::EvalError;
use super::super::library::{Context, Overload, global};
use super::super::types::Type;
use super::super::value::Value;

pub(super) fn overloads() -> Vec<Overload> {
    let lists = || [Type::list(Type::Param(0)), Type::list(Type::Param(0))];
    vec![
        global("sets.contains", lists(), Type::Bool, contains),
        global("sets.equivalent", lists(), Type::Bool, equivalent),
        global("sets.intersects", lists(), Type::Bool, intersects),
    ]
}

fn contains(context: &mut Context<'_>, arguments: &[&Value]) -> Result<Value, EvalError> {
    let (list, sublist) = lists(arguments)?;
    includes(context, list, sublist).map(Value::Bool)
}

fn equivalent(context: &mut Context<'_>, arguments: &[&Value]) -> Result<Value, EvalError> {
    let (left, right) = lists(arguments)?;
    Ok(Value::Bool(includes(context, left, right)? && includes(context, right, left)?))
}

fn intersects(context: &mut Context<'_>, arguments: &[&Value]) -> Result<Value, EvalError> {
    let (left, right) = lists(arguments)?;
    for value in left {
        if holds(context, right, value)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn includes(
    context: &mut Context<'_>,
    list: &[Value],
    sublist: &[Value],
) -> Result<bool, EvalError> {
    for value in sublist {
        if !holds(context, list, value)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(context: &mut Context<'_>, list: &[Value], wanted: &Value) -> Result<bool, EvalError> {
    for value in list {
        if context.equal(wanted, value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn lists<'v>(arguments: &[&'v Value]) -> Result<(&'v [Value], &'v [Value]), EvalError> {
    match arguments {
        [Value::List(left), Value::List(right)] => Ok((left, right)),
        _ => Err(EvalError::no_such_overload()),
    }
}
