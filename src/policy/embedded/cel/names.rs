//! Names and paths: locals, the request, variables, constants, globals, types.

use super::declarations::unknown;
use super::error::CompileError;
use super::lower::{Lowering, Typed, Uses};
use super::map::Map;
use super::node::{Kind, Root};
use super::types::{Message, Type};
use super::value::Value;
use cel::IdedExpr;
use cel::common::ast::{Expr, SelectExpr};
use std::sync::Arc;

const ROOTS: [(&str, Message); 10] = [
    ("request", Message::Request),
    ("P", Message::Principal),
    ("R", Message::Resource),
    ("runtime", Message::Runtime),
    ("V", Message::Variables),
    ("variables", Message::Variables),
    ("C", Message::Constants),
    ("constants", Message::Constants),
    ("G", Message::Globals),
    ("globals", Message::Globals),
];

/// What a member of a message is.
enum Member {
    Message(Message),
    Value(Root, Type),
}

impl Lowering<'_> {
    pub(super) fn ident(&mut self, id: u64, name: &str) -> Result<Typed, CompileError> {
        if let Some(local) = self.locals.iter().rev().find(|local| local.name == name) {
            let (slot, of) = (local.slot, self.types.resolve(&local.of));
            if of == Type::Type {
                return Err(self.error(id, "the PDP cannot read a variable that holds a type"));
            }
            let uses = Uses { input: false, outermost: slot };
            return Ok(self.typed(id, Kind::Local(slot), of, uses));
        }
        if let Some(input) = self.declarations.input(name) {
            let (slot, of) = (input.slot, input.of.clone());
            return Ok(self.typed(id, Kind::Variable(slot), of, Uses::INPUT));
        }
        let own: Option<Vec<&str>> = self.declarations.inputs().map(Iterator::collect);
        let roots = own.is_none().then(|| ROOTS.iter()).into_iter().flatten();
        if let Some((_, message)) = roots.clone().find(|(root, _)| *root == name) {
            return Ok(self.root(id, *message));
        }
        if let Some(of) = self.type_named(name) {
            return Ok(self.typed(
                id,
                Kind::Constant(Value::Type(Arc::new(of))),
                Type::Type,
                Uses::NOTHING,
            ));
        }
        let locals = self.locals.iter().map(|local| local.name.as_str());
        let known = own.into_iter().flatten().chain(roots.map(|(root, _)| *root)).chain(locals);
        Err(self.error(id, unknown("name", name, known)))
    }

    fn root(&mut self, id: u64, message: Message) -> Typed {
        let strings = || Type::map(Type::String, Type::Dyn);
        match message {
            Message::Globals => {
                self.reads.globals = true;
                self.typed(id, Kind::Root(Root::Globals), strings(), Uses::INPUT)
            }
            Message::Constants => {
                let all = self.declarations.constants();
                let all = Map::of_strings(all.map(|(name, value)| (name.clone(), value.clone())));
                self.typed(id, Kind::Constant(Value::map(all)), strings(), Uses::INPUT)
            }
            // The node is never evaluated: only members of it are.
            _ => self.typed(id, Kind::Constant(Value::Null), Type::Message(message), Uses::INPUT),
        }
    }

    fn type_named(&self, name: &str) -> Option<Type> {
        Some(match name {
            "bool" => Type::Bool,
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "list" => Type::list(Type::Dyn),
            "map" => Type::map(Type::Dyn, Type::Dyn),
            "null_type" => Type::Null,
            "type" => Type::Type,
            "optional_type" => Type::optional(Type::Dyn),
            "google.protobuf.Timestamp" => Type::Timestamp,
            "google.protobuf.Duration" => Type::Duration,
            other => return self.environment.opaque_type(other),
        })
    }

    pub(super) fn select(&mut self, id: u64, it: &SelectExpr) -> Result<Typed, CompileError> {
        if let Some(path) = self.qualified(&it.operand, &it.field)
            && let Some(of) = self.type_named(&path)
        {
            if it.test {
                return Err(self.error(id, "has() takes no type"));
            }
            return Ok(self.typed(
                id,
                Kind::Constant(Value::Type(Arc::new(of))),
                Type::Type,
                Uses::NOTHING,
            ));
        }
        if let Some(typed) = self.declared(id, &it.operand, &it.field, it.test)? {
            return Ok(typed);
        }
        let operand = self.expr(&it.operand)?;
        if let Type::Message(message) = operand.of {
            return self.member(id, message, &it.field, it.test);
        }
        let (of, is_optional) = match self.input_member(id, &it.operand, &it.field)? {
            Some(of) => (of, false),
            None => self.selected(id, &operand.of)?,
        };
        let field: Arc<str> = it.field.as_str().into();
        if it.test {
            let kind = Kind::Has(Box::new(operand.node), field);
            return Ok(self.typed(id, kind, Type::Bool, operand.uses));
        }
        let of = if is_optional { Type::optional(of) } else { of };
        Ok(self.typed(id, Kind::Select(Box::new(operand.node), field), of, operand.uses))
    }

    /// The type of a member of an input that has fixed ones.
    fn input_member(
        &self,
        id: u64,
        operand: &IdedExpr,
        name: &str,
    ) -> Result<Option<Type>, CompileError> {
        let Expr::Ident(root) = &operand.expr else { return Ok(None) };
        let is_local = self.locals.iter().any(|local| local.name == *root);
        let input = self.declarations.input(root).filter(|_| !is_local);
        let Some(input) = input.filter(|input| !input.members.is_empty()) else { return Ok(None) };
        if let Some((_, of)) = input.members.iter().find(|(known, _)| *known == name) {
            return Ok(Some(of.clone()));
        }
        let known = input.members.iter().map(|(known, _)| *known);
        Err(self.error(id, unknown(&format!("member of {root}"), name, known)))
    }

    /// The type of a field, and whether it was selected from an optional value.
    pub(super) fn selected(
        &mut self,
        id: u64,
        operand: &Type,
    ) -> Result<(Type, bool), CompileError> {
        let (operand, is_optional) = match self.types.resolve(operand) {
            Type::Optional(inner) => ((*inner).clone(), true),
            other => (other, false),
        };
        match operand {
            Type::Map(inner) => Ok((inner.1.clone(), is_optional)),
            Type::Param(_) => {
                self.types.assign(std::slice::from_ref(&operand), &[Type::Dyn]);
                Ok((Type::Dyn, is_optional))
            }
            Type::Dyn => Ok((Type::Dyn, is_optional)),
            other => Err(self.error(id, format!("a value of type {other} has no fields"))),
        }
    }

    /// A path of names that is no local variable: `google.protobuf.Timestamp`.
    pub(super) fn qualified(&self, operand: &IdedExpr, last: &str) -> Option<String> {
        let path = match &operand.expr {
            Expr::Ident(name) if self.locals.iter().all(|local| local.name != *name) => {
                name.clone()
            }
            Expr::Select(select) if !select.test => {
                self.qualified(&select.operand, &select.field)?
            }
            _ => return None,
        };
        Some(format!("{path}.{last}"))
    }

    /// `V.name`, `C.name`, `G.name`, also written `V["name"]`.
    pub(super) fn declared(
        &mut self,
        id: u64,
        operand: &IdedExpr,
        name: &str,
        test: bool,
    ) -> Result<Option<Typed>, CompileError> {
        let Expr::Ident(root) = &operand.expr else { return Ok(None) };
        if self.locals.iter().any(|local| local.name == *root) {
            return Ok(None);
        }
        let Some((_, message)) = ROOTS.iter().find(|(known, _)| known == root) else {
            return Ok(None);
        };
        match message {
            Message::Variables => {
                let slot = self.declarations.variable(name).map_err(|why| self.error(id, why))?;
                if !self.reads.variables.contains(&slot) {
                    self.reads.variables.push(slot);
                }
                Ok(Some(if test {
                    self.typed(id, Kind::HasVariable(slot), Type::Bool, Uses::INPUT)
                } else {
                    self.typed(id, Kind::Variable(slot), Type::Dyn, Uses::INPUT)
                }))
            }
            Message::Constants => {
                let value = self.declarations.constant(name).map_err(|why| self.error(id, why))?;
                let (value, of) =
                    if test { (Value::Bool(true), Type::Bool) } else { (value.clone(), Type::Dyn) };
                Ok(Some(self.typed(id, Kind::Constant(value), of, Uses::INPUT)))
            }
            Message::Globals => {
                self.declarations.global(name).map_err(|why| self.error(id, why))?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// A member of a message of the request.
    pub(super) fn member(
        &mut self,
        id: u64,
        message: Message,
        name: &str,
        test: bool,
    ) -> Result<Typed, CompileError> {
        let Some(member) = member(message, name) else {
            let of = Type::Message(message);
            let known = members(message).iter().copied();
            return Err(self.error(id, unknown(&format!("member of {of}"), name, known)));
        };
        let (root, of) = match member {
            Member::Message(inner) if test => match inner {
                Message::AuxData => (Root::AuxData, Type::Bool),
                Message::Principal => (Root::Principal, Type::Bool),
                _ => (Root::Resource, Type::Bool),
            },
            Member::Message(inner) => return Ok(self.root(id, inner)),
            Member::Value(root, of) => (root, of),
        };
        self.note(root);
        Ok(if test {
            self.typed(id, Kind::HasRoot(root), Type::Bool, Uses::INPUT)
        } else {
            self.typed(id, Kind::Root(root), of, Uses::INPUT)
        })
    }

    fn note(&mut self, root: Root) {
        match root {
            Root::PrincipalId
            | Root::PrincipalRoles
            | Root::PrincipalAttr
            | Root::PrincipalVersion
            | Root::PrincipalScope
            | Root::Principal => self.reads.principal = true,
            Root::ResourceKind
            | Root::ResourceId
            | Root::ResourceAttr
            | Root::ResourceVersion
            | Root::ResourceScope
            | Root::Resource => self.reads.resource = true,
            Root::AuxData | Root::Claims | Root::Jwts => self.reads.aux_data = true,
            Root::DerivedRoles => self.reads.derived_roles = true,
            Root::Globals => self.reads.globals = true,
        }
    }
}

fn members(message: Message) -> &'static [&'static str] {
    match message {
        Message::Request => &["principal", "resource", "auxData"],
        Message::Principal => &["id", "roles", "attr", "policyVersion", "scope"],
        Message::Resource => &["kind", "id", "attr", "policyVersion", "scope"],
        Message::AuxData => &["jwt", "jwts"],
        Message::Runtime => &["effectiveDerivedRoles"],
        Message::Variables | Message::Constants | Message::Globals => &[],
    }
}

fn member(message: Message, name: &str) -> Option<Member> {
    let attributes = || Type::map(Type::String, Type::Dyn);
    let strings = || Type::list(Type::String);
    let (root, of) = match (message, name) {
        (Message::Request, "principal") => return Some(Member::Message(Message::Principal)),
        (Message::Request, "resource") => return Some(Member::Message(Message::Resource)),
        (Message::Request, "auxData" | "aux_data") => {
            return Some(Member::Message(Message::AuxData));
        }
        (Message::Principal, "id") => (Root::PrincipalId, Type::String),
        (Message::Principal, "roles") => (Root::PrincipalRoles, strings()),
        (Message::Principal, "attr") => (Root::PrincipalAttr, attributes()),
        (Message::Principal, "policyVersion" | "policy_version") => {
            (Root::PrincipalVersion, Type::String)
        }
        (Message::Principal, "scope") => (Root::PrincipalScope, Type::String),
        (Message::Resource, "kind") => (Root::ResourceKind, Type::String),
        (Message::Resource, "id") => (Root::ResourceId, Type::String),
        (Message::Resource, "attr") => (Root::ResourceAttr, attributes()),
        (Message::Resource, "policyVersion" | "policy_version") => {
            (Root::ResourceVersion, Type::String)
        }
        (Message::Resource, "scope") => (Root::ResourceScope, Type::String),
        (Message::AuxData, "jwt") => (Root::Claims, attributes()),
        (Message::AuxData, "jwts") => (Root::Jwts, attributes()),
        (Message::Runtime, "effectiveDerivedRoles" | "effective_derived_roles") => {
            (Root::DerivedRoles, strings())
        }
        _ => return None,
    };
    Some(Member::Value(root, of))
}
