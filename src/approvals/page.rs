//! Pages of a list: `limit`, `cursor`, and `next_cursor` with its `Link`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::Refusal;
use crate::domain::time::Timestamp;
use crate::store::Cursor;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// # Errors
/// `invalid-input` unless it is a number from 1 to 200.
pub fn limit(text: Option<&str>) -> Result<usize, Refusal> {
    let Some(text) = text else { return Ok(DEFAULT_LIMIT) };
    match text.parse::<usize>() {
        Ok(limit) if (1..=MAX_LIMIT).contains(&limit) && !text.starts_with('+') => Ok(limit),
        Ok(_) | Err(_) => {
            let detail = format!("expected a number from 1 to {MAX_LIMIT}");
            Err(Refusal::invalid("/limit", "out-of-range", detail))
        }
    }
}

/// The opaque text of a cursor: 8 bytes of time, 16 of id, in base64url.
#[must_use]
pub fn encode(cursor: Cursor) -> String {
    let mut bytes = [0; 24];
    let source = cursor.at.millis().to_be_bytes().into_iter().chain(cursor.id);
    bytes.iter_mut().zip(source).for_each(|(to, from)| *to = from);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// # Errors
/// `invalid-input` for anything that [`encode`] did not make.
pub fn decode(text: &str) -> Result<Cursor, Refusal> {
    let wrong = || Refusal::invalid("/cursor", "invalid", "expected a next_cursor of this list");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let (at, id) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
    let id: [u8; 16] = id.try_into().map_err(|_| wrong())?;
    Ok(Cursor { at: Timestamp::from_millis(u64::from_be_bytes(*at)), id })
}

/// One filter that takes one of a few words.
///
/// # Errors
/// `invalid-input` with a pointer to `name`.
pub fn one_of(name: &str, text: Option<&str>, words: &[&str]) -> Result<Option<String>, Refusal> {
    match text {
        None => Ok(None),
        Some(text) if words.contains(&text) => Ok(Some(text.to_owned())),
        Some(_) => {
            let detail = format!("expected one of {}", words.join(", "));
            Err(Refusal::invalid(format!("/{name}"), "not-offered", detail))
        }
    }
}
