//! Operators and function calls.

use super::error::CompileError;
use super::fold;
use super::library::{Overload, Style};
use super::lower::{Lowering, Typed, Uses};
use super::node::{Call, Comparison, Kind, Node};
use super::types::Type;
use super::value::Value;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use std::sync::Arc;

/// What the values say decides in the PDP, whatever the types have left.
const BY_VALUE: [&str; 7] = [
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
    "size",
];

/// The PDP refuses a literal that these cannot read, also where nothing would evaluate it.
const READ_AT_LOAD: [&str; 4] = ["duration", "timestamp", "ip", "cidr"];

impl Lowering<'_> {
    pub(super) fn call(&mut self, id: u64, call: &CallExpr) -> Result<Typed, CompileError> {
        if let Some(expanded) = self.expand(id, call)? {
            return Ok(expanded);
        }
        if let Some(target) = &call.target {
            return self.on_target(id, target, call);
        }
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, args) => self.logical(id, operators::LOGICAL_AND, args),
            (operators::LOGICAL_OR, args) => self.logical(id, operators::LOGICAL_OR, args),
            (operators::INDEX, [operand, index]) => self.index(id, operand, index),
            (operators::OPT_INDEX, [operand, index]) => self.optional_index(id, operand, index),
            (operators::OPT_SELECT, [operand, field]) => self.optional_select(id, operand, field),
            (operators::IN, [needle, haystack]) if is_empty_list(haystack) => {
                // cel-go never evaluates the left side.
                self.value(needle)?;
                let kind = Kind::Constant(Value::Bool(false));
                Ok(self.typed(id, kind, Type::Bool, Uses::NOTHING))
            }
            (name, args) => {
                let args = self.values(args)?;
                self.function(id, name, Style::Global, args)
            }
        }
    }

    pub(super) fn values(&mut self, exprs: &[IdedExpr]) -> Result<Vec<Typed>, CompileError> {
        exprs.iter().map(|expr| self.value(expr)).collect()
    }

    /// A call on a value, or of a function with a namespace.
    fn on_target(
        &mut self,
        id: u64,
        target: &IdedExpr,
        call: &CallExpr,
    ) -> Result<Typed, CompileError> {
        let name = call.func_name.as_str();
        if let Some(path) = self.qualified(target, name) {
            if self.environment.overloads(&path, Style::Global).is_some() {
                let args = self.values(&call.args)?;
                return self.function(id, &path, Style::Global, args);
            }
            let is_namespace =
                matches!(&target.expr, Expr::Ident(root) if self.ident(target.id, root).is_err());
            if is_namespace {
                return Err(
                    self.error(target.id, self.environment.unknown_function(&path, Style::Global))
                );
            }
        }
        let mut args = vec![self.value(target)?];
        match (name, literal_string(target), call.args.as_slice()) {
            ("format", Some(pattern), [IdedExpr { expr: Expr::List(list), .. }]) => {
                self.formats += 1;
                args.extend(self.values(&call.args)?);
                self.formats -= 1;
                self.format_fits(id, pattern, list)?;
            }
            _ => args.extend(self.values(&call.args)?),
        }
        self.function(id, name, Style::Member, args)
    }

    /// A checked call, as the node that evaluates it best.
    pub(super) fn function(
        &mut self,
        id: u64,
        name: &str,
        style: Style,
        mut args: Vec<Typed>,
    ) -> Result<Typed, CompileError> {
        let types: Vec<Type> = args.iter().map(|arg| arg.of.clone()).collect();
        let (candidates, result) = self.resolve(id, name, style, &types)?;
        let uses = args.iter().fold(Uses::NOTHING, |uses, arg| uses.and(arg.uses));
        let comparison = match name {
            operators::LESS => Some(Comparison::Less),
            operators::LESS_EQUALS => Some(Comparison::LessEqual),
            operators::GREATER => Some(Comparison::Greater),
            operators::GREATER_EQUALS => Some(Comparison::GreaterEqual),
            _ => None,
        };
        let kind = match (name, style) {
            (operators::EQUALS, _) => Kind::Equal(Box::new(pair(args))),
            (operators::NOT_EQUALS, _) => Kind::NotEqual(Box::new(pair(args))),
            (operators::IN, _) => Kind::In(Box::new(pair(args))),
            ("or", Style::Member) => Kind::OptionalOr(Box::new(pair(args))),
            ("orValue", Style::Member) => Kind::OptionalOrValue(Box::new(pair(args))),
            (operators::LOGICAL_NOT, _) => match args.pop() {
                Some(only) => Kind::Not(Box::new(only.node)),
                None => return Err(self.error(id, "'!' needs a value")),
            },
            (operators::CONDITIONAL, _) => {
                let mut nodes = args.into_iter().map(|arg| arg.node);
                match (nodes.next(), nodes.next(), nodes.next()) {
                    (Some(test), Some(then), Some(other)) => {
                        Kind::Conditional(Box::new((test, then, other)))
                    }
                    _ => return Err(self.error(id, "'?:' needs three values")),
                }
            }
            _ => match comparison {
                Some(comparison) => Kind::Compare(comparison, Box::new(pair(args))),
                None => return self.checked_call(id, (name, style), candidates, args, result),
            },
        };
        Ok(self.typed(id, kind, result, uses))
    }

    /// A call that is no operator with a node of its own.
    fn checked_call(
        &mut self,
        id: u64,
        (name, style): (&str, Style),
        candidates: Vec<Arc<Overload>>,
        args: Vec<Typed>,
        result: Type,
    ) -> Result<Typed, CompileError> {
        let candidates = match self.environment.overloads(name, style) {
            Some(all) if BY_VALUE.contains(&name) => all.to_vec(),
            Some(_) | None => candidates,
        };
        let mut typed = self.call_node(id, candidates, args, result)?;
        if READ_AT_LOAD.contains(&name)
            && let Kind::Call(call) = &typed.node.kind
            && matches!(&*call.args, [Node { kind: Kind::Constant(_), is_constant: true, .. }])
        {
            fold::fold(&mut typed.node, 0, &self.environment.regexes, self.positions)?;
        }
        Ok(typed)
    }

    /// `a && b && c` as one node: the parser nests them.
    fn logical(&mut self, id: u64, name: &str, args: &[IdedExpr]) -> Result<Typed, CompileError> {
        let mut terms = Vec::new();
        let mut uses = Uses::NOTHING;
        for (arg, typed) in args.iter().zip(self.values(args)?) {
            self.wanted(arg.id, &typed.of, &Type::Bool)?;
            uses = uses.and(typed.uses);
            match typed.node.kind {
                Kind::And(inner) if name == operators::LOGICAL_AND => terms.extend(inner),
                Kind::Or(inner) if name == operators::LOGICAL_OR => terms.extend(inner),
                kind => terms.push(Node { kind, ..typed.node }),
            }
        }
        let kind = match name {
            operators::LOGICAL_AND => Kind::And(terms.into()),
            _ => Kind::Or(terms.into()),
        };
        Ok(self.typed(id, kind, Type::Bool, uses))
    }

    /// # Errors
    /// The part is of another type.
    pub(super) fn wanted(
        &mut self,
        id: u64,
        given: &Type,
        wanted: &Type,
    ) -> Result<(), CompileError> {
        if self.types.assign(std::slice::from_ref(given), std::slice::from_ref(wanted)) {
            return Ok(());
        }
        let given = self.types.resolve(given);
        Err(self.error(id, format!("expected {wanted}, found {given}")))
    }

    fn index(
        &mut self,
        id: u64,
        operand: &IdedExpr,
        index: &IdedExpr,
    ) -> Result<Typed, CompileError> {
        if let Some(name) = literal_string(index)
            && let Some(typed) = self.declared(id, operand, name, false)?
        {
            return Ok(typed);
        }
        let operand = self.value(operand)?;
        let key = self.value(index)?;
        let types = [operand.of.clone(), key.of.clone()];
        let (candidates, result) = self.resolve(id, operators::INDEX, Style::Global, &types)?;
        let uses = operand.uses.and(key.uses);
        let args = [operand.node, key.node].into();
        let call = Call { candidates: candidates.into(), args, pattern: None };
        Ok(self.typed(id, Kind::Index(Box::new(call)), result, uses))
    }

    fn optional_index(
        &mut self,
        id: u64,
        operand: &IdedExpr,
        index: &IdedExpr,
    ) -> Result<Typed, CompileError> {
        let operand = self.value(operand)?;
        let key = self.value(index)?;
        let types = [operand.of.clone(), key.of.clone()];
        let (_, result) = self.resolve(id, operators::OPT_INDEX, Style::Global, &types)?;
        let uses = operand.uses.and(key.uses);
        let kind = Kind::OptionalIndex(Box::new((operand.node, key.node)));
        Ok(self.typed(id, kind, result, uses))
    }

    fn optional_select(
        &mut self,
        id: u64,
        operand: &IdedExpr,
        field: &IdedExpr,
    ) -> Result<Typed, CompileError> {
        let Some(name) = literal_string(field) else {
            return Err(self.error(id, "'.?' needs a name"));
        };
        let operand = self.value(operand)?;
        let (of, _) = self.selected(id, &operand.of)?;
        let kind = Kind::OptionalSelect(Box::new(operand.node), name.into());
        Ok(self.typed(id, kind, Type::optional(of), operand.uses))
    }
}

pub(super) fn literal_string(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn is_empty_list(expr: &IdedExpr) -> bool {
    matches!(&expr.expr, Expr::List(list) if list.elements.is_empty())
}

/// The operands; the signature has made sure that there are two.
fn pair(args: Vec<Typed>) -> (Node, Node) {
    let mut nodes = args.into_iter().map(|arg| arg.node);
    let missing = || Node { kind: Kind::Constant(Value::Null), at: 0, is_constant: true };
    let left = nodes.next().unwrap_or_else(missing);
    (left, nodes.next().unwrap_or_else(missing))
}
