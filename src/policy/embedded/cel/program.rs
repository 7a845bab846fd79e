//! A compiled expression.

use super::budget::Budget;
use super::error::EvalError;
use super::evaluate::Evaluation;
use super::inputs::Inputs;
use super::node::Node;
use super::regexes::Regexes;
use super::types::Type;
use super::value::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// What an expression reads.
#[expect(clippy::struct_excessive_bools, reason = "a set of independent facts")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub principal: bool,
    pub resource: bool,
    pub aux_data: bool,
    pub derived_roles: bool,
    pub globals: bool,
    /// The time, or anything else that changes between evaluations.
    pub now: bool,
    /// By number, as declared.
    pub variables: Vec<usize>,
}

/// An expression, ready to be evaluated; many threads may do so at once.
#[derive(Debug)]
pub struct Program {
    pub(super) root: Node,
    pub(super) slots: usize,
    pub(super) reads: Reads,
    pub(super) result: Type,
    pub(super) regexes: Arc<Regexes>,
}

impl Program {
    /// # Errors
    /// There is no value: whoever asked must be denied.
    pub fn evaluate(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> Result<Value, EvalError> {
        self.value(inputs, budget).map(Cow::into_owned)
    }

    /// Whether a condition holds: a value that is no bool does not, as in the PDP, which looks
    /// into optionals.
    ///
    /// # Errors
    /// There is no value: whoever asked must be denied.
    pub fn holds(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> Result<bool, EvalError> {
        self.value(inputs, budget).map(|value| is_true(&value))
    }

    fn value<'e>(
        &'e self,
        inputs: &'e Inputs<'e>,
        budget: &mut Budget,
    ) -> Result<Cow<'e, Value>, EvalError> {
        Evaluation::new(inputs, &self.regexes, self.slots, budget).eval(&self.root)
    }

    /// What it leans on.
    #[must_use]
    pub const fn reads(&self) -> &Reads {
        &self.reads
    }

    /// The static type of its value.
    #[must_use]
    pub const fn result_type(&self) -> &Type {
        &self.result
    }
}

fn is_true(mut value: &Value) -> bool {
    while let Value::Optional(Some(inner)) = value {
        value = inner;
    }
    matches!(value, Value::Bool(true))
}
