//! A key set as a document (RFC 7517, section 5).

use std::collections::BTreeMap;

use serde_json::Value;

use super::jwk;
use super::police::KeyDropped;
use super::{Dropped, KeySet};
use crate::config::Algorithm;
use crate::domain::time::Timestamp;
use crate::strict_json::{self, JsonRefused};

/// Bytes of a document, from a file or over the network.
pub const MAX_DOCUMENT: usize = 1024 * 1024;
const MAX_KEYS: usize = 256;

/// The whole document is not a key set; nothing is taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentRefused {
    #[error("the key set is larger than 1 MiB")]
    TooLarge,
    #[error("the key set is not acceptable JSON: {0}")]
    Json(#[from] JsonRefused),
    #[error("the document has no list `keys`")]
    NoList,
    #[error("the key set has more than 256 keys")]
    TooMany,
}

/// Bad keys are dropped one by one; an empty set is a set.
///
/// # Errors
/// The document is not a key set.
pub fn parse(
    document: &[u8],
    algorithms: &[Algorithm],
    now: Timestamp,
) -> Result<KeySet, DocumentRefused> {
    if document.len() > MAX_DOCUMENT {
        return Err(DocumentRefused::TooLarge);
    }
    let document = strict_json::parse_object(document)?;
    let listed = document.get("keys").and_then(Value::as_array).ok_or(DocumentRefused::NoList)?;
    if listed.len() > MAX_KEYS {
        return Err(DocumentRefused::TooMany);
    }
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for id in listed.iter().filter_map(id_of) {
        *times.entry(id).or_default() += 1;
    }
    let (mut keys, mut dropped) = (Vec::new(), Vec::new());
    for (position, one) in listed.iter().enumerate() {
        let id = id_of(one);
        let twice = id.and_then(|id| times.get(id)).is_some_and(|times| *times > 1);
        let read = if twice { Err(KeyDropped::DuplicateId) } else { jwk::read(one, algorithms) };
        match read {
            Ok(key) => keys.push(key),
            Err(why) => dropped.push(Dropped { key: shown(id, position), why }),
        }
    }
    Ok(KeySet::new(keys, dropped, now))
}

fn id_of(jwk: &Value) -> Option<&str> {
    jwk.get("kid").and_then(Value::as_str)
}

fn shown(id: Option<&str>, position: usize) -> std::sync::Arc<str> {
    id.map_or_else(|| position.to_string(), |id| id.chars().take(64).collect()).into()
}
