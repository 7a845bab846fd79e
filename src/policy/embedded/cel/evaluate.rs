//! The evaluator: walks the nodes. Values of the request and of the source are borrowed.

use super::budget::Budget;
use super::compare::{self, Order};
use super::error::EvalError;
use super::inputs::Inputs;
use super::library::{Context, Overload};
use super::lookup::{has, index, optional_index, optional_select, select};
use super::map::Map;
use super::node::{Call, Comparison, Kind, Node};
use super::regexes::Regexes;
use super::value::Value;
use cel::common::ast::operators;
use std::borrow::Cow;

pub(super) type Held<'e> = Cow<'e, Value>;
pub(super) type Outcome<'e> = Result<Held<'e>, EvalError>;

/// One evaluation of one program.
pub(super) struct Evaluation<'e, 'b> {
    pub inputs: &'e Inputs<'e>,
    regexes: &'e Regexes,
    pub budget: &'b mut Budget,
    /// What a bound variable failed with is told where it is read, as in the PDP.
    locals: Vec<Option<Outcome<'e>>>,
}

impl<'e, 'b> Evaluation<'e, 'b> {
    pub fn new(
        inputs: &'e Inputs<'e>,
        regexes: &'e Regexes,
        slots: usize,
        budget: &'b mut Budget,
    ) -> Self {
        Self { inputs, regexes, budget, locals: vec![None; slots] }
    }

    pub fn eval(&mut self, node: &'e Node) -> Outcome<'e> {
        self.budget.charge(1)?;
        match &node.kind {
            Kind::Constant(value) => Ok(Cow::Borrowed(value)),
            Kind::Local(slot) => self.local(*slot),
            Kind::Root(root) => self.root(*root),
            Kind::HasRoot(root) => self.has_root(*root).map(bool),
            Kind::Variable(slot) => self.variable(*slot).map(Cow::Borrowed),
            Kind::HasVariable(slot) => match self.variable(*slot) {
                Err(error) if error.is_fatal() => Err(error),
                found => Ok(bool(found.is_ok())),
            },
            Kind::Select(operand, field) => match self.attribute(operand, field) {
                Some(found) => {
                    found?.map(Cow::Borrowed).ok_or_else(|| EvalError::no_such_key(field))
                }
                None => select(self.fields_of(operand)?, field),
            },
            Kind::Has(operand, field) => match self.attribute(operand, field) {
                Some(found) => found.map(|found| bool(found.is_some())),
                None => has(&*self.fields_of(operand)?, field).map(bool),
            },
            Kind::OptionalSelect(operand, field) => optional_select(&*self.eval(operand)?, field),
            Kind::Index(call) => self.index(call),
            Kind::OptionalIndex(parts) => {
                let operand = self.eval(&parts.0)?;
                // What nothing is looked up in is not worked out: its key may fail.
                if matches!(&*operand, Value::Optional(None)) {
                    return Ok(operand);
                }
                let key = self.eval(&parts.1)?;
                optional_index(operand, &key)
            }
            Kind::And(terms) => self.logical(terms, false),
            Kind::Or(terms) => self.logical(terms, true),
            Kind::Not(inner) => match &*self.eval(inner)? {
                Value::Bool(value) => Ok(bool(!value)),
                _ => Err(EvalError::no_such_overload()),
            },
            Kind::Conditional(parts) => match &*self.eval(&parts.0)? {
                Value::Bool(true) => self.eval(&parts.1),
                Value::Bool(false) => self.eval(&parts.2),
                _ => Err(EvalError::no_such_overload()),
            },
            Kind::Equal(parts) => self.equal(parts).map(bool),
            Kind::NotEqual(parts) => self.equal(parts).map(|equal| bool(!equal)),
            Kind::Compare(comparison, parts) => self.compare(*comparison, parts),
            Kind::In(parts) => self.within(parts),
            Kind::Call(call) => self.call(call),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::Loop(it) => self.looped(it),
            Kind::Bind(slot, parts) => {
                let value = self.eval(&parts.0);
                self.bind_outcome(*slot, value)?;
                self.eval(&parts.1)
            }
            Kind::OptionalOr(parts) => self.optional_or(parts, false),
            Kind::OptionalOrValue(parts) => self.optional_or(parts, true),
            Kind::OptionalMap { slot, wrap, parts } => self.optional_map(*slot, *wrap, parts),
        }
    }

    /// What is to have a field. The PDP looks into an optional that `.?` or a function has made, not
    /// into one that it found in a map or list: that fails here.
    fn fields_of(&mut self, operand: &'e Node) -> Outcome<'e> {
        let value = self.eval(operand)?;
        let is_found = matches!(operand.kind, Kind::Select(..) | Kind::Index(_));
        if is_found && matches!(&*value, Value::Optional(_)) && !is_chained(operand) {
            return Err(EvalError::new("an optional inside of a map or list has no fields"));
        }
        Ok(value)
    }

    pub fn set(&mut self, slot: usize, value: Held<'e>) {
        if let Some(local) = self.locals.get_mut(slot) {
            *local = Some(Ok(value));
        }
    }

    fn bind_outcome(&mut self, slot: usize, outcome: Outcome<'e>) -> Result<(), EvalError> {
        match (outcome, self.locals.get_mut(slot)) {
            (Err(error), _) if error.is_fatal() => Err(error),
            (outcome, Some(local)) => {
                *local = Some(outcome);
                Ok(())
            }
            (_, None) => Err(EvalError::fatal("a variable without a place")),
        }
    }

    fn local(&self, slot: usize) -> Outcome<'e> {
        match self.locals.get(slot) {
            Some(Some(outcome)) => outcome.clone(),
            Some(None) | None => Err(EvalError::fatal("a variable without a value")),
        }
    }

    fn variable(&mut self, slot: usize) -> Result<&'e Value, EvalError> {
        self.inputs.variables.variable(slot, self.budget).map_err(|error| {
            if error.is_fatal() {
                return error;
            }
            EvalError::new(format!("the variable has no value: {error}"))
        })
    }

    /// `&&` (decided by false) and `||` (by true): an error stays only when nothing decides.
    fn logical(&mut self, terms: &'e [Node], decisive: bool) -> Outcome<'e> {
        let mut failed = None;
        for term in terms {
            match self.eval(term) {
                Ok(value) => match &*value {
                    Value::Bool(value) if *value == decisive => return Ok(bool(decisive)),
                    Value::Bool(_) => {}
                    _ => failed = failed.or_else(|| Some(EvalError::no_such_overload())),
                },
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or_else(|| Ok(bool(!decisive)), Err)
    }

    fn equal(&mut self, parts: &'e (Node, Node)) -> Result<bool, EvalError> {
        let left = self.eval(&parts.0)?;
        let right = self.eval(&parts.1)?;
        let mut steps = 0;
        let equal = compare::equal(&left, &right, &mut steps);
        self.budget.charge(steps)?;
        equal
    }

    fn compare(&mut self, comparison: Comparison, parts: &'e (Node, Node)) -> Outcome<'e> {
        let left = self.eval(&parts.0)?;
        let right = self.eval(&parts.1)?;
        match compare::order(&left, &right) {
            Order::Known(order) => Ok(bool(match comparison {
                Comparison::Less => order.is_lt(),
                Comparison::LessEqual => order.is_le(),
                Comparison::Greater => order.is_gt(),
                Comparison::GreaterEqual => order.is_ge(),
            })),
            Order::Unordered => Ok(bool(false)),
            Order::Incomparable => Err(EvalError::no_such_overload()),
        }
    }

    fn within(&mut self, parts: &'e (Node, Node)) -> Outcome<'e> {
        let needle = self.eval(&parts.0)?;
        let haystack = self.eval(&parts.1)?;
        match &*haystack {
            // The PDP looks into a list of constants in another way.
            Value::List(values)
                if matches!((&*needle, &parts.1.kind), (Value::Opaque(_), Kind::Constant(_)))
                    && !values.iter().all(|value| matches!(value, Value::Opaque(_))) =>
            {
                Err(EvalError::no_such_overload())
            }
            Value::List(values) => {
                let mut steps = 0;
                let mut found = Ok(false);
                for value in values.iter() {
                    steps += 1;
                    found = compare::equal(&needle, value, &mut steps);
                    if !matches!(found, Ok(false)) {
                        break;
                    }
                }
                self.budget.charge(steps)?;
                found.map(bool)
            }
            // The PDP panics here for some maps.
            Value::Map(_) if matches!(&*needle, Value::Bytes(_)) => {
                Err(EvalError::fatal("bytes can be no key"))
            }
            Value::Map(map) => Ok(bool(map.get(&needle).is_some())),
            _ => Err(EvalError::no_such_overload()),
        }
    }

    fn index(&mut self, call: &'e Call) -> Outcome<'e> {
        let [operand, key] = &*call.args else { return Err(EvalError::no_such_overload()) };
        let operand = self.eval(operand)?;
        if matches!(&*operand, Value::Optional(None)) {
            return Ok(operand);
        }
        let key = self.eval(key)?;
        if let Value::Opaque(_) = &*operand {
            return self.invoke(call, &[&*operand, &*key]);
        }
        index(operand, &key)
    }

    fn call(&mut self, call: &'e Call) -> Outcome<'e> {
        match &*call.args {
            [] => self.invoke(call, &[]),
            [only] => {
                let only = self.eval(only)?;
                self.invoke(call, &[&*only])
            }
            [first, second] => {
                let first = self.eval(first)?;
                let second = self.eval(second)?;
                self.invoke(call, &[&*first, &*second])
            }
            many => {
                let values = many.iter().map(|it| self.eval(it)).collect::<Result<Vec<_>, _>>()?;
                let values: Vec<&Value> = values.iter().map(|value| &**value).collect();
                self.invoke(call, &values)
            }
        }
    }

    fn invoke(&mut self, call: &'e Call, args: &[&Value]) -> Outcome<'e> {
        for candidate in &call.candidates {
            let fits = candidate.params.len() == args.len()
                && candidate.params.iter().zip(args).all(|(param, arg)| param.admits(arg));
            if fits {
                return self.run(candidate, call, args);
            }
        }
        match (call.candidates.first(), args) {
            // Not declared, but what the PDP does with a duration whose type was not known.
            (Some(sign), [Value::Duration(_)]) if sign.name == operators::NEGATE => {
                self.run(sign, call, args)
            }
            (Some(_) | None, _) => Err(EvalError::no_such_overload()),
        }
    }

    fn run(&mut self, overload: &Overload, call: &'e Call, args: &[&Value]) -> Outcome<'e> {
        let mut context = Context {
            budget: self.budget,
            now: self.inputs.now,
            regexes: self.regexes,
            compiled: call.pattern.as_ref(),
        };
        (overload.function)(&mut context, args).map(Cow::Owned)
    }

    fn list(&mut self, elements: &'e [(Node, bool)]) -> Outcome<'e> {
        let mut values = Vec::with_capacity(elements.len());
        for (node, is_optional) in elements {
            let value = self.eval(node)?;
            match (is_optional, &*value) {
                (false, _) => values.push(value.into_owned()),
                (true, Value::Optional(Some(inner))) => values.push((**inner).clone()),
                (true, Value::Optional(None)) => {}
                (true, _) => return Err(EvalError::new("an optional element is no optional")),
            }
        }
        self.new_list(values)
    }

    pub fn new_list(&mut self, values: Vec<Value>) -> Outcome<'e> {
        self.budget.produce(values.len().saturating_mul(size_of::<Value>()))?;
        Ok(Cow::Owned(Value::list(values)))
    }

    fn map(&mut self, entries: &'e [(Node, Node, bool)]) -> Outcome<'e> {
        let mut values = Vec::with_capacity(entries.len());
        for (key, value, is_optional) in entries {
            let key = self.eval(key)?.into_owned();
            let value = self.eval(value)?;
            match (is_optional, &*value) {
                (false, _) => values.push((key, value.into_owned())),
                (true, Value::Optional(Some(inner))) => values.push((key, (**inner).clone())),
                (true, Value::Optional(None)) => {}
                (true, _) => return Err(EvalError::new("an optional entry is no optional")),
            }
        }
        self.new_map(values)
    }

    pub fn new_map(&mut self, entries: Vec<(Value, Value)>) -> Outcome<'e> {
        self.budget.produce(entries.len().saturating_mul(2 * size_of::<Value>()))?;
        Ok(Cow::Owned(Value::map(Map::new(entries)?)))
    }

    fn optional_or(&mut self, parts: &'e (Node, Node), unwrap: bool) -> Outcome<'e> {
        let optional = self.eval(&parts.0)?;
        match &*optional {
            Value::Optional(None) => self.eval(&parts.1),
            Value::Optional(Some(inner)) if unwrap => Ok(Cow::Owned((**inner).clone())),
            Value::Optional(Some(_)) => Ok(optional),
            _ => Err(EvalError::no_such_overload()),
        }
    }

    fn optional_map(&mut self, slot: usize, wrap: bool, parts: &'e (Node, Node)) -> Outcome<'e> {
        let inner = match &*self.eval(&parts.0)? {
            Value::Optional(None) => return Ok(Cow::Owned(Value::none())),
            Value::Optional(Some(inner)) => (**inner).clone(),
            _ => return Err(EvalError::no_such_overload()),
        };
        self.set(slot, Cow::Owned(inner));
        let value = self.eval(&parts.1)?;
        if wrap { Ok(Cow::Owned(Value::some(value.into_owned()))) } else { Ok(value) }
    }
}

/// Whether it began with `.?` or `[?`.
fn is_chained(node: &Node) -> bool {
    if let Kind::Select(inner, _) = &node.kind {
        return is_chained(inner);
    }
    if let Kind::Index(call) = &node.kind {
        return call.args.first().is_some_and(is_chained);
    }
    matches!(node.kind, Kind::OptionalSelect(..) | Kind::OptionalIndex(_))
}

pub(super) const fn bool<'e>(value: bool) -> Held<'e> {
    Cow::Owned(Value::Bool(value))
}
