//! Local variables and constants of one policy, put in where they are used.

use std::collections::{BTreeMap, BTreeSet};

use cel::IdedExpr;
use cel::common::ast::{
    EntryExpr, Expr, IdedEntryExpr, ListExpr, LiteralValue, MapEntryExpr, MapExpr,
};
use serde_json::Value;

use super::expression::{self, Checked};
use super::scope::Compiled;

/// A failing variable fails where it is used, as in the PDP, where it stays unset.
pub(super) struct Variables<'p> {
    sources: BTreeMap<&'p str, &'p str>,
    constants: &'p BTreeMap<String, Value>,
    checked: BTreeMap<String, Checked>,
    open: BTreeSet<String>,
}

impl<'p> Variables<'p> {
    pub fn new(
        sources: BTreeMap<&'p str, &'p str>,
        constants: &'p BTreeMap<String, Value>,
    ) -> Self {
        Self { sources, constants, checked: BTreeMap::new(), open: BTreeSet::new() }
    }

    pub fn names(&self) -> Vec<String> {
        self.sources.keys().map(|name| (*name).to_owned()).collect()
    }

    /// # Errors
    /// Not defined, defined through itself, or not acceptable.
    pub fn variable(&mut self, name: &str, regexes: &mut Vec<Compiled>) -> Result<Checked, String> {
        if let Some(checked) = self.checked.get(name) {
            return Ok(checked.clone());
        }
        let Some(source) = self.sources.get(name).copied() else {
            return Err(format!("the variable '{name}' is not defined"));
        };
        if !self.open.insert(name.to_owned()) {
            return Err(format!("the variable '{name}' is defined through itself"));
        }
        let checked = expression::check(source, self, regexes)
            .map_err(|why| format!("variable '{name}': {why}"));
        self.open.remove(name);
        let checked = checked?;
        self.checked.insert(name.to_owned(), checked.clone());
        Ok(checked)
    }

    /// # Errors
    /// Not defined.
    pub fn constant(&self, name: &str) -> Result<Expr, String> {
        let value = self
            .constants
            .get(name)
            .ok_or_else(|| format!("the constant '{name}' is not defined"))?;
        Ok(literal(value))
    }
}

/// JSON as an expression; numbers are doubles, as everywhere in the PDP.
fn literal(value: &Value) -> Expr {
    match value {
        Value::Null => Expr::Literal(LiteralValue::Null),
        Value::Bool(value) => Expr::Literal(LiteralValue::Boolean((*value).into())),
        Value::Number(number) => {
            Expr::Literal(LiteralValue::Double(number.as_f64().unwrap_or(f64::NAN).into()))
        }
        Value::String(text) => Expr::Literal(LiteralValue::String(text.clone().into())),
        Value::Array(items) => Expr::List(ListExpr::new(items.iter().map(node).collect())),
        Value::Object(members) => Expr::Map(MapExpr {
            entries: members
                .iter()
                .map(|(key, value)| IdedEntryExpr {
                    id: 0,
                    expr: EntryExpr::MapEntry(MapEntryExpr {
                        key: node(&Value::String(key.clone())),
                        value: node(value),
                        optional: false,
                    }),
                })
                .collect(),
        }),
    }
}

fn node(value: &Value) -> IdedExpr {
    IdedExpr { id: 0, expr: literal(value) }
}
