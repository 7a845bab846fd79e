//! `hierarchy`: names in each other, as in `a.b.c`, and how two of them relate.

use super::super::error::EvalError;
use super::super::library::{Context, Function, Overload, global, member};
use super::super::types::Type::{self, Bool, Int, String as Text};
use super::super::value::{Opaque, Value};
use cel::common::ast::operators;
use std::any::Any;
use std::sync::Arc;

const NAME: &str = "cerbos.lib.hierarchy";

/// The parts from the outermost on.
type Parts = [Arc<str>];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy(Vec<Arc<str>>);

impl Opaque for Hierarchy {
    fn type_name(&self) -> &'static str {
        NAME
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        match other {
            Value::Null => Some(false),
            other => other.as_opaque().map(|other| self == other),
        }
    }

    fn in_variable(&self, _: &Value) -> Option<Value> {
        Some(Value::list(self.0.iter().cloned().map(Value::String).collect::<Vec<_>>()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(super) fn overloads() -> Vec<Overload> {
    let it = || Type::Opaque(NAME);
    let mut all = vec![
        global("hierarchy", [Text], it(), split),
        global("hierarchy", [Text, Text], it(), split),
        global("hierarchy", [Type::list(Text)], it(), of_list),
        member("commonAncestors", [it(), it()], it(), common_ancestors),
        member("size", [it()], Int, size),
        global(operators::INDEX, [it(), Int], Text, part),
    ];
    let questions: [(&str, Function); 6] = [
        ("ancestorOf", |context, args| asked(context, args, is_ancestor)),
        ("descendentOf", |context, args| asked(context, args, |a, b| is_ancestor(b, a))),
        ("immediateParentOf", |context, args| asked(context, args, is_parent)),
        ("immediateChildOf", |context, args| asked(context, args, |a, b| is_parent(b, a))),
        ("overlaps", |context, args| {
            asked(context, args, |a, b| a.starts_with(b) || b.starts_with(a))
        }),
        ("siblingOf", |context, args| asked(context, args, are_siblings)),
    ];
    all.extend(questions.map(|(name, function)| member(name, [it(), it()], Bool, function)));
    all
}

fn split(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (text, separator) = match args {
        [Value::String(text)] => (text, "."),
        [Value::String(text), Value::String(separator)] => (text, &**separator),
        _ => return Err(EvalError::no_such_overload()),
    };
    context.charge(text.len() / 16)?;
    let parts = text.matches(separator).count() + 1;
    context.produce(text.len().saturating_add(parts.saturating_mul(2 * size_of::<Value>())))?;
    let parts = if separator.is_empty() {
        super::strings::letters(text, usize::MAX).into_iter().map(Arc::from).collect()
    } else {
        text.split(separator).map(Arc::from).collect()
    };
    Ok(Value::opaque(Hierarchy(parts)))
}

fn of_list(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::List(values)] = args else { return Err(EvalError::no_such_overload()) };
    context.charge(values.len())?;
    context.produce(values.len().saturating_mul(size_of::<Arc<str>>()))?;
    let mut parts = Vec::with_capacity(values.len());
    for value in values.iter() {
        let Value::String(text) = value else {
            return Err(EvalError::new("a part of a hierarchy is no string"));
        };
        parts.push(Arc::clone(text));
    }
    Ok(Value::opaque(Hierarchy(parts)))
}

fn pair<'v>(
    context: &mut Context<'_>,
    args: &[&'v Value],
) -> Result<(&'v Parts, &'v Parts), EvalError> {
    let [left, right] = args else { return Err(EvalError::no_such_overload()) };
    let left: &Hierarchy = left.as_opaque().ok_or_else(EvalError::no_such_overload)?;
    let right: &Hierarchy = right.as_opaque().ok_or_else(EvalError::no_such_overload)?;
    context.charge(left.0.len().min(right.0.len()))?;
    Ok((&left.0, &right.0))
}

fn asked(
    context: &mut Context<'_>,
    args: &[&Value],
    ask: fn(&Parts, &Parts) -> bool,
) -> Result<Value, EvalError> {
    let (left, right) = pair(context, args)?;
    Ok(Value::Bool(ask(left, right)))
}

fn is_ancestor(outer: &Parts, inner: &Parts) -> bool {
    inner.len() > outer.len() && inner.starts_with(outer)
}

fn is_parent(outer: &Parts, inner: &Parts) -> bool {
    inner.len() == outer.len() + 1 && inner.starts_with(outer)
}

fn are_siblings(left: &Parts, right: &Parts) -> bool {
    let parents = left.len().saturating_sub(1);
    left.len() == right.len() && left.get(..parents) == right.get(..parents)
}

/// The parts they have in common; of two of one length the last parts do not count.
fn common_ancestors(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (left, right) = pair(context, args)?;
    let most = match (left.len(), right.len()) {
        (0, 0) => return Err(EvalError::fatal("two empty hierarchies have no ancestors")),
        (left, right) if left == right => left.saturating_sub(1),
        (left, right) => left.min(right),
    };
    let common = left.iter().zip(right).take(most).take_while(|(left, right)| left == right);
    let common: Vec<_> = common.map(|(part, _)| Arc::clone(part)).collect();
    context.produce(common.len().saturating_mul(size_of::<Arc<str>>()))?;
    Ok(Value::opaque(Hierarchy(common)))
}

fn size(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [it] = args else { return Err(EvalError::no_such_overload()) };
    let it: &Hierarchy = it.as_opaque().ok_or_else(EvalError::no_such_overload)?;
    Ok(Value::Int(i64::try_from(it.0.len()).unwrap_or(i64::MAX)))
}

fn part(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [it, Value::Int(index)] = args else { return Err(EvalError::no_such_overload()) };
    let it: &Hierarchy = it.as_opaque().ok_or_else(EvalError::no_such_overload)?;
    let part = usize::try_from(*index).ok().and_then(|index| it.0.get(index));
    part.map(|part| Value::String(Arc::clone(part)))
        .ok_or_else(|| EvalError::new("index out of range"))
}
