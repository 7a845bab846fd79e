//! Comprehensions that the PDP reads wrongly, refused at load.
//!
//! The PDP's optimizer evaluates what needs no request. Where it has first cut a constant test out of
//! a comprehension (`true ? x : y`, `x && true`, `filter(x, false)`) the evaluation gives `null`.
//! Cerbos 0.55.0 with cel-go 0.30. Refused is a little more: every such comprehension with such a test.

use super::error::CompileError;
use super::node::{Kind, Loop, LoopKind, Node};
use super::parse::Positions;
use super::value::Value;

/// # Errors
/// A comprehension is one of those.
pub(super) fn refuse(root: &Node, slots: usize, positions: &Positions) -> Result<(), CompileError> {
    let mut look = Look { locals: vec![false; slots], cuts: 0, positions };
    look.at(root).map(|_| ())
}

struct Look<'l> {
    /// Whether the optimizer may know what a slot holds.
    locals: Vec<bool>,
    /// Tests seen that the optimizer cuts out.
    cuts: usize,
    positions: &'l Positions,
}

impl Look<'_> {
    /// Whether the optimizer may evaluate the part.
    fn at(&mut self, node: &Node) -> Result<bool, CompileError> {
        match &node.kind {
            Kind::Constant(_) => Ok(true),
            Kind::Local(slot) => Ok(self.locals.get(*slot).copied().unwrap_or(true)),
            Kind::Root(_) | Kind::Variable(_) | Kind::HasVariable(_) | Kind::HasRoot(_) => {
                Ok(false)
            }
            Kind::Select(inner, _)
            | Kind::Has(inner, _)
            | Kind::OptionalSelect(inner, _)
            | Kind::Not(inner) => self.at(inner),
            Kind::Index(call) | Kind::Call(call) => self.all(call.args.iter()),
            Kind::And(terms) | Kind::Or(terms) => {
                self.cut(terms.iter().any(|term| term.is_constant));
                self.any(terms.iter())
            }
            Kind::Conditional(parts) => {
                self.cut(parts.0.is_constant);
                let test = self.at(&parts.0)?;
                Ok(self.any([&parts.1, &parts.2])? && test)
            }
            Kind::Equal(parts)
            | Kind::NotEqual(parts)
            | Kind::Compare(_, parts)
            | Kind::OptionalIndex(parts) => self.all([&parts.0, &parts.1]),
            Kind::In(parts) => {
                self.cut(parts.0.is_constant && matches!(parts.1.kind, Kind::List(_)));
                self.any([&parts.0, &parts.1])
            }
            Kind::List(elements) => self.all(elements.iter().map(|(element, _)| element)),
            Kind::Map(entries) => self.all(entries.iter().flat_map(|(key, value, _)| [key, value])),
            Kind::OptionalOr(parts) | Kind::OptionalOrValue(parts) => {
                let first = self.at(&parts.0)?;
                self.at(&parts.1)?;
                Ok(first)
            }
            Kind::Bind(slot, parts) | Kind::OptionalMap { slot, parts, .. } => {
                let value = self.at(&parts.0)?;
                self.declare(*slot, value);
                self.at(&parts.1)
            }
            Kind::Loop(it) => self.comprehension(node, it),
        }
    }

    fn comprehension(&mut self, node: &Node, it: &Loop) -> Result<bool, CompileError> {
        let is_known = self.at(&it.range)?;
        let before = self.cuts;
        for slot in [Some(it.first), it.second].into_iter().flatten() {
            self.declare(slot, is_known);
        }
        let is_test = match it.what {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => it.body.is_constant,
            LoopKind::Map
            | LoopKind::Filter
            | LoopKind::TransformMap
            | LoopKind::TransformMapEntry => false,
        };
        self.cut(is_test || it.filter.as_ref().is_some_and(|filter| filter.is_constant));
        if let Some(filter) = &it.filter {
            self.at(filter)?;
        }
        self.at(&it.body)?;
        if is_known && self.cuts > before && !is_empty(&it.range) {
            return Err(self.positions.error(
                node.at,
                "a comprehension over constants with a constant test in it is read wrongly by the \
                 PDP; leave the test out",
            ));
        }
        Ok(is_known)
    }

    fn declare(&mut self, slot: usize, is_known: bool) {
        if let Some(local) = self.locals.get_mut(slot) {
            *local = is_known;
        }
    }

    fn cut(&mut self, is_cut: bool) {
        self.cuts += usize::from(is_cut);
    }

    fn all<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Node>) -> Result<bool, CompileError> {
        nodes.into_iter().try_fold(true, |all, node| Ok(self.at(node)? && all))
    }

    fn any<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Node>) -> Result<bool, CompileError> {
        nodes.into_iter().try_fold(false, |any, node| Ok(self.at(node)? || any))
    }
}

/// Nothing is evaluated for the elements of `[]`.
fn is_empty(range: &Node) -> bool {
    match &range.kind {
        Kind::List(elements) => elements.is_empty(),
        Kind::Map(entries) => entries.is_empty(),
        Kind::Constant(Value::List(values)) => values.is_empty(),
        _ => false,
    }
}
