//! Equality and order as in cel-go: numbers compare across their types, other types are unequal.

use super::error::EvalError;
use super::value::Value;
use std::cmp::Ordering;

/// cel-go's runtime `==`; NaN equals nothing. Adds the work done to `steps`.
///
/// # Errors
/// A library value is compared with one of another type. Inside of lists the PDP passes over it.
pub fn equal(left: &Value, right: &Value, steps: &mut u64) -> Result<bool, EvalError> {
    let mut is_error = false;
    let equal = counting(left, right, steps, &mut is_error);
    if is_error { Err(EvalError::no_such_overload()) } else { Ok(equal) }
}

fn counting(left: &Value, right: &Value, steps: &mut u64, is_error: &mut bool) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            *steps += work(left.len().min(right.len()));
            left == right
        }
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Bytes(left), Value::Bytes(right)) => {
            *steps += work(left.len().min(right.len()));
            left == right
        }
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|(left, right)| {
                    *steps += 1;
                    counting(left, right, steps, is_error)
                })
        }
        (Value::Map(left), Value::Map(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| {
                    *steps += 1;
                    right.get(key).is_some_and(|right| counting(left, right, steps, is_error))
                })
        }
        (Value::Duration(left), Value::Duration(right)) => left == right,
        (Value::Timestamp(left), Value::Timestamp(right)) => left.order(*right).is_eq(),
        (Value::Type(left), Value::Type(right)) => left.same_kind(right),
        (Value::Optional(left), Value::Optional(right)) => match (left, right) {
            (Some(left), Some(right)) => {
                *steps += 1;
                counting(left, right, steps, is_error)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        },
        (Value::Opaque(left), right) => left.equals(right).unwrap_or_else(|| {
            *is_error = true;
            false
        }),
        _ => numbers(left, right) == Some(Ordering::Equal),
    }
}

const fn work(bytes: usize) -> u64 {
    (bytes / 64) as u64
}

/// What the values of `<` are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Known(Ordering),
    /// A NaN: every comparison is false.
    Unordered,
    /// No overload of `<` takes them.
    Incomparable,
}

/// cel-go's `<` and its siblings, with numbers across their types.
#[must_use]
pub fn order(left: &Value, right: &Value) -> Order {
    Order::Known(match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Bytes(left), Value::Bytes(right)) => left.cmp(right),
        (Value::Duration(left), Value::Duration(right)) => left.cmp(right),
        (Value::Timestamp(left), Value::Timestamp(right)) => left.order(*right),
        _ if left.is_number() && right.is_number() => {
            return numbers(left, right).map_or(Order::Unordered, Order::Known);
        }
        _ => return Order::Incomparable,
    })
}

/// Two numbers of any type, without rounding; `None` for a NaN or another type.
#[must_use]
pub fn numbers(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Uint(left), Value::Uint(right)) => Some(left.cmp(right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Uint(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::Uint(left), Value::Int(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::Double(left), Value::Int(right)) => with_integer(*left, i128::from(*right)),
        (Value::Double(left), Value::Uint(right)) => with_integer(*left, i128::from(*right)),
        (Value::Int(left), Value::Double(right)) => {
            with_integer(*right, i128::from(*left)).map(Ordering::reverse)
        }
        (Value::Uint(left), Value::Double(right)) => {
            with_integer(*right, i128::from(*left)).map(Ordering::reverse)
        }
        _ => None,
    }
}

/// As cel-go: outside of the integer's range by sign, otherwise both as doubles.
fn with_integer(double: f64, integer: i128) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "cel-go compares as doubles too")]
    let integer = integer as f64;
    double.partial_cmp(&integer)
}
