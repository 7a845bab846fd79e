//! Constant parts are evaluated at load; one that fails is a load error, as in the PDP.

use super::budget::Budget;
use super::error::CompileError;
use super::evaluate::Evaluation;
use super::inputs::Inputs;
use super::map::{Map, is_key};
use super::node::{Kind, LoopKind, Node};
use super::parse::Positions;
use super::regexes::Regexes;
use super::text;
use super::timestamp::Timestamp;
use super::value::Value;
use std::borrow::Cow;

const STEPS: u64 = 20_000;
const BYTES: u64 = 64 << 10;

/// Replaces the biggest constant parts by their values.
///
/// # Errors
/// A constant part always fails.
pub(super) fn fold(
    node: &mut Node,
    slots: usize,
    regexes: &Regexes,
    positions: &Positions,
) -> Result<(), CompileError> {
    if matches!(node.kind, Kind::Constant(_)) {
        return Ok(());
    }
    if !node.is_constant {
        for child in node.children_mut() {
            fold(child, slots, regexes, positions)?;
        }
        index(node, positions)?;
        within(node, positions)?;
        return booleans(node, positions);
    }
    let Some(epoch) = Timestamp::from_unix(0, 0) else { return Ok(()) };
    let inputs = Inputs::empty(epoch);
    let mut budget = Budget::new(STEPS, BYTES);
    let value = Evaluation::new(&inputs, regexes, slots, &mut budget)
        .eval(node)
        .map(Cow::into_owned)
        .map_err(|error| {
            positions.error(node.at, format!("{}{error}", super::error::ALWAYS_FAILS))
        })?;
    node.kind = Kind::Constant(value);
    Ok(())
}

/// The PDP's optimizer writes constant durations as seconds in a double and reads them again, and
/// leaves the expression as it was when one cannot be read.
pub(super) fn reread_durations(root: &mut Node) {
    let mut is_readable = true;
    each_constant(root, &mut |value| is_readable &= reread(value).is_some());
    if is_readable {
        each_constant(root, &mut |value| {
            if let Some(reread) = reread(value) {
                *value = reread;
            }
        });
    }
}

fn each_constant(node: &mut Node, visit: &mut dyn FnMut(&mut Value)) {
    match &mut node.kind {
        Kind::Constant(value) if node.is_constant => visit(value),
        _ => node.children_mut().into_iter().for_each(|child| each_constant(child, visit)),
    }
}

fn reread(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Duration(nanos) => Value::Duration(text::parse_duration(&text::duration(*nanos))?),
        Value::List(values) => Value::list(values.iter().map(reread).collect::<Option<Vec<_>>>()?),
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| Some((key.clone(), reread(value)?)));
            Value::map(Map::new(entries.collect::<Option<_>>()?).ok()?)
        }
        Value::Optional(Some(inner)) => Value::some(reread(inner)?),
        other => other.clone(),
    })
}

/// The PDP refuses a constant that can be no index before it evaluates anything.
fn index(node: &Node, positions: &Positions) -> Result<(), CompileError> {
    let key = match &node.kind {
        Kind::Index(call) => call.args.get(1),
        Kind::OptionalIndex(parts) => Some(&parts.1),
        _ => None,
    };
    match key {
        Some(Node { kind: Kind::Constant(value), at, is_constant: true }) if !is_key(value) => {
            let of = value.type_of();
            Err(positions.error(*at, format!("a value of type {of} is no index")))
        }
        _ => Ok(()),
    }
}

/// The PDP says false without evaluating what is looked for, which may fail.
fn within(node: &Node, positions: &Positions) -> Result<(), CompileError> {
    match &node.kind {
        Kind::In(parts) => match &parts.1 {
            Node { kind: Kind::Constant(Value::List(values)), at, is_constant: true }
                if values.is_empty() =>
            {
                Err(positions.error(*at, "this is always an empty list; write [] or leave it out"))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The PDP drops a constant from `&&`, `||` and loops without asking whether it is a bool.
fn booleans(node: &Node, positions: &Positions) -> Result<(), CompileError> {
    let tests: Vec<&Node> = match &node.kind {
        Kind::And(terms) | Kind::Or(terms) => terms.iter().collect(),
        Kind::Loop(it) => {
            let body = matches!(it.what, LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne);
            it.filter.iter().chain(body.then_some(&it.body)).collect()
        }
        _ => Vec::new(),
    };
    for test in tests {
        if let Node { kind: Kind::Constant(value), at, is_constant: true } = test
            && !matches!(value, Value::Bool(_))
        {
            let message = format!("the {} here is a constant that is no bool", value.type_of());
            return Err(positions.error(*at, message));
        }
    }
    Ok(())
}
