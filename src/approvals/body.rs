//! JSON bodies: bounded in size and time, no unknown fields, every complaint with a pointer.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, Visitor};

use super::SharedApi;
use super::error::Refusal;
use crate::problem::ProblemCode;
use crate::strict_json;

/// The most bytes a body may have.
pub const LIMIT: usize = 64 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);

/// A body that was read and understood, with its bytes for the idempotency fingerprint.
#[derive(Clone, Debug)]
pub struct Json<T> {
    pub value: T,
    pub bytes: Bytes,
}

/// A body that may be left out where every field is optional.
#[derive(Clone, Debug)]
pub struct OptionalJson<T> {
    pub value: T,
    pub bytes: Bytes,
}

/// One JSON object whose members somebody else understands: none twice, at any level.
#[derive(Clone, Debug)]
pub struct JsonObject {
    pub members: serde_json::Map<String, serde_json::Value>,
    pub bytes: Bytes,
}

impl FromRequest<SharedApi> for JsonObject {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &SharedApi) -> Result<Self, Refusal> {
        require_json(request.headers())?;
        let bytes = read(request.into_body()).await?;
        let members = strict_json::parse_object(&bytes)
            .map_err(|why| Refusal::bad_request(format!("the body is refused: {why}")))?;
        Ok(Self { members, bytes })
    }
}

impl<T: DeserializeOwned> FromRequest<SharedApi> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &SharedApi) -> Result<Self, Refusal> {
        require_json(request.headers())?;
        let bytes = read(request.into_body()).await?;
        Ok(Self { value: parse(&bytes)?, bytes })
    }
}

impl<T: DeserializeOwned> FromRequest<SharedApi> for OptionalJson<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &SharedApi) -> Result<Self, Refusal> {
        let typed = require_json(request.headers());
        let bytes = read(request.into_body()).await?;
        if bytes.is_empty() {
            return Ok(Self { value: parse(b"{}")?, bytes });
        }
        typed?;
        Ok(Self { value: parse(&bytes)?, bytes })
    }
}

/// Only this media type: a form or text that a browser sends across sites is not accepted.
fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = sent.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::bad_request("the body must be sent with Content-Type: application/json"))
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    let reading = Limited::new(body, LIMIT).collect();
    let read = tokio::time::timeout(DEADLINE, reading)
        .await
        .map_err(|_| Refusal::bad_request("the body did not arrive in time"))?;
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("the body has more than {LIMIT} bytes");
            Err(Refusal::new(ProblemCode::TooLarge, detail))
        }
        Err(_) => Err(Refusal::bad_request("the body could not be read")),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    // The reader would take a list for an object whose members come in that order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Refusal::invalid("", "wrong-type", "expected an object, found a list"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| complaint(&error))?;
    reader.end().map_err(|_| Refusal::bad_request("the body has more than one JSON value"))?;
    Ok(value)
}

/// An object as a map; a member that stands there twice is refused, since whoever showed it to
/// somebody else may have read the other one.
///
/// # Errors
/// Not an object, a member twice, or a value that is not a `V`.
pub fn distinct<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    deserializer.deserialize_map(Distinct(PhantomData))
}

struct Distinct<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Distinct<V> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut all = BTreeMap::new();
        while let Some((name, value)) = members.next_entry::<String, V>()? {
            if all.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
            all.insert(name, value);
        }
        Ok(all)
    }
}

fn complaint(error: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    let (inner, pointer) = (error.inner(), pointer(error.path()));
    if !inner.is_data() {
        return Refusal::bad_request(format!("the body is not JSON: {}", bounded(inner)));
    }
    let text = bounded(inner);
    let (code, pointer) = match text.split('`').nth(1) {
        Some(_) if text.starts_with("unknown field") => ("unknown-field", pointer),
        Some(name) if text.starts_with("duplicate field") => {
            ("duplicate", format!("{pointer}/{}", escape(name)))
        }
        Some(name) if text.starts_with("missing field") => {
            ("required", format!("{pointer}/{}", escape(name)))
        }
        Some(_) | None => ("wrong-type", pointer),
    };
    Refusal::invalid(pointer, code, text)
}

/// What the parser says may quote the input; keep it short.
fn bounded(error: &serde_json::Error) -> String {
    error.to_string().chars().take(300).collect()
}

/// RFC 6901.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => {
            let key: String = key.chars().take(64).collect();
            format!("{pointer}/{}", escape(&key))
        }
        Segment::Enum { variant } => format!("{pointer}/{}", escape(variant)),
        Segment::Unknown => pointer,
    })
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
