//! The signatures of CEL's standard functions and operators.

use super::error::EvalError;
use super::library::{Context, Overload, global, member};
use super::types::Type;
use super::value::Value;
use super::{arithmetic, conversions, dates, optionals};
use cel::common::ast::operators;

pub(super) fn all() -> Vec<Overload> {
    [
        logic(),
        comparisons(),
        containers(),
        strings(),
        arithmetic::overloads(),
        conversions::overloads(),
        dates::overloads(),
        optionals::overloads(),
    ]
    .concat()
}

/// The evaluator has nodes of its own for these: only the signatures count.
fn checked(_: &mut Context<'_>, _: &[&Value]) -> Result<Value, EvalError> {
    Err(EvalError::no_such_overload())
}

fn logic() -> Vec<Overload> {
    let any = || Type::Param(0);
    vec![
        global(operators::LOGICAL_NOT, [Type::Bool], Type::Bool, checked),
        global(operators::CONDITIONAL, [Type::Bool, any(), any()], any(), checked),
        global(operators::EQUALS, [any(), any()], Type::Bool, checked),
        global(operators::NOT_EQUALS, [any(), any()], Type::Bool, checked),
    ]
}

/// Values of one type, and numbers of any two types.
fn comparisons() -> Vec<Overload> {
    let same = [
        Type::Bool,
        Type::Int,
        Type::Uint,
        Type::Double,
        Type::String,
        Type::Bytes,
        Type::Timestamp,
        Type::Duration,
    ];
    let mixed = [
        (Type::Int, Type::Double),
        (Type::Int, Type::Uint),
        (Type::Uint, Type::Double),
        (Type::Uint, Type::Int),
        (Type::Double, Type::Int),
        (Type::Double, Type::Uint),
    ];
    let pairs = same.into_iter().map(|it| (it.clone(), it)).chain(mixed);
    let names =
        [operators::LESS, operators::LESS_EQUALS, operators::GREATER, operators::GREATER_EQUALS];
    pairs
        .flat_map(|(left, right)| {
            names.map(|name| global(name, [left.clone(), right.clone()], Type::Bool, checked))
        })
        .collect()
}

fn containers() -> Vec<Overload> {
    let (a, b) = (|| Type::Param(0), || Type::Param(1));
    let list = || Type::list(a());
    let map = || Type::map(a(), b());
    let optional = Type::optional;
    vec![
        global(operators::IN, [a(), list()], Type::Bool, checked),
        global(operators::IN, [a(), map()], Type::Bool, checked),
        global(operators::INDEX, [list(), Type::Int], a(), checked),
        global(operators::INDEX, [map(), a()], b(), checked),
        global(operators::INDEX, [optional(list()), Type::Int], optional(a()), checked),
        global(operators::INDEX, [optional(map()), a()], optional(b()), checked),
        global(operators::OPT_INDEX, [list(), Type::Int], optional(a()), checked),
        global(operators::OPT_INDEX, [map(), a()], optional(b()), checked),
        global(operators::OPT_INDEX, [optional(list()), Type::Int], optional(a()), checked),
        global(operators::OPT_INDEX, [optional(map()), a()], optional(b()), checked),
    ]
}

fn strings() -> Vec<Overload> {
    let text = || Type::String;
    let mut all: Vec<Overload> = [
        Type::Bytes,
        Type::list(Type::Param(0)),
        Type::map(Type::Param(0), Type::Param(1)),
        text(),
    ]
    .into_iter()
    .flat_map(|of| {
        [global("size", [of.clone()], Type::Int, size), member("size", [of], Type::Int, size)]
    })
    .collect();
    all.extend([
        member("contains", [text(), text()], Type::Bool, contains),
        member("startsWith", [text(), text()], Type::Bool, starts_with),
        member("endsWith", [text(), text()], Type::Bool, ends_with),
        member("matches", [text(), text()], Type::Bool, matches).with_pattern(1),
        global("matches", [text(), text()], Type::Bool, matches).with_pattern(1),
    ]);
    all
}

fn size(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let size = match args {
        [Value::String(text)] => {
            context.charge(text.len() / 64)?;
            text.chars().count()
        }
        [Value::Bytes(bytes)] => bytes.len(),
        [Value::List(values)] => values.len(),
        [Value::Map(map)] => map.len(),
        _ => return Err(EvalError::no_such_overload()),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// Two strings, with the work of reading them accounted for.
fn texts<'v>(
    context: &mut Context<'_>,
    args: &[&'v Value],
) -> Result<(&'v str, &'v str), EvalError> {
    match args {
        [Value::String(left), Value::String(right)] => {
            context.charge((left.len() + right.len()) / 64)?;
            Ok((left, right))
        }
        _ => Err(EvalError::no_such_overload()),
    }
}

fn contains(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (text, part) = texts(context, args)?;
    Ok(Value::Bool(text.contains(part)))
}

fn starts_with(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (text, part) = texts(context, args)?;
    Ok(Value::Bool(text.starts_with(part)))
}

fn ends_with(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (text, part) = texts(context, args)?;
    Ok(Value::Bool(text.ends_with(part)))
}

fn matches(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (text, pattern) = texts(context, args)?;
    context.charge(text.len() / 8)?;
    Ok(Value::Bool(context.regex(pattern)?.is_match(text)))
}
