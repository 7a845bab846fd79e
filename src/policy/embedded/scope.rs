//! What an expression sees while it is evaluated: the request, compiled patterns, and the functions
//! that stand in for those of the `cel` crate that answer otherwise than cel-go.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use cel::common::types::{
    CelBool, CelDouble, CelList, CelMap, CelMapKey, CelNull, CelString, DYN_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};
use regex::Regex;

use crate::policy::{Attributes, Query};

pub(super) const PRINCIPAL_ID: &str = "@principal_id";
pub(super) const PRINCIPAL_ROLES: &str = "@principal_roles";
pub(super) const PRINCIPAL_ATTR: &str = "@principal_attr";
pub(super) const RESOURCE_ID: &str = "@resource_id";
pub(super) const RESOURCE_KIND: &str = "@resource_kind";
pub(super) const RESOURCE_SCOPE: &str = "@resource_scope";
pub(super) const RESOURCE_ATTR: &str = "@resource_attr";
pub(super) const CLAIMS: &str = "@claims";
pub(super) const MATCHES: &str = "@matches";
pub(super) const HAS: &str = "@has";
pub(super) const CHARGE: &str = "@charge";
pub(super) const WITHIN: &str = "@within";
const REGEX: &str = "@regex";

/// Elements that one condition may walk through, all its comprehensions together.
const MAX_STEPS: usize = 50_000;

thread_local! {
    /// What is left of [`MAX_STEPS`]. Evaluation never leaves its thread.
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn regex_name(index: usize) -> String {
    format!("{REGEX}{index}")
}

/// The standard library, and the functions that expressions are rewritten to.
pub(super) fn environment() -> &'static Arc<Env> {
    static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
        let mut env = Env::stdlib().with_optional_support(false);
        let two = || vec![DYN_TYPE, DYN_TYPE];
        // A function that could not be added fails every condition that calls it, which denies.
        let added = env
            .add_overload(MATCHES, MATCHES, two(), matches)
            .and_then(|()| env.add_overload(HAS, HAS, two(), has))
            .and_then(|()| env.add_overload(WITHIN, WITHIN, two(), within))
            .and_then(|()| env.add_overload(CHARGE, CHARGE, vec![DYN_TYPE], charge));
        debug_assert!(added.is_ok());
        Arc::new(env)
    });
    &ENVIRONMENT
}

/// A compiled pattern as a value, so that `matches` finds it.
#[derive(Clone, Debug)]
pub(super) struct Compiled(pub Regex);

impl Val for Compiled {
    fn get_type(&self) -> &Type {
        Self::cel_type()
    }

    fn cel_type() -> &'static Type {
        static TYPE: LazyLock<Type> = LazyLock::new(|| Type::new_opaque_type("regex"));
        &TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn std::any::Any> {
        Some(self)
    }
}

impl StaticVal for Compiled {}

/// The request as values, each made when first asked for, and once.
pub(super) struct Inputs<'q> {
    query: &'q Query<'q>,
    roles: OnceLock<Box<dyn Val>>,
    principal: OnceLock<Box<dyn Val>>,
    resource: OnceLock<Box<dyn Val>>,
    claims: OnceLock<Box<dyn Val>>,
}

impl<'q> Inputs<'q> {
    pub fn new(query: &'q Query<'q>) -> Self {
        Self {
            query,
            roles: OnceLock::new(),
            principal: OnceLock::new(),
            resource: OnceLock::new(),
            claims: OnceLock::new(),
        }
    }

    pub fn roles(&self) -> &[&str] {
        self.query.principal.roles
    }

    fn value(&self, name: &str) -> Option<CowVal<'_, '_>> {
        let query = self.query;
        let made = match name {
            PRINCIPAL_ID => return Some(text(query.principal.id)),
            RESOURCE_ID => return Some(text(query.resource.id)),
            RESOURCE_KIND => return Some(text(query.resource.kind)),
            RESOURCE_SCOPE => return Some(text(query.resource.scope)),
            PRINCIPAL_ROLES => self.roles.get_or_init(|| strings(query.principal.roles)),
            PRINCIPAL_ATTR => {
                self.principal.get_or_init(|| object(&query.principal.attr.attributes()))
            }
            RESOURCE_ATTR => {
                self.resource.get_or_init(|| object(&query.resource.attr.attributes()))
            }
            CLAIMS => self.claims.get_or_init(|| match query.claims {
                Some(claims) => object(claims),
                None => object(&Attributes::new()),
            }),
            _ => return None,
        };
        Some(CowVal::Borrowed(made.as_ref()))
    }
}

fn text(text: &str) -> CowVal<'_, '_> {
    CowVal::owned(CelString::from(text))
}

fn strings(items: &[&str]) -> Box<dyn Val> {
    let items: Vec<Box<dyn Val>> = items
        .iter()
        .map(|item| -> Box<dyn Val> { Box::new(CelString::from((*item).to_owned())) })
        .collect();
    Box::new(CelList::from(items))
}

fn object(members: &Attributes) -> Box<dyn Val> {
    let map: HashMap<CelMapKey<'static>, Box<dyn Val>> =
        members.iter().map(|(key, member)| (CelMapKey::from(key.clone()), value(member))).collect();
    Box::new(CelMap::from(map))
}

/// JSON as the PDP sees it: every number is a double.
fn value(json: &serde_json::Value) -> Box<dyn Val> {
    match json {
        serde_json::Value::Null => Box::new(CelNull),
        serde_json::Value::Bool(value) => Box::new(CelBool::from(*value)),
        serde_json::Value::Number(number) => {
            Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
        }
        serde_json::Value::String(text) => Box::new(CelString::from(text.clone())),
        serde_json::Value::Array(items) => {
            Box::new(CelList::from(items.iter().map(value).collect::<Vec<_>>()))
        }
        serde_json::Value::Object(members) => object(members),
    }
}

/// The names of one evaluation.
pub(super) struct Scope<'q> {
    inputs: Option<&'q Inputs<'q>>,
    regexes: &'q [Compiled],
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(index) = name.strip_prefix(REGEX) {
            let regex = self.regexes.get(index.parse::<usize>().ok()?)?;
            return Some(CowVal::Borrowed(regex));
        }
        self.inputs?.value(name)
    }
}

impl<'q> Scope<'q> {
    pub fn new(inputs: &'q Inputs<'q>, regexes: &'q [Compiled]) -> Self {
        Self { inputs: Some(inputs), regexes }
    }

    /// Without a request, for what can be known at load.
    pub fn constant(regexes: &'q [Compiled]) -> Self {
        Self { inputs: None, regexes }
    }

    /// Whether the expression is true: anything but a boolean counts as false, as in the PDP.
    ///
    /// # Errors
    /// What the expression failed with, without any value of the request.
    pub fn is_true(&self, expr: &IdedExpr) -> Result<bool, String> {
        self.evaluate(expr, |value| value.downcast_ref::<CelBool>().is_some_and(|b| *b.inner()))
    }

    /// # Errors
    /// What the expression failed with.
    pub fn value(&self, expr: &IdedExpr) -> Result<(), String> {
        self.evaluate(expr, |_| ())
    }

    fn evaluate<T>(
        &self,
        expr: &IdedExpr,
        read: impl FnOnce(&(dyn Val + '_)) -> T,
    ) -> Result<T, String> {
        let mut context = Context::with_env(Arc::clone(environment()));
        context.set_variable_resolver(self);
        STEPS.set(MAX_STEPS);
        match Value::resolve_val(expr, &context) {
            // A bound that was hit may have been absorbed by `||` or `&&`.
            Ok(_) if STEPS.get() == 0 => Err(format!("it needs more than {MAX_STEPS} steps")),
            Ok(value) => Ok(read(value.as_ref())),
            Err(error) => Err(describe(&error)),
        }
    }
}

/// The kind of fault; values of the request stay out of it.
fn describe(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchOverload(overload) => overload.to_string(),
        ExecutionError::NoSuchKey(_) => "a key that it names does not exist".to_owned(),
        ExecutionError::UndeclaredReference(name) => format!("'{name}' is not declared"),
        ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds".to_owned(),
        ExecutionError::FunctionError { function, message } if function == CHARGE => {
            message.clone()
        }
        _ => "it could not be evaluated".to_owned(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of an overload")]
fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    if let [text, pattern] = args.as_slice()
        && let Some(text) = text.downcast_ref::<CelString>()
        && let Some(pattern) = pattern.downcast_ref::<Compiled>()
    {
        return Ok(CowVal::owned(CelBool::from(pattern.0.is_match(text.inner()))));
    }
    Err(ExecutionError::no_such_overload("matches", types(&args)))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of an overload")]
fn has<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [operand, field] = args.as_slice() else {
        return Err(ExecutionError::no_such_overload("has", types(&args)));
    };
    let present = match (operand.downcast_ref::<CelMap>(), field.downcast_ref::<CelString>()) {
        (Some(map), Some(field)) => {
            map.inner().contains_key(&CelMapKey::from(field.inner().to_owned()))
        }
        // A list is asked for an element by a name, which is an error; other values have no members.
        _ if operand.downcast_ref::<CelList>().is_some() => {
            return Err(ExecutionError::no_such_overload("has", types(&args)));
        }
        _ => false,
    };
    Ok(CowVal::owned(CelBool::from(present)))
}

/// `in`: what cannot be a key is in no map, where the crate fails. A list costs its length.
#[expect(clippy::needless_pass_by_value, reason = "the signature of an overload")]
fn within<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let unknown = || ExecutionError::no_such_overload("in", types(&args));
    let [needle, haystack] = args.as_slice() else {
        return Err(unknown());
    };
    let no_key = needle.downcast_ref::<CelNull>().is_some()
        || needle.downcast_ref::<CelList>().is_some()
        || needle.downcast_ref::<CelMap>().is_some();
    if no_key && haystack.downcast_ref::<CelMap>().is_some() {
        return Ok(CowVal::owned(CelBool::from(false)));
    }
    spend(haystack.downcast_ref::<CelList>().map_or(1, |list| list.inner().len()))?;
    let container = haystack.as_container().ok_or_else(unknown)?;
    container.contains(needle.as_ref()).map(|found| CowVal::owned(CelBool::from(found)))
}

fn charge<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let Some(range) = args.pop() else {
        return Err(ExecutionError::no_such_overload(CHARGE, Vec::new()));
    };
    let size = if let Some(list) = range.downcast_ref::<CelList>() {
        list.inner().len()
    } else if let Some(map) = range.downcast_ref::<CelMap>() {
        map.inner().len()
    } else {
        1
    };
    spend(size)?;
    Ok(range)
}

fn spend(steps: usize) -> Result<(), ExecutionError> {
    let left = STEPS.get().saturating_sub(steps);
    STEPS.set(left);
    if left > 0 {
        return Ok(());
    }
    let message = format!("it needs more than {MAX_STEPS} steps");
    Err(ExecutionError::function_error(CHARGE, message))
}

fn types(args: &[CowVal<'_, '_>]) -> Vec<String> {
    args.iter().map(|arg| arg.get_type().name().to_owned()).collect()
}
