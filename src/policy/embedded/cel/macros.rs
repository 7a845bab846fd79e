//! Macros: calls whose arguments are not simply evaluated.

use super::error::CompileError;
use super::library::Style;
use super::lower::{Local, Lowering, Typed, Uses};
use super::node::{Kind, Loop, LoopKind};
use super::types::Type;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue};

const MAX_NESTED_LOOPS: usize = 4;

/// For suggestions.
pub(super) const NAMES: [&str; 16] = [
    "has",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "map",
    "filter",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "cel.bind",
    "optMap",
    "optFlatMap",
    "sortBy",
    "math.greatest",
    "math.least",
];

/// Names that a loop or bound variable must not take: the PDP would read some of them otherwise.
const RESERVED: [&str; 11] = [
    "request",
    "P",
    "R",
    "V",
    "C",
    "G",
    "variables",
    "constants",
    "globals",
    "runtime",
    "__result__",
];

impl Lowering<'_> {
    /// The expansion, when the call is one of a macro.
    pub(super) fn expand(
        &mut self,
        id: u64,
        call: &CallExpr,
    ) -> Result<Option<Typed>, CompileError> {
        let args = call.args.as_slice();
        let Some(target) = &call.target else {
            return match (call.func_name.as_str(), args) {
                ("has", [only]) => self.has(id, only).map(Some),
                _ => Ok(None),
            };
        };
        let one = |var| [Some(var), None];
        let (what, variables, filter, body) = match (call.func_name.as_str(), args) {
            ("bind", [name, value, body]) if is_name(target, "cel") => {
                return self.bind(id, name, value, body).map(Some);
            }
            ("greatest", values) if is_name(target, "math") => {
                return self.extreme(id, "math.@max", values).map(Some);
            }
            ("least", values) if is_name(target, "math") => {
                return self.extreme(id, "math.@min", values).map(Some);
            }
            ("optMap", [name, body]) => {
                return self.optional_map(id, target, name, body, true).map(Some);
            }
            ("optFlatMap", [name, body]) => {
                return self.optional_map(id, target, name, body, false).map(Some);
            }
            ("sortBy", [name, key]) => return self.sort_by(id, target, name, key).map(Some),
            ("all", [var, body]) => (LoopKind::All, one(var), None, body),
            ("exists", [var, body]) => (LoopKind::Exists, one(var), None, body),
            ("exists_one" | "existsOne", [var, body]) => {
                (LoopKind::ExistsOne, one(var), None, body)
            }
            ("map", [var, body]) => (LoopKind::Map, one(var), None, body),
            ("map", [var, filter, body]) => (LoopKind::Map, one(var), Some(filter), body),
            ("filter", [var, filter]) => (LoopKind::Filter, one(var), Some(filter), var),
            ("all", [a, b, body]) => (LoopKind::All, [Some(a), Some(b)], None, body),
            ("exists", [a, b, body]) => (LoopKind::Exists, [Some(a), Some(b)], None, body),
            ("exists_one" | "existsOne", [a, b, body]) => {
                (LoopKind::ExistsOne, [Some(a), Some(b)], None, body)
            }
            ("transformList", [a, b, body]) => (LoopKind::Map, [Some(a), Some(b)], None, body),
            ("transformList", [a, b, filter, body]) => {
                (LoopKind::Map, [Some(a), Some(b)], Some(filter), body)
            }
            ("transformMap", [a, b, body]) => {
                (LoopKind::TransformMap, [Some(a), Some(b)], None, body)
            }
            ("transformMap", [a, b, filter, body]) => {
                (LoopKind::TransformMap, [Some(a), Some(b)], Some(filter), body)
            }
            ("transformMapEntry", [a, b, body]) => {
                (LoopKind::TransformMapEntry, [Some(a), Some(b)], None, body)
            }
            ("transformMapEntry", [a, b, filter, body]) => {
                (LoopKind::TransformMapEntry, [Some(a), Some(b)], Some(filter), body)
            }
            _ => return Ok(None),
        };
        let range = self.value(target)?;
        self.looped(id, range, what, variables, filter, body).map(Some)
    }

    fn has(&mut self, id: u64, argument: &IdedExpr) -> Result<Typed, CompileError> {
        let Expr::Select(select) = &argument.expr else {
            return Err(self.error(id, "has() takes a field, as in has(R.attr.owner)"));
        };
        let mut select = select.clone();
        select.test = true;
        self.select(argument.id, &select)
    }

    /// The name of a new variable.
    fn variable<'e>(&self, expr: &'e IdedExpr) -> Result<&'e str, CompileError> {
        match &expr.expr {
            Expr::Ident(name) if RESERVED.contains(&name.as_str()) => {
                Err(self.error(expr.id, format!("'{name}' cannot be a variable")))
            }
            Expr::Ident(name) if !name.starts_with('.') => Ok(name),
            _ => Err(self.error(expr.id, "a name is needed here")),
        }
    }

    /// Makes a name known until `locals` is cut back.
    fn declare(&mut self, name: &str, of: Type) -> usize {
        let slot = self.slots;
        self.slots += 1;
        self.locals.push(Local { name: name.to_owned(), of, slot });
        slot
    }

    fn looped(
        &mut self,
        id: u64,
        range: Typed,
        what: LoopKind,
        variables: [Option<&IdedExpr>; 2],
        filter: Option<&IdedExpr>,
        body: &IdedExpr,
    ) -> Result<Typed, CompileError> {
        let known = self.locals.len();
        let base = self.slots;
        if known >= MAX_NESTED_LOOPS * 2 {
            return Err(self.error(id, "too many comprehensions in each other"));
        }
        let [first, second] = variables;
        let (key, value) = self.elements(id, &range.of)?;
        let first_name = self.variable(first.unwrap_or(body))?;
        let is_element = second.is_none() && self.is_list(&range.of);
        let first_type = if is_element { value.clone() } else { key };
        let first_slot = self.declare(first_name, first_type.clone());
        let second_slot = match second {
            None => None,
            Some(second) => {
                let name = self.variable(second)?;
                if name == first_name {
                    return Err(self.error(second.id, format!("'{name}' is there already")));
                }
                Some(self.declare(name, value))
            }
        };
        let filter_id = filter.map_or(id, |filter| filter.id);
        let filter = filter.map(|filter| self.value(filter)).transpose()?;
        let body_id = body.id;
        let body = self.value(body)?;
        // In this order: a type that is not known yet is still free in the body.
        if let Some(filter) = &filter {
            self.wanted(filter_id, &filter.of, &Type::Bool)?;
        }
        self.locals.truncate(known);
        let result = self.loop_type(body_id, what, &first_type, &body.of)?;

        let inner = filter.as_ref().map_or(body.uses, |filter| filter.uses.and(body.uses));
        if range.uses.is_constant() && inner.is_constant() {
            return Err(self.error(
                id,
                "a comprehension over constants alone is read wrongly by the PDP; write its value",
            ));
        }
        let uses = without(inner, base).and(range.uses);
        let it = Loop {
            range: range.node,
            first: first_slot,
            second: second_slot,
            filter: filter.map(|filter| filter.node),
            body: body.node,
            what,
        };
        Ok(self.typed(id, Kind::Loop(Box::new(it)), result, uses))
    }

    fn is_list(&self, of: &Type) -> bool {
        matches!(self.types.resolve(of), Type::List(_))
    }

    /// Index and element, or key and value.
    fn elements(&mut self, id: u64, range: &Type) -> Result<(Type, Type), CompileError> {
        match self.types.resolve(range) {
            Type::List(inner) => Ok((Type::Int, (*inner).clone())),
            Type::Map(inner) => Ok((inner.0.clone(), inner.1.clone())),
            known @ (Type::Dyn | Type::Param(_)) => {
                self.types.assign(&[Type::Dyn], &[known]);
                Ok((Type::Dyn, Type::Dyn))
            }
            other => Err(self.error(id, format!("a value of type {other} has no elements"))),
        }
    }

    fn loop_type(
        &mut self,
        body_id: u64,
        what: LoopKind,
        key: &Type,
        body: &Type,
    ) -> Result<Type, CompileError> {
        Ok(match what {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => {
                self.wanted(body_id, body, &Type::Bool)?;
                Type::Bool
            }
            LoopKind::Map | LoopKind::Filter => Type::list(body.clone()),
            LoopKind::TransformMap => Type::map(key.clone(), body.clone()),
            LoopKind::TransformMapEntry => {
                let any = Type::map(self.types.fresh(), self.types.fresh());
                self.wanted(body_id, body, &any)?;
                match self.types.resolve(body) {
                    Type::Dyn => Type::map(Type::Dyn, Type::Dyn),
                    other => other,
                }
            }
        })
    }

    fn bind(
        &mut self,
        id: u64,
        name: &IdedExpr,
        value: &IdedExpr,
        body: &IdedExpr,
    ) -> Result<Typed, CompileError> {
        let name = self.variable(name)?;
        let value = self.value(value)?;
        let known = self.locals.len();
        let base = self.slots;
        let slot = self.declare(name, value.of);
        let body = self.value(body)?;
        self.locals.truncate(known);
        let uses = without(body.uses, base).and(value.uses);
        let kind = Kind::Bind(slot, Box::new((value.node, body.node)));
        Ok(self.typed(id, kind, body.of, uses))
    }

    fn optional_map(
        &mut self,
        id: u64,
        target: &IdedExpr,
        name: &IdedExpr,
        body: &IdedExpr,
        wrap: bool,
    ) -> Result<Typed, CompileError> {
        let optional = self.value(target)?;
        // `target.hasValue() ? cel.bind(name, target.value(), body) : optional.none()`
        let (asked, inner) = (self.types.fresh(), self.types.fresh());
        self.wanted(target.id, &optional.of, &Type::optional(asked))?;
        self.wanted(target.id, &optional.of, &Type::optional(inner.clone()))?;
        let inner = self.types.resolve(&inner);
        let name = self.variable(name)?;
        let known = self.locals.len();
        let base = self.slots;
        let slot = self.declare(name, inner);
        let body_id = body.id;
        let body = self.value(body)?;
        self.locals.truncate(known);
        let mapped = if wrap { Type::optional(body.of) } else { body.of };
        let both = [mapped.clone(), Type::optional(self.types.fresh())];
        let result = self.types.fresh();
        if !self.types.assign(&both, &[result.clone(), result.clone()]) {
            let found = self.types.resolve(&mapped);
            return Err(self.error(body_id, format!("'{found}' is no optional value")));
        }
        let of = self.types.resolve(&result);
        let uses = without(body.uses, base).and(optional.uses);
        let parts = Box::new((optional.node, body.node));
        Ok(self.typed(id, Kind::OptionalMap { slot, wrap, parts }, of, uses))
    }

    /// `list.sortBy(x, key)` is `list.@sortByAssociatedKeys(list.map(x, key))`.
    fn sort_by(
        &mut self,
        id: u64,
        target: &IdedExpr,
        name: &IdedExpr,
        key: &IdedExpr,
    ) -> Result<Typed, CompileError> {
        let list = self.value(target)?;
        // The PDP types the list once.
        let again = Typed { of: list.of.clone(), ..self.value(target)? };
        let keys = self.looped(id, again, LoopKind::Map, [Some(name), None], None, key)?;
        self.function(id, "@sortByAssociatedKeys", Style::Member, vec![list, keys])
    }

    /// `math.greatest` of any number of values, or of a list.
    fn extreme(
        &mut self,
        id: u64,
        function: &str,
        values: &[IdedExpr],
    ) -> Result<Typed, CompileError> {
        let mut args = self.values(values)?;
        let are_numbers = match values {
            [] => return Err(self.error(id, "at least one value is needed")),
            [IdedExpr { expr: Expr::List(list), .. }] => {
                !list.elements.is_empty() && list.elements.iter().all(may_be_number)
            }
            values => values.iter().all(may_be_number),
        };
        if !are_numbers {
            return Err(self.error(id, "only numbers have a greatest and a least one"));
        }
        if args.len() > 2 {
            let mut element: Option<Type> = None;
            let uses = args.iter().fold(Uses::NOTHING, |uses, arg| uses.and(arg.uses));
            let mut nodes = Vec::with_capacity(args.len());
            for arg in args {
                element = Some(match element {
                    None => arg.of,
                    Some(known) => self.types.join(&known, &arg.of),
                });
                nodes.push((arg.node, false));
            }
            let of = Type::list(element.unwrap_or(Type::Dyn));
            args = vec![self.typed(id, Kind::List(nodes.into()), of, uses)];
        }
        self.function(id, function, Style::Global, args)
    }
}

fn without(mut uses: Uses, base: usize) -> Uses {
    if uses.outermost >= base {
        uses.outermost = usize::MAX;
    }
    uses
}

fn is_name(expr: &IdedExpr, wanted: &str) -> bool {
    matches!(&expr.expr, Expr::Ident(name) if name == wanted)
}

/// The PDP looks at what is written, besides the types.
const fn may_be_number(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::Literal(literal) => matches!(
            literal,
            LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_)
        ),
        Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => false,
        _ => true,
    }
}
