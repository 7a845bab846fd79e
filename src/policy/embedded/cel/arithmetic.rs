//! `+ - * / %` and the sign: an overflow is an error.

use super::error::EvalError;
use super::library::{Context, Overload, global};
use super::types::Type;
use super::value::Value;
use cel::common::ast::operators;

pub(super) fn overloads() -> Vec<Overload> {
    use Type::{Double, Duration, Int, Timestamp, Uint};
    let same = |name, of: Type, run| global(name, [of.clone(), of.clone()], of, run);
    let list = || Type::list(Type::Param(0));
    let mut all = Vec::new();
    // In cel-go's order: the first that fits says what a type parameter stands for.
    for of in [Type::Bytes, Double, Duration, Int, list(), Type::String, Uint] {
        all.push(same(operators::ADD, of, add));
    }
    for of in [Double, Duration, Int, Uint] {
        all.push(same(operators::SUBSTRACT, of, subtract));
    }
    for of in [Double, Int, Uint] {
        all.push(same(operators::MULTIPLY, of.clone(), multiply));
        all.push(same(operators::DIVIDE, of, divide));
    }
    for of in [Int, Uint] {
        all.push(same(operators::MODULO, of, modulo));
    }
    for of in [Double, Int] {
        all.push(global(operators::NEGATE, [of.clone()], of, negate));
    }
    all.extend([
        global(operators::ADD, [Duration, Timestamp], Timestamp, add),
        global(operators::ADD, [Timestamp, Duration], Timestamp, add),
        global(operators::SUBSTRACT, [Timestamp, Timestamp], Duration, subtract),
        global(operators::SUBSTRACT, [Timestamp, Duration], Timestamp, subtract),
    ]);
    all
}

fn overflow<T>(result: Option<T>) -> Result<T, EvalError> {
    result.ok_or_else(|| EvalError::new("overflow"))
}

fn add(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(match args {
        [Value::Int(a), Value::Int(b)] => Value::Int(overflow(a.checked_add(*b))?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(overflow(a.checked_add(*b))?),
        [Value::Double(a), Value::Double(b)] => Value::Double(a + b),
        [Value::Duration(a), Value::Duration(b)] => Value::Duration(overflow(a.checked_add(*b))?),
        [Value::Timestamp(at), Value::Duration(by)]
        | [Value::Duration(by), Value::Timestamp(at)] => {
            Value::Timestamp(overflow(at.checked_add(*by))?)
        }
        [Value::String(a), Value::String(b)] => {
            context.produce(a.len() + b.len())?;
            Value::from([&**a, &**b].concat())
        }
        [Value::Bytes(a), Value::Bytes(b)] => {
            context.produce(a.len() + b.len())?;
            Value::Bytes([&**a, &**b].concat().into())
        }
        [Value::List(a), Value::List(b)] => {
            context.produce((a.len() + b.len()).saturating_mul(size_of::<Value>()))?;
            Value::list(a.iter().chain(b.iter()).cloned().collect::<Vec<_>>())
        }
        _ => return Err(EvalError::no_such_overload()),
    })
}

fn subtract(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(match args {
        [Value::Int(a), Value::Int(b)] => Value::Int(overflow(a.checked_sub(*b))?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(overflow(a.checked_sub(*b))?),
        [Value::Double(a), Value::Double(b)] => Value::Double(a - b),
        [Value::Duration(a), Value::Duration(b)] => Value::Duration(overflow(a.checked_sub(*b))?),
        [Value::Timestamp(a), Value::Timestamp(b)] => Value::Duration(overflow(a.since(*b))?),
        [Value::Timestamp(at), Value::Duration(by)] => {
            // The PDP adds the opposite, and the longest negative duration has none.
            overflow(by.checked_neg())?;
            Value::Timestamp(overflow(at.checked_sub(*by))?)
        }
        _ => return Err(EvalError::no_such_overload()),
    })
}

fn multiply(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(match args {
        [Value::Int(a), Value::Int(b)] => Value::Int(overflow(a.checked_mul(*b))?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(overflow(a.checked_mul(*b))?),
        [Value::Double(a), Value::Double(b)] => Value::Double(a * b),
        _ => return Err(EvalError::no_such_overload()),
    })
}

fn divide(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            return Err(EvalError::new("division by zero"));
        }
        [Value::Int(a), Value::Int(b)] => Value::Int(overflow(a.checked_div(*b))?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(overflow(a.checked_div(*b))?),
        [Value::Double(a), Value::Double(b)] => Value::Double(a / b),
        _ => return Err(EvalError::no_such_overload()),
    })
}

fn modulo(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            return Err(EvalError::new("modulus by zero"));
        }
        [Value::Int(a), Value::Int(b)] => Value::Int(overflow(a.checked_rem(*b))?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(overflow(a.checked_rem(*b))?),
        _ => return Err(EvalError::no_such_overload()),
    })
}

fn negate(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(match args {
        [Value::Int(a)] => Value::Int(overflow(a.checked_neg())?),
        [Value::Double(a)] => Value::Double(-a),
        [Value::Duration(a)] => Value::Duration(overflow(a.checked_neg())?),
        _ => return Err(EvalError::no_such_overload()),
    })
}
