//! Maps: sorted by key, so that lookups need no hash of hostile keys and iteration has one order.

use super::error::EvalError;
use super::value::Value;
use std::cmp::Ordering;
use std::sync::Arc;

/// A map with string, number or bool keys. A number is at most one key, whatever its type.
#[derive(Clone, Debug, Default)]
pub struct Map {
    entries: Box<[(Value, Value)]>,
}

impl Map {
    /// Of two equal keys the later entry stays.
    ///
    /// # Errors
    /// A key is of another type than string, number or bool, or one number is a key in two types:
    /// the PDP finds them in turns.
    pub fn new(mut entries: Vec<(Value, Value)>) -> Result<Self, EvalError> {
        if let Some((key, _)) = entries.iter().find(|(key, _)| !is_key(key)) {
            return Err(EvalError::fatal(format!("unsupported key type: {}", key.type_of())));
        }
        entries.sort_by(|(left, _), (right, _)| order(left, right));
        let mut is_mixed = false;
        entries.dedup_by(|later, earlier| {
            let same = order(&later.0, &earlier.0) == Ordering::Equal;
            if same {
                is_mixed |= !later.0.type_of().same_kind(&earlier.0.type_of());
                std::mem::swap(later, earlier);
            }
            same
        });
        if is_mixed {
            return Err(EvalError::fatal("a number is a key in two types"));
        }
        Ok(Self { entries: entries.into_boxed_slice() })
    }

    /// A map of names.
    pub fn of_strings<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (Value::string(key), value)).collect();
        // String keys are always allowed.
        Self::new(entries).unwrap_or_default()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// The entry at a position of the order.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<(&Value, &Value)> {
        self.entries.get(index).map(|(key, value)| (key, value))
    }

    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&Value> {
        let found = self.entries.binary_search_by(|(key, _)| match key {
            Value::String(key) => (**key).cmp(name),
            _ => Ordering::Less,
        });
        self.entries.get(found.ok()?).map(|(_, value)| value)
    }

    /// `None` also for what can never be a key, see `is_key`. As in cel-go a whole double finds an
    /// integer, but an integer finds no double.
    #[must_use]
    pub fn get(&self, key: &Value) -> Option<&Value> {
        if !is_key(key) {
            return None;
        }
        let found = self.entries.binary_search_by(|(known, _)| order(known, key));
        match (self.entries.get(found.ok()?)?, key) {
            ((Value::Double(_), _), Value::Int(_) | Value::Uint(_)) => None,
            ((_, value), _) => Some(value),
        }
    }
}

/// Whether a value can be a key: the others fail the whole expression in the PDP.
#[must_use]
pub fn is_key(value: &Value) -> bool {
    match value {
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::String(_) => true,
        Value::Double(number) => !number.is_nan(),
        _ => false,
    }
}

/// Strings after numbers after bools.
fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        _ => rank(left)
            .cmp(&rank(right))
            .then_with(|| super::compare::numbers(left, right).unwrap_or(Ordering::Equal)),
    }
}

const fn rank(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 0,
        Value::String(_) => 2,
        _ => 1,
    }
}
