//! `optional.of` and what optional values answer to; `or`, `orValue` and the macros are nodes.

use super::error::EvalError;
use super::library::{Context, Overload, global, member};
use super::types::Type;
use super::value::Value;
use std::sync::Arc;

pub(super) fn overloads() -> Vec<Overload> {
    let any = || Type::Param(0);
    let optional = || Type::optional(any());
    let list = || Type::list(any());
    vec![
        global("optional.of", [any()], optional(), of),
        global("optional.ofNonZeroValue", [any()], optional(), of_non_zero),
        global("optional.none", [], optional(), none),
        global("optional.unwrap", [Type::list(optional())], list(), unwrap),
        member("unwrapOpt", [Type::list(optional())], list(), unwrap),
        member("value", [optional()], any(), value),
        member("hasValue", [optional()], Type::Bool, has_value),
        member("or", [optional(), optional()], optional(), in_node),
        member("orValue", [optional(), any()], any(), in_node),
        member("first", [list()], optional(), first),
        member("last", [list()], optional(), last),
    ]
}

/// The evaluator has a node for it.
fn in_node(_: &mut Context<'_>, _: &[&Value]) -> Result<Value, EvalError> {
    Err(EvalError::no_such_overload())
}

fn only<'v>(args: &[&'v Value]) -> Result<&'v Value, EvalError> {
    match args {
        [only] => Ok(only),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn of(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(Value::some(only(args)?.clone()))
}

fn of_non_zero(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let value = only(args)?;
    Ok(if value.is_zero() { Value::none() } else { Value::some(value.clone()) })
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every function")]
fn none(_: &mut Context<'_>, _: &[&Value]) -> Result<Value, EvalError> {
    Ok(Value::none())
}

fn unwrap(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let values = only(args)?.as_list().ok_or_else(EvalError::no_such_overload)?;
    context.charge(values.len())?;
    let mut unwrapped = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Value::Optional(Some(inner)) => unwrapped.push((**inner).clone()),
            Value::Optional(None) => {}
            _ => return Err(EvalError::no_such_overload()),
        }
    }
    context.list(unwrapped)
}

fn value(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    match only(args)? {
        Value::Optional(Some(inner)) => Ok((**inner).clone()),
        Value::Optional(None) => Err(EvalError::new("optional.none() dereference")),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn has_value(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    match only(args)? {
        Value::Optional(inner) => Ok(Value::Bool(inner.is_some())),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn first(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let values = only(args)?.as_list().ok_or_else(EvalError::no_such_overload)?;
    Ok(Value::Optional(values.first().cloned().map(Arc::new)))
}

fn last(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let values = only(args)?.as_list().ok_or_else(EvalError::no_such_overload)?;
    Ok(Value::Optional(values.last().cloned().map(Arc::new)))
}
