//! Static types.

use super::value::Value;
use std::fmt;
use std::sync::Arc;

/// A type as the checker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only when evaluated.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    /// The type of types.
    Type,
    List(Arc<Type>),
    Map(Arc<(Type, Type)>),
    Optional(Arc<Type>),
    /// A library's own type.
    Opaque(&'static str),
    /// A type parameter: of an overload's signature, or one the checker has yet to determine.
    Param(u32),
    Message(Message),
}

/// The messages of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    Request,
    Principal,
    Resource,
    AuxData,
    Runtime,
    /// `V`, `C`, `G` and their long names.
    Variables,
    Constants,
    Globals,
}

impl Type {
    #[must_use]
    pub fn list(element: Type) -> Self {
        Self::List(Arc::new(element))
    }

    #[must_use]
    pub fn map(key: Type, value: Type) -> Self {
        Self::Map(Arc::new((key, value)))
    }

    #[must_use]
    pub fn optional(inner: Type) -> Self {
        Self::Optional(Arc::new(inner))
    }

    /// The types directly inside.
    #[must_use]
    pub fn parts(&self) -> Vec<&Type> {
        match self {
            Self::List(inner) | Self::Optional(inner) => vec![inner],
            Self::Map(inner) => vec![&inner.0, &inner.1],
            _ => Vec::new(),
        }
    }

    /// The same type, parts aside.
    #[must_use]
    pub fn same_kind(&self, other: &Type) -> bool {
        match (self, other) {
            (Self::List(_), Self::List(_))
            | (Self::Map(_), Self::Map(_))
            | (Self::Optional(_), Self::Optional(_)) => true,
            _ => self == other,
        }
    }

    /// Whether an argument may be passed for a parameter of this type: parts are not looked at,
    /// as in cel-go.
    #[must_use]
    pub fn admits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Dyn | Self::Param(_), _)
            | (Self::Null, Value::Null)
            | (Self::Bool, Value::Bool(_))
            | (Self::Int, Value::Int(_))
            | (Self::Uint, Value::Uint(_))
            | (Self::Double, Value::Double(_))
            | (Self::String, Value::String(_))
            | (Self::Bytes, Value::Bytes(_))
            | (Self::Duration, Value::Duration(_))
            | (Self::Timestamp, Value::Timestamp(_))
            | (Self::Type, Value::Type(_))
            | (Self::List(_), Value::List(_))
            | (Self::Map(_), Value::Map(_))
            | (Self::Optional(_), Value::Optional(_)) => true,
            (Self::Opaque(name), Value::Opaque(value)) => *name == value.type_name(),
            _ => false,
        }
    }

    /// Rewrites every type parameter inside.
    #[must_use]
    pub fn substitute(&self, replace: &mut dyn FnMut(u32) -> Type) -> Type {
        match self {
            Self::Param(id) => replace(*id),
            Self::List(inner) => Self::list(inner.substitute(replace)),
            Self::Optional(inner) => Self::optional(inner.substitute(replace)),
            Self::Map(inner) => Self::map(inner.0.substitute(replace), inner.1.substitute(replace)),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Dyn | Self::Param(_) => "dyn",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Duration => "google.protobuf.Duration",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Type => "type",
            Self::List(inner) => return write!(f, "list({inner})"),
            Self::Map(inner) => return write!(f, "map({}, {})", inner.0, inner.1),
            Self::Optional(inner) => return write!(f, "optional_type({inner})"),
            Self::Opaque(name) => name,
            Self::Message(message) => match message {
                Message::Request => "cerbos.engine.v1.Request",
                Message::Principal => "cerbos.engine.v1.Request.Principal",
                Message::Resource => "cerbos.engine.v1.Request.Resource",
                Message::AuxData => "cerbos.engine.v1.AuxData",
                Message::Runtime => "cerbos.engine.v1.Runtime",
                Message::Variables | Message::Constants | Message::Globals => "map(string, dyn)",
            },
        };
        f.write_str(name)
    }
}
