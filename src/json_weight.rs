//! How much memory JSON takes once it is read: a few bytes of text can be hundreds in memory, so
//! bounds on text do not bound what is kept.

use serde_json::{Map, Value};

/// Of one value in a list.
const VALUE: usize = size_of::<Value>();
/// What an allocation costs besides its content.
const ALLOCATION: usize = 16;
/// The least room of a list that is not empty, in values.
const SHORTEST: usize = 4;
/// A node of a map: room for eleven members, with its links.
const NODE: usize = 11 * (size_of::<String>() + VALUE) + 112;
/// A node that was split holds so many members at least.
const FEWEST: usize = 5;

/// About how many bytes the members of an object take, rather more than less.
#[must_use]
pub fn object(members: &Map<String, Value>) -> usize {
    let nodes = match members.len() {
        0 => 0,
        1..=11 => 1,
        many => many.div_ceil(FEWEST),
    };
    let each = members.iter().map(|(name, it)| text(name) + value(it));
    nodes * NODE + each.sum::<usize>()
}

/// What a value has behind it.
#[must_use]
pub fn value(it: &Value) -> usize {
    match it {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(it) => text(it),
        Value::Array(items) if items.is_empty() => 0,
        Value::Array(items) => {
            let room = items.len().next_power_of_two().max(SHORTEST);
            room * VALUE + ALLOCATION + items.iter().map(value).sum::<usize>()
        }
        Value::Object(members) => object(members),
    }
}

const fn text(it: &str) -> usize {
    if it.is_empty() { 0 } else { it.len() + 2 * ALLOCATION }
}
