//! JSON as a token may carry it: one object, no member twice (at any level), bounded depth.
//!
//! Parsers that keep the first and parsers that keep the last of two equal members would read two
//! different tokens (RFC 7519, section 4 lets us refuse).

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Objects and arrays inside one another, the outermost included.
pub const MAX_DEPTH: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonRefused {
    #[error("it is not a JSON object in UTF-8")]
    Malformed,
    #[error("a member occurs twice")]
    Duplicate,
    #[error("it is nested too deeply")]
    TooDeep,
}

/// # Errors
/// Anything but one object within the bounds.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, JsonRefused> {
    let why = Cell::new(JsonRefused::Malformed);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let strict = Strict { left: MAX_DEPTH, why: &why };
    let value = strict.deserialize(&mut reader).map_err(|_| why.get())?;
    reader.end().map_err(|_| JsonRefused::Malformed)?;
    match value {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(JsonRefused::Malformed)
        }
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    left: u8,
    why: &'a Cell<JsonRefused>,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(self, why: JsonRefused) -> E {
        self.why.set(why);
        E::custom(why)
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1).ok_or_else(|| self.refuse(JsonRefused::TooDeep))?;
        Ok(Self { left, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(deeper)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(self.refuse::<A::Error>(JsonRefused::Duplicate)));
            }
            members.insert(name, access.next_value_seed(deeper)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_object_is_read_as_it_is() {
        let text = br#" {"a":[1,-2,1.5,null,true,"x"],"b":{"c":{}}} "#;
        let plain: Map<String, Value> = serde_json::from_slice(text).unwrap();
        assert_eq!(parse_object(text), Ok(plain));
    }

    #[test]
    fn a_member_that_occurs_twice_is_refused_at_every_level_and_in_every_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[{"a":1,"b":0,"a":2}]}"#,
        ] {
            assert_eq!(parse_object(text.as_bytes()), Err(JsonRefused::Duplicate), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_object_in_utf_8_is_refused() {
        for text in [
            &b""[..],
            b"[]",
            b"1",
            b"null",
            b"\"a\"",
            b"{} {}",
            b"{}x",
            b"{a:1}",
            b"{'a':1}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{\"\xc0\x80\":1}",
            b"{\"a\":1e999}",
            br#"{"a":"\ud800"}"#,
            b"{\"a\":\"\x00\"}",
            b"{\"a\":NaN}",
            b"{\"a\":01}",
            b"{\"a\":1,}",
            b"\xfe\xff\x00{\x00}",
        ] {
            assert_eq!(parse_object(text), Err(JsonRefused::Malformed), "{text:?}");
        }
    }

    #[test]
    fn depth_is_bounded_before_it_costs_anything() {
        let nested = |depth: usize| format!("{}{}", r#"{"a":"#.repeat(depth), "[".repeat(depth));
        assert_eq!(parse_object(nested(10_000).as_bytes()), Err(JsonRefused::TooDeep));
        let fits = format!("{}1{}", r#"{"a":"#.repeat(16), "}".repeat(16));
        assert!(parse_object(fits.as_bytes()).is_ok());
        let too_deep = format!("{}1{}", r#"{"a":"#.repeat(17), "}".repeat(17));
        assert_eq!(parse_object(too_deep.as_bytes()), Err(JsonRefused::TooDeep));
    }
}
