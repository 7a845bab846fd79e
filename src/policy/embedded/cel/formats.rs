//! `'...'.format([...])` with a written pattern and list, checked as the PDP does at load.

use super::error::CompileError;
use super::libraries::format_clauses;
use super::lower::Lowering;
use super::types::Type;
use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, ListExpr};

impl Lowering<'_> {
    /// # Errors
    /// A clause is unknown, or no value of the type fits it; there are too few or too many values.
    pub(super) fn format_fits(
        &self,
        id: u64,
        pattern: &str,
        list: &ListExpr,
    ) -> Result<(), CompileError> {
        let clauses = format_clauses(pattern).map_err(|error| self.error(id, error.message()))?;
        let (wanted, given) = (clauses.len(), list.elements.len());
        if wanted != given {
            let message = format!("format: the pattern takes {wanted} values, found {given}");
            return Err(self.error(id, message));
        }
        let mut pairs = clauses.into_iter().zip(&list.elements);
        pairs.try_for_each(|(clause, value)| match clause {
            's' => self.is_text(value),
            _ => self.fits(clause, value),
        })
    }

    fn fits(&self, clause: char, value: &IdedExpr) -> Result<(), CompileError> {
        let of = self.type_of_part(value);
        let fits = match (clause, &of) {
            (_, Type::Dyn | Type::Param(_) | Type::Int | Type::Uint)
            | ('d' | 'f' | 'e', Type::Double)
            | ('b', Type::Bool)
            | ('x' | 'X', Type::String | Type::Bytes) => true,
            ('s', other) => {
                !matches!(other, Type::Optional(_) | Type::Opaque(_) | Type::Message(_))
            }
            _ => false,
        };
        if fits {
            return Ok(());
        }
        Err(self.error(value.id, format!("format: %{clause} takes no {of}")))
    }

    /// What is written inside of a list or map has to fit, too.
    fn is_text(&self, value: &IdedExpr) -> Result<(), CompileError> {
        self.fits('s', value)?;
        match &value.expr {
            Expr::List(list) => list.elements.iter().try_for_each(|it| self.is_text(it)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.is_text(&entry.key)?;
                    self.is_text(&entry.value)
                }
                EntryExpr::StructField(_) => Ok(()),
            }),
            _ => Ok(()),
        }
    }

    /// `dyn` where it was not noted.
    fn type_of_part(&self, part: &IdedExpr) -> Type {
        self.part_types.get(&part.id).cloned().unwrap_or(Type::Dyn)
    }
}
