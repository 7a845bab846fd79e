//! From and to JSON.

use super::map::Map;
use super::value::Value;
use base64::Engine as _;
use std::sync::Arc;

impl Value {
    /// As a `google.protobuf.Value`: every number is a double.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::from(text.as_str()),
            serde_json::Value::Array(values) => {
                Self::list(values.iter().map(Self::from_json).collect::<Arc<[_]>>())
            }
            serde_json::Value::Object(members) => Self::from_members(members),
        }
    }

    /// The map that an object is.
    #[must_use]
    pub fn from_members(members: &serde_json::Map<String, serde_json::Value>) -> Self {
        let members = members.iter();
        let values = members.map(|(key, value)| (key.as_str(), Self::from_json(value)));
        Self::map(Map::of_strings(values))
    }

    /// As the PDP's outputs show it; `None` for what they cannot (types, infinities, empty
    /// optionals, keys that are no strings).
    #[must_use]
    pub fn to_json(&self) -> Option<serde_json::Value> {
        use serde_json::Value as Json;
        Some(match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            // As the PDP's outputs: doubles there, the beyond of 2^53 as text.
            Self::Int(value) => integer(i128::from(*value)),
            Self::Uint(value) => integer(i128::from(*value)),
            Self::Double(value) => Json::Number(serde_json::Number::from_f64(*value)?),
            Self::String(text) => Json::String(text.to_string()),
            Self::Bytes(bytes) => {
                Json::String(base64::engine::general_purpose::STANDARD.encode(bytes))
            }
            Self::List(values) => {
                Json::Array(values.iter().map(Self::to_json).collect::<Option<_>>()?)
            }
            Self::Map(map) => {
                let mut members = serde_json::Map::new();
                for (key, value) in map.iter() {
                    members.insert(key.as_str()?.to_owned(), value.to_json()?);
                }
                Json::Object(members)
            }
            Self::Duration(nanos) => Json::String(super::text::duration(*nanos)),
            Self::Timestamp(at) => Json::String(at.to_text()),
            Self::Optional(Some(value)) => value.to_json()?,
            Self::Type(_) | Self::Optional(None) => return None,
            Self::Opaque(value) => Json::String(value.to_text()?),
        })
    }
}

fn integer(value: i128) -> serde_json::Value {
    const EXACT: i128 = (1 << 53) - 1;
    if (-EXACT..=EXACT).contains(&value) {
        serde_json::Value::from(i64::try_from(value).unwrap_or_default())
    } else {
        serde_json::Value::String(value.to_string())
    }
}
