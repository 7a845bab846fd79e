//! Pages of a list: `limit`, `cursor`, and `next_cursor` with its `Link`.

use super::error::Refusal;
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

/// # Errors
/// `invalid-input` for anything that no page gave out.
pub fn cursor(text: &str) -> Result<Cursor, Refusal> {
    let wrong = || Refusal::invalid("/cursor", "invalid", "expected a next_cursor of this list");
    Cursor::parse(text).ok_or_else(wrong)
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
