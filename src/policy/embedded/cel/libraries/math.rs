//! `math.*`: the greatest and least, rounding, signs, bits.

use super::super::compare::{self, Order};
use super::super::error::EvalError;
use super::super::library::{Context, Function, Overload, global};
use super::super::types::Type::{self, Bool, Double, Int, Uint};
use super::super::value::Value;
use std::cmp::Ordering;

pub(super) fn overloads() -> Vec<Overload> {
    let mut all = extremes("math.@max", |_, args| extreme(args, Ordering::Less));
    all.extend(extremes("math.@min", |_, args| extreme(args, Ordering::Greater)));
    all.extend([
        global("math.ceil", [Double], Double, |_, args| rounded(args, f64::ceil)),
        global("math.floor", [Double], Double, |_, args| rounded(args, f64::floor)),
        global("math.round", [Double], Double, |_, args| rounded(args, f64::round)),
        global("math.trunc", [Double], Double, |_, args| rounded(args, f64::trunc)),
        global("math.isInf", [Double], Bool, |_, args| asked(args, f64::is_infinite)),
        global("math.isNaN", [Double], Bool, |_, args| asked(args, f64::is_nan)),
        global("math.isFinite", [Double], Bool, |_, args| asked(args, f64::is_finite)),
    ]);
    for of in [Double, Int, Uint] {
        all.push(global("math.abs", [of.clone()], of.clone(), abs));
        all.push(global("math.sign", [of.clone()], of.clone(), sign));
        all.push(global("math.sqrt", [of], Double, sqrt));
    }
    let pairs: [(&str, Function); 3] = [
        ("math.bitAnd", |_, args| bits(args, |a, b| a & b, |a, b| a & b)),
        ("math.bitOr", |_, args| bits(args, |a, b| a | b, |a, b| a | b)),
        ("math.bitXor", |_, args| bits(args, |a, b| a ^ b, |a, b| a ^ b)),
    ];
    for of in [Int, Uint] {
        for (name, function) in pairs {
            all.push(global(name, [of.clone(), of.clone()], of.clone(), function));
        }
        all.push(global("math.bitNot", [of.clone()], of.clone(), bit_not));
        all.push(global("math.bitShiftLeft", [of.clone(), Int], of.clone(), shift_left));
        all.push(global("math.bitShiftRight", [of.clone(), Int], of, shift_right));
    }
    all
}

/// The signatures: one number, two, or a list.
fn extremes(name: &'static str, function: Function) -> Vec<Overload> {
    let numbers = [Double, Int, Uint];
    let mut all = Vec::new();
    for left in &numbers {
        all.push(global(name, [left.clone()], left.clone(), function));
        all.push(global(name, [Type::list(left.clone())], left.clone(), function));
        all.push(global(name, [left.clone(), left.clone()], left.clone(), function));
    }
    // Last, as in cel-go: the first that fits says what a type parameter stands for.
    for left in &numbers {
        for right in numbers.iter().filter(|right| *right != left) {
            all.push(global(name, [left.clone(), right.clone()], Type::Dyn, function));
        }
    }
    all
}

/// The first of the values that no other one replaces: a value is replaced where it is `replaced`
/// to the other.
fn extreme(args: &[&Value], replaced: Ordering) -> Result<Value, EvalError> {
    match args {
        [Value::List(values)] => best(values.iter(), replaced),
        values => best(values.iter().copied(), replaced),
    }
}

fn best<'v>(
    mut values: impl Iterator<Item = &'v Value>,
    replaced: Ordering,
) -> Result<Value, EvalError> {
    let mut best = values.next().ok_or_else(|| EvalError::new("the list must not be empty"))?;
    if !best.is_number() {
        return Err(EvalError::no_such_overload());
    }
    for value in values {
        match compare::order(best, value) {
            Order::Known(order) if value.is_number() && order == replaced => best = value,
            Order::Known(_) if value.is_number() => {}
            Order::Unordered => return Err(EvalError::new("NaN values cannot be ordered")),
            Order::Known(_) | Order::Incomparable => return Err(EvalError::no_such_overload()),
        }
    }
    Ok(best.clone())
}

fn rounded(args: &[&Value], round: fn(f64) -> f64) -> Result<Value, EvalError> {
    match args {
        [Value::Double(value)] => Ok(Value::Double(round(*value))),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn asked(args: &[&Value], ask: fn(f64) -> bool) -> Result<Value, EvalError> {
    match args {
        [Value::Double(value)] => Ok(Value::Bool(ask(*value))),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn abs(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Double(value)] => Ok(Value::Double(value.abs())),
        [Value::Int(value)] => {
            value.checked_abs().map(Value::Int).ok_or_else(|| EvalError::new("integer overflow"))
        }
        [Value::Uint(value)] => Ok(Value::Uint(*value)),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn sign(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Double(value)] if value.is_nan() => Ok(Value::Double(*value)),
        [Value::Double(value)] => Ok(Value::Double(if *value > 0.0 {
            1.0
        } else if *value < 0.0 {
            -1.0
        } else {
            0.0
        })),
        [Value::Int(value)] => Ok(Value::Int(value.signum())),
        [Value::Uint(value)] => Ok(Value::Uint((*value).min(1))),
        _ => Err(EvalError::no_such_overload()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the root is taken of a double")]
fn sqrt(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let value = match args {
        [Value::Double(value)] => *value,
        [Value::Int(value)] => *value as f64,
        [Value::Uint(value)] => *value as f64,
        _ => return Err(EvalError::no_such_overload()),
    };
    Ok(Value::Double(value.sqrt()))
}

fn bits(
    args: &[&Value],
    ints: fn(i64, i64) -> i64,
    uints: fn(u64, u64) -> u64,
) -> Result<Value, EvalError> {
    match args {
        [Value::Int(left), Value::Int(right)] => Ok(Value::Int(ints(*left, *right))),
        [Value::Uint(left), Value::Uint(right)] => Ok(Value::Uint(uints(*left, *right))),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn bit_not(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Int(value)] => Ok(Value::Int(!value)),
        [Value::Uint(value)] => Ok(Value::Uint(!value)),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn shift_left(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    shifted(args, u64::checked_shl)
}

/// Zeros come in from the left, for negative numbers too.
fn shift_right(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    shifted(args, u64::checked_shr)
}

fn shifted(args: &[&Value], shift: fn(u64, u32) -> Option<u64>) -> Result<Value, EvalError> {
    let [value, Value::Int(places)] = args else { return Err(EvalError::no_such_overload()) };
    if *places < 0 {
        return Err(EvalError::new(format!("negative offset: {places}")));
    }
    let places = u32::try_from(*places).unwrap_or(u32::MAX);
    match value {
        Value::Int(value) => {
            let shifted = shift(value.cast_unsigned(), places).unwrap_or(0);
            Ok(Value::Int(shifted.cast_signed()))
        }
        Value::Uint(value) => Ok(Value::Uint(shift(*value, places).unwrap_or(0))),
        _ => Err(EvalError::no_such_overload()),
    }
}
