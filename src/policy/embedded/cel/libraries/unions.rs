//! Cerbos' functions of two lists: `except`, `intersect`, `hasIntersection`, `isSubset`, and `id`.

use super::super::error::EvalError;
use super::super::library::{Context, Function, Overload, global, member};
use super::super::types::Type;
use super::super::value::Value;

pub(super) fn overloads() -> Vec<Overload> {
    let any = || Type::list(Type::Param(0));
    let functions: [(&str, Type, Function); 6] = [
        ("except", any(), except),
        ("intersect", any(), intersect),
        ("hasIntersection", Type::Bool, has_intersection),
        ("has_intersection", Type::Bool, has_intersection),
        ("isSubset", Type::Bool, is_subset),
        ("is_subset", Type::Bool, is_subset),
    ];
    let mut all = vec![global("id", [Type::Dyn], Type::Dyn, |_, args| {
        args.first().map(|value| (*value).clone()).ok_or_else(EvalError::no_such_overload)
    })];
    for (name, result, function) in functions {
        all.push(global(name, [any(), any()], result.clone(), function));
        all.push(member(name, [any(), any()], result, function));
    }
    all
}

fn lists<'v>(args: &[&'v Value]) -> Result<(&'v [Value], &'v [Value]), EvalError> {
    match args {
        [Value::List(left), Value::List(right)] => Ok((left, right)),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn holds(context: &mut Context<'_>, list: &[Value], wanted: &Value) -> Result<bool, EvalError> {
    for value in list {
        if context.equal(wanted, value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The values of one list that the other one has, or has not.
fn kept(
    context: &mut Context<'_>,
    from: &[Value],
    other: &[Value],
    is_there: bool,
) -> Result<Value, EvalError> {
    context.charge(from.len())?;
    let mut values = Vec::new();
    for value in from {
        if holds(context, other, value)? == is_there {
            values.push(value.clone());
        }
    }
    context.list(values)
}

fn except(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (left, right) = lists(args)?;
    kept(context, left, right, false)
}

/// In the order of the shorter list, with its duplicates.
fn intersect(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (left, right) = lists(args)?;
    if left.len() > right.len() {
        return kept(context, right, left, true);
    }
    kept(context, left, right, true)
}

fn has_intersection(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (left, right) = lists(args)?;
    for value in left {
        context.charge(1)?;
        if holds(context, right, value)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn is_subset(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (sublist, list) = lists(args)?;
    for value in sublist {
        context.charge(1)?;
        if !holds(context, list, value)? {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}
