//! Functions of lists: parts, order, duplicates.

use super::super::compare::{self, Order};
use super::super::error::EvalError;
use super::super::library::{Context, Overload, global, member};
use super::super::types::Type;
use super::super::value::Value;
use std::cmp::Ordering;
use std::mem::discriminant;

/// Up to here Go sorts by insertion, which keeps the order of equal keys.
const KEPT_IN_ORDER: usize = 12;

pub(super) fn overloads() -> Vec<Overload> {
    let any = || Type::list(Type::Param(0));
    let mut all = vec![
        member("slice", [any(), Type::Int, Type::Int], any(), slice),
        member("flatten", [Type::list(any())], any(), flatten),
        member("flatten", [Type::list(Type::Dyn), Type::Int], Type::list(Type::Dyn), flatten),
        member("reverse", [any()], any(), reverse),
        member("distinct", [any()], any(), distinct),
        global("lists.range", [Type::Int], Type::list(Type::Int), range),
    ];
    for of in [
        Type::Int,
        Type::Uint,
        Type::Double,
        Type::Bool,
        Type::Duration,
        Type::Timestamp,
        Type::String,
        Type::Bytes,
    ] {
        let keys = Type::list(of);
        all.push(member("sort", [keys.clone()], keys.clone(), sort));
        all.push(member("@sortByAssociatedKeys", [any(), keys], any(), sort_by_keys));
    }
    all
}

fn slice(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::List(values), Value::Int(start), Value::Int(end)] = args else {
        return Err(EvalError::no_such_overload());
    };
    let part = match (usize::try_from(*start), usize::try_from(*end)) {
        (Ok(start), Ok(end)) => values.get(start..end),
        _ => None,
    };
    let part = part.ok_or_else(|| EvalError::new(format!("cannot slice({start}, {end})")))?;
    context.charge(part.len())?;
    context.list(part.to_vec())
}

fn flatten(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (values, depth) = match args {
        [Value::List(values)] => (values, 1),
        [Value::List(values), Value::Int(depth)] => (values, *depth),
        _ => return Err(EvalError::no_such_overload()),
    };
    let depth = u64::try_from(depth).map_err(|_| EvalError::new("level must be non-negative"))?;
    let mut flat = Vec::new();
    spread(context, values, depth, &mut flat)?;
    context.list(flat)
}

fn spread(
    context: &mut Context<'_>,
    values: &[Value],
    depth: u64,
    flat: &mut Vec<Value>,
) -> Result<(), EvalError> {
    context.charge(values.len())?;
    for value in values {
        match (value, depth.checked_sub(1)) {
            (Value::List(inner), Some(depth)) => spread(context, inner, depth, flat)?,
            _ => flat.push(value.clone()),
        }
    }
    Ok(())
}

fn reverse(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::List(values)] = args else { return Err(EvalError::no_such_overload()) };
    context.charge(values.len())?;
    context.list(values.iter().rev().cloned().collect())
}

fn distinct(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::List(values)] = args else { return Err(EvalError::no_such_overload()) };
    let mut kept: Vec<Value> = Vec::new();
    for value in values.iter() {
        let mut is_known = false;
        for known in &kept {
            is_known = context.equal(value, known)?;
            if is_known {
                break;
            }
        }
        if !is_known {
            kept.push(value.clone());
        }
    }
    context.list(kept)
}

fn range(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::Int(end)] = args else { return Err(EvalError::no_such_overload()) };
    let length = usize::try_from(*end)
        .map_err(|_| EvalError::new("the length of a range must not be negative"))?;
    context.charge(length)?;
    context.produce(length.saturating_mul(size_of::<Value>()))?;
    Ok(Value::list((0..*end).map(Value::Int).collect::<Vec<_>>()))
}

fn sort(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::List(values)] = args else { return Err(EvalError::no_such_overload()) };
    sorted(context, values, values)
}

fn sort_by_keys(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::List(values), Value::List(keys)] = args else {
        return Err(EvalError::no_such_overload());
    };
    sorted(context, values, keys)
}

/// The values in the order of their keys, which are all of one type.
fn sorted(context: &mut Context<'_>, values: &[Value], keys: &[Value]) -> Result<Value, EvalError> {
    if values.len() != keys.len() {
        return Err(EvalError::new("sorting needs a key for each element"));
    }
    let Some(first) = keys.first() else { return context.list(Vec::new()) };
    if compare::order(first, first) == Order::Incomparable {
        return Err(EvalError::new("list elements must be comparable"));
    }
    if keys.iter().any(|key| discriminant(key) != discriminant(first)) {
        return Err(EvalError::new("list elements must have the same type"));
    }
    let length = values.len();
    context.charge(length.saturating_mul(1 + length.ilog2() as usize))?;
    context.charge(keys.iter().map(weight).sum())?;
    let mut pairs: Vec<(&Value, &Value)> = keys.iter().zip(values).collect();
    if length <= KEPT_IN_ORDER {
        insertion_sort(&mut pairs);
    } else {
        stable_sort(context, &mut pairs)?;
    }
    context.list(pairs.into_iter().map(|(_, value)| value.clone()).collect())
}

/// The work of comparing a key some times.
fn weight(key: &Value) -> usize {
    match key {
        Value::String(text) => text.len() / 8,
        Value::Bytes(bytes) => bytes.len() / 8,
        _ => 0,
    }
}

/// As Go does it, which is visible where a NaN is below nothing and above nothing.
fn insertion_sort(pairs: &mut [(&Value, &Value)]) {
    for end in 1..pairs.len() {
        for place in (1..=end).rev() {
            let (Some(before), Some(here)) = (pairs.get(place - 1), pairs.get(place)) else {
                return;
            };
            if compare::order(here.0, before.0) != Order::Known(Ordering::Less) {
                break;
            }
            pairs.swap(place - 1, place);
        }
    }
}

/// # Errors
/// The order of equal keys, or of NaN, would depend on how the PDP happens to sort.
fn stable_sort(context: &mut Context<'_>, pairs: &mut [(&Value, &Value)]) -> Result<(), EvalError> {
    let unclear = || EvalError::new("the order of a long list with equal keys is not defined");
    if pairs.iter().any(|(key, _)| compare::order(key, key) == Order::Unordered) {
        return Err(unclear());
    }
    pairs.sort_by(|left, right| match compare::order(left.0, right.0) {
        Order::Known(order) => order,
        Order::Unordered | Order::Incomparable => Ordering::Equal,
    });
    for neighbours in pairs.windows(2) {
        let [left, right] = neighbours else { continue };
        let is_equal = compare::order(left.0, right.0) == Order::Known(Ordering::Equal);
        if is_equal && !context.equal(left.1, right.1)? {
            return Err(unclear());
        }
    }
    Ok(())
}
