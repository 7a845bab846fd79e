//! Comprehensions, and the roots of paths.

use super::compare;
use super::error::EvalError;
use super::evaluate::{Evaluation, Held, Outcome, bool};
use super::inputs::{Part, empty_map};
use super::node::{Kind, Loop, LoopKind, Node, Root};
use super::value::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// What a comprehension has so far.
enum Gathered {
    /// `all`, `exists`: an error that nothing has overruled.
    Undecided(Option<EvalError>),
    Count(usize),
    Values(Vec<Value>),
    Entries(Vec<(Value, Value)>),
}

impl<'e> Evaluation<'e, '_> {
    pub(super) fn looped(&mut self, it: &'e Loop) -> Outcome<'e> {
        let range = self.eval(&it.range)?;
        let mut gathered = match it.what {
            LoopKind::All | LoopKind::Exists => Gathered::Undecided(None),
            LoopKind::ExistsOne => Gathered::Count(0),
            LoopKind::Map | LoopKind::Filter => Gathered::Values(Vec::new()),
            LoopKind::TransformMap | LoopKind::TransformMapEntry => Gathered::Entries(Vec::new()),
        };
        let length = match &*range {
            Value::List(values) => values.len(),
            Value::Map(map) => map.len(),
            _ => return Err(EvalError::no_such_overload()),
        };
        for index in 0..length {
            self.budget.charge(1)?;
            let Some((key, value)) = element(&range, index) else { break };
            self.bind(it, matches!(&*range, Value::List(_)), &key, value);
            if let Some(decided) = self.step(it, key, &mut gathered)? {
                return Ok(bool(decided));
            }
        }
        match gathered {
            Gathered::Undecided(Some(error)) => Err(error),
            Gathered::Undecided(None) => Ok(bool(it.what == LoopKind::All)),
            Gathered::Count(count) => Ok(bool(count == 1)),
            Gathered::Values(values) => self.new_list(values),
            Gathered::Entries(entries) => self.new_map(entries),
        }
    }

    fn bind(&mut self, it: &Loop, is_list: bool, key: &Held<'e>, value: Held<'e>) {
        match it.second {
            Some(second) => {
                self.set(it.first, key.clone());
                self.set(second, value);
            }
            None if is_list => self.set(it.first, value),
            None => self.set(it.first, key.clone()),
        }
    }

    /// One element; a decision when the rest need not be looked at.
    fn step(
        &mut self,
        it: &'e Loop,
        key: Held<'e>,
        gathered: &mut Gathered,
    ) -> Result<Option<bool>, EvalError> {
        if let Some(filter) = &it.filter
            && !self.test(filter)?
        {
            return Ok(None);
        }
        match gathered {
            Gathered::Undecided(failed) => {
                let decisive = it.what == LoopKind::Exists;
                match self.test(&it.body) {
                    Ok(value) if value == decisive => return Ok(Some(decisive)),
                    Ok(_) => {}
                    Err(error) if error.is_fatal() => return Err(error),
                    Err(error) => {
                        failed.get_or_insert(error);
                    }
                }
            }
            Gathered::Count(count) => *count += usize::from(self.test(&it.body)?),
            Gathered::Values(values) => values.push(self.eval(&it.body)?.into_owned()),
            Gathered::Entries(entries) if it.what == LoopKind::TransformMap => {
                entries.push((key.into_owned(), self.eval(&it.body)?.into_owned()));
            }
            Gathered::Entries(entries) => self.insert(&it.body, entries)?,
        }
        Ok(None)
    }

    /// The entries of `transformMapEntry`: each key once.
    fn insert(
        &mut self,
        body: &'e Node,
        entries: &mut Vec<(Value, Value)>,
    ) -> Result<(), EvalError> {
        let value = self.eval(body)?;
        let Value::Map(map) = &*value else { return Err(EvalError::no_such_overload()) };
        for (key, value) in map.iter() {
            let mut steps = 1;
            let is_there = entries.iter().any(|(known, _)| {
                steps += 1;
                compare::equal(known, key, &mut steps).unwrap_or(true)
            });
            self.budget.charge(steps)?;
            if is_there {
                return Err(EvalError::new("insert failed: the key is there already"));
            }
            entries.push((key.clone(), value.clone()));
        }
        Ok(())
    }

    fn test(&mut self, node: &'e Node) -> Result<bool, EvalError> {
        match &*self.eval(node)? {
            Value::Bool(value) => Ok(*value),
            _ => Err(EvalError::no_such_overload()),
        }
    }

    pub(super) fn root(&self, root: Root) -> Outcome<'e> {
        let inputs = self.inputs;
        Ok(Cow::Borrowed(match root {
            Root::PrincipalId => inputs.request.principal(Part::Id),
            Root::PrincipalRoles => inputs.request.principal(Part::What),
            Root::PrincipalAttr => inputs.request.principal(Part::Attr),
            Root::PrincipalVersion => inputs.request.principal(Part::Version),
            Root::PrincipalScope => inputs.request.principal(Part::Scope),
            Root::ResourceKind => inputs.request.resource(Part::What),
            Root::ResourceId => inputs.request.resource(Part::Id),
            Root::ResourceAttr => inputs.request.resource(Part::Attr),
            Root::ResourceVersion => inputs.request.resource(Part::Version),
            Root::ResourceScope => inputs.request.resource(Part::Scope),
            Root::Claims => inputs.claims.unwrap_or_else(|| empty_map()),
            Root::Jwts => inputs.jwts.unwrap_or_else(|| empty_map()),
            Root::DerivedRoles => inputs.derived_roles.ok_or_else(unknown_roles)?,
            Root::Globals => inputs.globals,
            Root::Principal | Root::Resource | Root::AuxData => {
                return Err(EvalError::fatal("a message is no value"));
            }
        }))
    }

    /// An attribute that is read by its name, without the others.
    pub(super) fn attribute(
        &mut self,
        operand: &Node,
        name: &Arc<str>,
    ) -> Option<Result<Option<&'e Value>, EvalError>> {
        let request = self.inputs.request;
        let found = match operand.kind {
            Kind::Root(Root::PrincipalAttr) => request.principal_attribute(name),
            Kind::Root(Root::ResourceAttr) => request.resource_attribute(name),
            _ => return None,
        };
        Some(self.budget.charge(1).map(|()| found))
    }

    /// As for protobuf messages: a field that is empty is not there.
    pub(super) fn has_root(&self, root: Root) -> Result<bool, EvalError> {
        Ok(match root {
            Root::Principal | Root::Resource => true,
            // The PDP always says this of the derived roles.
            Root::DerivedRoles => {
                self.inputs.derived_roles.ok_or_else(unknown_roles).map(|_| true)?
            }
            Root::AuxData => self.inputs.claims.is_some() || self.inputs.jwts.is_some(),
            other => self.root(other).is_ok_and(|value| !value.is_zero()),
        })
    }
}

fn unknown_roles() -> EvalError {
    EvalError::new("failed to compute effective derived roles")
}

/// Index and element, or key and value.
fn element<'e>(range: &Held<'e>, index: usize) -> Option<(Held<'e>, Held<'e>)> {
    match range {
        Cow::Borrowed(Value::List(values)) => {
            Some((position(index), Cow::Borrowed(values.get(index)?)))
        }
        Cow::Owned(Value::List(values)) => {
            Some((position(index), Cow::Owned(values.get(index)?.clone())))
        }
        Cow::Borrowed(Value::Map(map)) => {
            map.at(index).map(|(key, value)| (Cow::Borrowed(key), Cow::Borrowed(value)))
        }
        Cow::Owned(Value::Map(map)) => {
            map.at(index).map(|(key, value)| (Cow::Owned(key.clone()), Cow::Owned(value.clone())))
        }
        Cow::Borrowed(_) | Cow::Owned(_) => None,
    }
}

fn position<'e>(index: usize) -> Held<'e> {
    Cow::Owned(Value::Int(i64::try_from(index).unwrap_or(i64::MAX)))
}
