//! How functions are added: a library is a list of overloads, one file each.
//!
//! ```text
//! pub(super) fn overloads() -> Vec<Overload> {
//!     vec![
//!         global("math.abs", [Type::Int], Type::Int, abs_int),          // math.abs(-1)
//!         member("join", [Type::list(Type::String)], Type::String, join), // ["a"].join()
//!     ]
//! }
//! fn abs_int(_: &mut Context<'_>, arguments: &[&Value]) -> Result<Value, EvalError> { .. }
//! ```
//! A receiver is the first parameter. Names with dots are namespaced functions. The operators have
//! names too (`_[_]`, `_+_`), so that a library can index its own types. What is called was checked:
//! the arguments have the types of the parameters, not necessarily inside of lists and maps. Return
//! `EvalError::no_such_overload()` when an element has an unexpected type.

use super::budget::Budget;
use super::error::EvalError;
use super::regexes::Regexes;
use super::timestamp::Timestamp;
use super::types::Type;
use super::value::Value;
use regex::Regex;
use std::fmt;
use std::sync::Arc;

/// What a function may use while it runs.
pub struct Context<'c> {
    pub(super) budget: &'c mut Budget,
    pub(super) now: Timestamp,
    pub(super) regexes: &'c Regexes,
    /// The pattern of this call, when it is a constant.
    pub(super) compiled: Option<&'c Arc<Regex>>,
}

impl Context<'_> {
    /// The time of the request.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Accounts for work: about one step per element looked at or 64 bytes read.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn charge(&mut self, steps: usize) -> Result<(), EvalError> {
        self.budget.charge(steps as u64)
    }

    /// Accounts for the bytes of a new value, before it is made.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn produce(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.budget.produce(bytes)
    }

    /// A new list: accounts for its elements.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn list(&mut self, values: Vec<Value>) -> Result<Value, EvalError> {
        self.produce(values.len().saturating_mul(size_of::<Value>()))?;
        Ok(Value::list(values))
    }

    /// A new string: accounts for its bytes.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn string(&mut self, text: String) -> Result<Value, EvalError> {
        self.produce(text.len())?;
        Ok(Value::from(text))
    }

    /// `==`, accounted for.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn equal(&mut self, left: &Value, right: &Value) -> Result<bool, EvalError> {
        let mut steps = 1;
        let equal = super::compare::equal(left, right, &mut steps);
        self.budget.charge(steps)?;
        equal
    }

    /// A pattern as RE2 reads it, compiled once; patterns that are constants are compiled at load.
    ///
    /// # Errors
    /// It is no pattern that RE2 and this engine read alike, or the budget is used up.
    pub fn regex(&mut self, pattern: &str) -> Result<Arc<Regex>, EvalError> {
        match self.compiled {
            Some(compiled) => Ok(Arc::clone(compiled)),
            None => self.regexes.get(pattern, self.budget),
        }
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// What an overload runs.
pub type Function = fn(&mut Context<'_>, &[&Value]) -> Result<Value, EvalError>;

/// One signature of a function.
#[derive(Clone)]
pub struct Overload {
    pub name: &'static str,
    pub style: Style,
    /// With the receiver first. `Type::Param` stands for any type, the same one for each number.
    pub params: Vec<Type>,
    pub result: Type,
    pub function: Function,
    /// Its value depends on its arguments alone: it is evaluated at load when they are constants.
    pub is_pure: bool,
    /// The parameter that is a regular expression: checked and compiled at load when constant.
    pub pattern: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `f(a, b)`, also with a namespace: `math.abs(a)`.
    Global,
    /// `a.f(b)`
    Member,
}

impl Overload {
    /// It depends on more than its arguments, as `now()` does.
    #[must_use]
    pub fn impure(mut self) -> Self {
        self.is_pure = false;
        self
    }

    /// The parameter at this place, the receiver counted, is a regular expression.
    #[must_use]
    pub fn with_pattern(mut self, parameter: usize) -> Self {
        self.pattern = Some(parameter);
        self
    }
}

impl fmt::Debug for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overload")
            .field("name", &self.name)
            .field("style", &self.style)
            .field("params", &self.params)
            .field("result", &self.result)
            .finish_non_exhaustive()
    }
}

/// `name(params)`
pub fn global(
    name: &'static str,
    params: impl Into<Vec<Type>>,
    result: Type,
    function: Function,
) -> Overload {
    Overload {
        name,
        style: Style::Global,
        params: params.into(),
        result,
        function,
        is_pure: true,
        pattern: None,
    }
}

/// `first.name(rest of the params)`
pub fn member(
    name: &'static str,
    params: impl Into<Vec<Type>>,
    result: Type,
    function: Function,
) -> Overload {
    Overload { style: Style::Member, ..global(name, params, result, function) }
}
