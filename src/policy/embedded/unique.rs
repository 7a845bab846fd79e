//! Attributes as they are written: a key twice in one object is refused, at any depth, as by the
//! PDP. Which of the two counts would otherwise be an accident.

use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::input::Attributes;

/// No attributes where there is `null`.
pub(super) fn or_none<'de, D: Deserializer<'de>>(it: D) -> Result<Attributes, D::Error> {
    or_absent(it).map(Option::unwrap_or_default)
}

pub(super) fn or_absent<'de, D: Deserializer<'de>>(it: D) -> Result<Option<Attributes>, D::Error> {
    match Option::<Unique>::deserialize(it)? {
        None | Some(Unique(Json::Null)) => Ok(None),
        Some(Unique(Json::Object(members))) => Ok(Some(members)),
        Some(_) => Err(D::Error::custom("expected an object")),
    }
}

struct Unique(Json);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build).map(Self)
    }
}

struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, it: bool) -> Result<Json, E> {
        Ok(it.into())
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<Json, E> {
        Ok(it.into())
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<Json, E> {
        Ok(it.into())
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<Json, E> {
        serde_json::Number::from_f64(it).map(Json::Number).ok_or_else(|| E::custom("no number"))
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<Json, E> {
        Ok(it.into())
    }

    fn visit_string<E: Error>(self, it: String) -> Result<Json, E> {
        Ok(it.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut found = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            found.push(item);
        }
        Ok(Json::Array(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut found = Attributes::new();
        while let Some(key) = members.next_key::<String>()? {
            if found.contains_key(&key) {
                return Err(A::Error::custom(format!("the key '{key}' is there twice")));
            }
            let Unique(value) = members.next_value()?;
            found.insert(key, value);
        }
        Ok(Json::Object(found))
    }
}
