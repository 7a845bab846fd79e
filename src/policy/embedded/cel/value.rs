//! What an expression evaluates to.

use super::error::EvalError;
use super::map::Map;
use super::timestamp::Timestamp;
use super::types::Type;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A CEL value: cheap to clone. Equality is `compare::equal`, there is no `PartialEq`.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    List(Arc<[Value]>),
    Map(Arc<Map>),
    /// Nanoseconds, as in Go.
    Duration(i64),
    Timestamp(Timestamp),
    Type(Arc<Type>),
    Optional(Option<Arc<Value>>),
    Opaque(Arc<dyn Opaque>),
}

/// A value of a library: a hierarchy, an address.
pub trait Opaque: fmt::Debug + Send + Sync {
    /// As in `Type::Opaque`.
    fn type_name(&self) -> &'static str;
    /// What `this == other` is; `None` where the PDP has an error.
    fn equals(&self, other: &Value) -> Option<bool>;
    fn as_any(&self) -> &dyn Any;
    /// What a variable with this value says; `None` where the PDP cannot read it.
    fn in_variable(&self, this: &Value) -> Option<Value> {
        Some(this.clone())
    }
    /// What an output shows; `None` where the PDP cannot show it.
    fn to_text(&self) -> Option<String> {
        None
    }
}

impl Value {
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    pub fn list(values: impl Into<Arc<[Value]>>) -> Self {
        Self::List(values.into())
    }

    #[must_use]
    pub fn map(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }

    #[must_use]
    pub fn some(value: Value) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    #[must_use]
    pub const fn none() -> Self {
        Self::Optional(None)
    }

    pub fn opaque(value: impl Opaque + 'static) -> Self {
        Self::Opaque(Arc::new(value))
    }

    /// What a variable with this value says: the PDP keeps it without its library type.
    ///
    /// # Errors
    /// The PDP cannot read such a variable.
    pub fn in_variable(self) -> Result<Self, EvalError> {
        match &self {
            Self::Optional(None) => Ok(Self::Null),
            Self::Optional(Some(inner)) => Self::clone(inner).in_variable(),
            Self::Type(it) => Ok(Self::string(it.to_string())),
            Self::Opaque(it) => {
                let unreadable = || format!("a variable cannot be a {}", it.type_name());
                it.in_variable(&self).ok_or_else(|| EvalError::new(unreadable()))
            }
            _ => Ok(self),
        }
    }

    /// The library value of this type, when it is one.
    #[must_use]
    pub fn as_opaque<T: Opaque + 'static>(&self) -> Option<&T> {
        match self {
            Self::Opaque(value) => value.as_any().downcast_ref(),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A member of a map; `None` also for what is no map.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Map(map) => map.get_str(name),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    #[must_use]
    pub const fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Double(_))
    }

    /// What `type()` says: elements of containers are not looked at.
    #[must_use]
    pub fn type_of(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::Bytes,
            Self::List(_) => Type::list(Type::Dyn),
            Self::Map(_) => Type::map(Type::Dyn, Type::Dyn),
            Self::Duration(_) => Type::Duration,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Type(_) => Type::Type,
            Self::Optional(_) => Type::optional(Type::Dyn),
            Self::Opaque(value) => Type::Opaque(value.type_name()),
        }
    }

    /// cel-go's `IsZeroValue`, for `optional.ofNonZeroValue`.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) => true,
            Self::Int(value) | Self::Duration(value) => *value == 0,
            Self::Uint(value) => *value == 0,
            Self::Double(value) => *value == 0.0,
            Self::String(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::List(values) => values.is_empty(),
            Self::Map(map) => map.is_empty(),
            Self::Timestamp(at) => at.is_zero(),
            Self::Bool(true) | Self::Type(_) | Self::Optional(_) | Self::Opaque(_) => false,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::string(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}
