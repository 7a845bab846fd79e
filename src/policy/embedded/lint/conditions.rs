//! Conditions as they are written, for comparing them.

use super::super::cel::Value;
use super::super::file::{self, Match};
use super::super::set::Condition;

/// Whether two conditions are written alike.
pub(super) fn is_equal(one: Option<&file::Condition>, other: Option<&file::Condition>) -> bool {
    let meaning = |it: &file::Condition| it.matches.as_ref().map(meaning);
    one.map(meaning) == other.map(meaning)
}

/// Its expressions, without the operators between them.
pub(super) fn expressions<'d>(tree: &'d Match, found: &mut Vec<&'d str>) {
    found.extend(tree.expr.as_ref().map(|text| text.value.trim()));
    let lists = [&tree.all, &tree.any, &tree.none];
    for inner in lists.into_iter().flatten().flat_map(|list| &list.of) {
        expressions(inner, found);
    }
}

/// Equal where two trees mean the same for how they are nested: `all` within `all` is one `all`,
/// and of a single member the member itself.
pub(super) fn meaning(tree: &Match) -> String {
    shape(tree).written()
}

/// What holds where the other does not.
pub(super) fn opposite(tree: &Match) -> String {
    negated(shape(tree)).written()
}

enum Shape {
    Expression(String),
    All(Vec<Shape>),
    Any(Vec<Shape>),
    Not(Box<Shape>),
}

impl Shape {
    fn written(&self) -> String {
        let list = |of: &[Self]| of.iter().map(Self::written).collect::<Vec<_>>().join(",");
        match self {
            Self::Expression(text) => format!("{text:?}"),
            Self::All(of) => format!("all({})", list(of)),
            Self::Any(of) => format!("any({})", list(of)),
            Self::Not(inner) => format!("not({})", inner.written()),
        }
    }
}

/// What loads has exactly one of the four.
fn shape(tree: &Match) -> Shape {
    if let Some(list) = &tree.all {
        let of = list.of.iter().map(shape).flat_map(|it| match it {
            Shape::All(inner) => inner,
            other => vec![other],
        });
        return single(of.collect(), Shape::All);
    }
    if let Some(list) = &tree.any {
        return any(list);
    }
    if let Some(list) = &tree.none {
        return negated(any(list));
    }
    let text = tree.expr.as_ref().map(|text| text.value.trim());
    Shape::Expression(text.unwrap_or_default().to_owned())
}

fn negated(shape: Shape) -> Shape {
    match shape {
        Shape::Not(inner) => *inner,
        other => Shape::Not(Box::new(other)),
    }
}

fn any(list: &file::Matches) -> Shape {
    let of = list.of.iter().map(shape).flat_map(|it| match it {
        Shape::Any(inner) => inner,
        other => vec![other],
    });
    single(of.collect(), Shape::Any)
}

fn single(mut of: Vec<Shape>, group: fn(Vec<Shape>) -> Shape) -> Shape {
    match of.pop() {
        Some(only) if of.is_empty() => only,
        Some(last) => {
            of.push(last);
            group(of)
        }
        None => group(of),
    }
}

/// Whether it holds for nobody.
pub(super) fn is_false(condition: &Condition) -> bool {
    match condition {
        Condition::HasRole(_) => false,
        // A value that is no boolean does not hold.
        Condition::Expression(program) => {
            program.constant().is_some_and(|value| !matches!(value, Value::Bool(true)))
        }
        Condition::All(of) => of.iter().any(is_false),
        Condition::Any(of) => of.iter().all(is_false),
        Condition::NoneOf(of) => of.iter().any(is_true),
    }
}

fn is_true(condition: &Condition) -> bool {
    match condition {
        Condition::HasRole(_) => false,
        Condition::Expression(program) => {
            program.constant().is_some_and(|value| matches!(value, Value::Bool(true)))
        }
        Condition::All(of) => of.iter().all(is_true),
        Condition::Any(of) => of.iter().any(is_true),
        Condition::NoneOf(of) => of.iter().all(is_false),
    }
}
