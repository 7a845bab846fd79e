//! The static checker: types every part as cel-go does, and lowers it to nodes on the way.

use super::declarations::Declarations;
use super::environment::Environment;
use super::error::CompileError;
use super::library::{Overload, Style};
use super::node::{Call, Kind, Node};
use super::parse::{Parsed, Positions};
use super::program::Reads;
use super::types::Type;
use super::unify::Substitution;
use super::value::Value;
use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, ListExpr, LiteralValue, MapExpr};
use std::collections::BTreeMap;
use std::sync::Arc;

const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 2000;

/// A checked expression.
pub(super) struct Lowered {
    pub root: Node,
    pub result: Type,
    pub slots: usize,
    pub reads: Reads,
}

/// A part with its type and what it leans on.
pub(super) struct Typed {
    pub node: Node,
    pub of: Type,
    pub uses: Uses,
}

/// What a part leans on.
#[derive(Clone, Copy)]
pub(super) struct Uses {
    /// The request, or anything else that is not in the source.
    pub input: bool,
    /// The outermost local variable, by its slot; `usize::MAX` for none.
    pub outermost: usize,
}

impl Uses {
    pub const NOTHING: Self = Self { input: false, outermost: usize::MAX };
    pub const INPUT: Self = Self { input: true, outermost: usize::MAX };

    pub fn and(self, other: Self) -> Self {
        Self { input: self.input || other.input, outermost: self.outermost.min(other.outermost) }
    }

    pub const fn is_constant(self) -> bool {
        !self.input && self.outermost == usize::MAX
    }
}

pub(super) struct Local {
    pub name: String,
    pub of: Type,
    pub slot: usize,
}

pub(super) struct Lowering<'l> {
    pub environment: &'l Environment,
    pub declarations: &'l Declarations,
    pub positions: &'l Positions,
    pub types: Substitution,
    pub locals: Vec<Local>,
    pub slots: usize,
    pub reads: Reads,
    /// Types by the parts' numbers, noted only inside of `format` with a written pattern and list.
    pub part_types: BTreeMap<u64, Type>,
    pub formats: usize,
    depth: usize,
    nodes: usize,
}

/// # Errors
/// Where and why the expression is refused.
pub(super) fn lower(
    environment: &Environment,
    declarations: &Declarations,
    parsed: &Parsed,
) -> Result<Lowered, CompileError> {
    let mut it = Lowering {
        environment,
        declarations,
        positions: &parsed.positions,
        types: Substitution::default(),
        locals: Vec::new(),
        slots: 0,
        reads: Reads::default(),
        part_types: BTreeMap::new(),
        formats: 0,
        depth: 0,
        nodes: 0,
    };
    let root = it.value(&parsed.expr)?;
    let result = it.types.resolve(&root.of);
    Ok(Lowered { root: root.node, result, slots: it.slots, reads: it.reads })
}

impl Lowering<'_> {
    /// A part whose value is used as a whole: a message of the request is none.
    pub fn value(&mut self, expr: &IdedExpr) -> Result<Typed, CompileError> {
        let typed = self.expr(expr)?;
        if let Type::Message(message) = typed.of {
            let message = Type::Message(message);
            return Err(
                self.error(expr.id, format!("{message} can be used only through its members"))
            );
        }
        Ok(typed)
    }

    pub fn expr(&mut self, expr: &IdedExpr) -> Result<Typed, CompileError> {
        self.depth += 1;
        self.nodes += 1;
        if self.depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(self.error(expr.id, "the expression is too big"));
        }
        let typed = match &expr.expr {
            Expr::Literal(literal) => Ok(self.literal(expr.id, literal)),
            Expr::Ident(name) => self.ident(expr.id, name),
            Expr::Select(select) => self.select(expr.id, select),
            Expr::Call(call) => self.call(expr.id, call),
            Expr::List(list) => self.list(expr.id, list),
            Expr::Map(map) => self.map(expr.id, map),
            Expr::Struct(it) => {
                Err(self.error(expr.id, format!("the message '{}' is not supported", it.type_name)))
            }
            Expr::Comprehension(_) | Expr::Unspecified => {
                Err(self.error(expr.id, "this expression is not supported"))
            }
        };
        self.depth -= 1;
        if self.formats > 0
            && let Ok(typed) = &typed
        {
            self.part_types.insert(expr.id, self.types.resolve(&typed.of));
        }
        typed
    }

    fn literal(&self, id: u64, literal: &LiteralValue) -> Typed {
        let value = match literal {
            LiteralValue::Boolean(it) => Value::Bool(*it.inner()),
            LiteralValue::Bytes(it) => Value::Bytes(it.inner().into()),
            LiteralValue::Double(it) => Value::Double(*it.inner()),
            LiteralValue::Int(it) => Value::Int(*it.inner()),
            LiteralValue::Null => Value::Null,
            LiteralValue::String(it) => Value::from(it.inner()),
            LiteralValue::UInt(it) => Value::Uint(*it.inner()),
        };
        let of = value.type_of();
        self.typed(id, Kind::Constant(value), of, Uses::NOTHING)
    }

    fn list(&mut self, id: u64, list: &ListExpr) -> Result<Typed, CompileError> {
        let mut element = None;
        let mut uses = Uses::NOTHING;
        let mut elements = Vec::with_capacity(list.elements.len());
        for (index, expr) in list.elements.iter().enumerate() {
            let typed = self.value(expr)?;
            let is_optional = list.optional_indices.contains(&index);
            let of = if is_optional { self.unwrapped(expr.id, &typed.of)? } else { typed.of };
            uses = uses.and(typed.uses);
            element = Some(match element {
                None => of,
                Some(known) => self.types.join(&known, &of),
            });
            elements.push((typed.node, is_optional));
        }
        let element = element.unwrap_or_else(|| self.types.fresh());
        Ok(self.typed(id, Kind::List(elements.into()), Type::list(element), uses))
    }

    fn map(&mut self, id: u64, map: &MapExpr) -> Result<Typed, CompileError> {
        let mut types: Option<(Type, Type)> = None;
        let mut uses = Uses::NOTHING;
        let mut entries = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return Err(self.error(id, "fields are not supported"));
            };
            let key = self.value(&entry.key)?;
            let value = self.value(&entry.value)?;
            uses = uses.and(key.uses).and(value.uses);
            let of =
                if entry.optional { self.unwrapped(entry.value.id, &value.of)? } else { value.of };
            types = Some(match types {
                None => (key.of, of),
                Some((keys, values)) => {
                    (self.types.join(&keys, &key.of), self.types.join(&values, &of))
                }
            });
            entries.push((key.node, value.node, entry.optional));
        }
        let (key, value) = types.unwrap_or_else(|| (self.types.fresh(), self.types.fresh()));
        Ok(self.typed(id, Kind::Map(entries.into()), Type::map(key, value), uses))
    }

    /// What an optional element holds.
    pub fn unwrapped(&mut self, id: u64, of: &Type) -> Result<Type, CompileError> {
        match self.types.resolve(of) {
            Type::Optional(inner) => Ok((*inner).clone()),
            Type::Dyn => Ok(Type::Dyn),
            Type::Param(_) => {
                Err(self.error(id, "expected an optional value, found one whose type is not known"))
            }
            other => Err(self.error(id, format!("'{other}' is no optional value"))),
        }
    }

    /// Types a call of an operator or function: the overloads that fit, and the result.
    pub fn resolve(
        &mut self,
        id: u64,
        name: &str,
        style: Style,
        arguments: &[Type],
    ) -> Result<(Vec<Arc<Overload>>, Type), CompileError> {
        let Some(overloads) = self.environment.overloads(name, style) else {
            return Err(self.error(id, self.environment.unknown_function(name, style)));
        };
        let mut candidates = Vec::new();
        let mut result: Option<Type> = None;
        for overload in overloads {
            let mut signature: Vec<&Type> = overload.params.iter().collect();
            signature.push(&overload.result);
            let mut signature = self.types.instantiate(&signature);
            let Some(returned) = signature.pop() else { continue };
            if !self.types.assign(arguments, &signature) {
                continue;
            }
            candidates.push(Arc::clone(overload));
            let returned = self.types.resolve(&returned);
            result = Some(match result {
                None => returned,
                Some(known) if known == returned => known,
                Some(_) => Type::Dyn,
            });
        }
        if let Some(result) = result {
            return Ok((candidates, result));
        }
        let types: Vec<_> = arguments.iter().map(|it| self.types.resolve(it).to_string()).collect();
        let types = types.join(", ");
        Err(self.error(id, format!("'{name}' is not defined for ({types})")))
    }

    /// The node of a call with these overloads.
    pub fn call_node(
        &mut self,
        id: u64,
        candidates: Vec<Arc<Overload>>,
        args: Vec<Typed>,
        result: Type,
    ) -> Result<Typed, CompileError> {
        let mut uses = args.iter().fold(Uses::NOTHING, |uses, arg| uses.and(arg.uses));
        if candidates.iter().any(|it| !it.is_pure) {
            uses.input = true;
            self.reads.now = true;
        }
        let mut pattern = None;
        for parameter in candidates.iter().filter_map(|it| it.pattern) {
            if let Some(Kind::Constant(Value::String(text))) =
                args.get(parameter).map(|arg| &arg.node.kind)
            {
                let regex = super::regexes::compile(text)
                    .map_err(|error| self.error(id, error.message()))?;
                pattern = Some(Arc::new(regex));
            }
        }
        let call = Call {
            candidates: candidates.into(),
            args: args.into_iter().map(|arg| arg.node).collect(),
            pattern,
        };
        Ok(self.typed(id, Kind::Call(Box::new(call)), result, uses))
    }

    pub fn typed(&self, id: u64, kind: Kind, of: Type, uses: Uses) -> Typed {
        let at = self.positions.offset(id);
        Typed { node: Node { kind, at, is_constant: uses.is_constant() }, of, uses }
    }

    pub fn error(&self, id: u64, message: impl Into<String>) -> CompileError {
        self.positions.error(self.positions.offset(id), message)
    }
}
