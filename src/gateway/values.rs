//! Resource id and scope from a request: `{path.x}`, `{query.x}`, `{header.x}`, `{method}`.
//!
//! A value that the tool could read in another way than we do is refused: a query parameter or a
//! header that occurs twice, an escape that is broken or not UTF-8, a `+` or `;` in a query value
//! (a space or a separator to some). A captured path segment is taken as it is written, escapes
//! included; a query value is decoded once.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use crate::config::{Rule, ValuePart, ValueTemplate};

use super::headers::is_spelling_of;
use super::refusal::Refusal;
use super::target::Target;

/// Where values come from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub target: &'a Target<'a>,
    pub headers: &'a HeaderMap,
    pub rule: &'a Rule,
    /// The path that the rule matched.
    pub path: &'a str,
}

impl Source<'_> {
    /// # Errors
    /// `bad-request`: a part is missing, empty, double or cannot be read in one way.
    pub fn evaluate(&self, template: &ValueTemplate) -> Result<Arc<str>, Refusal> {
        let mut text = String::new();
        for part in &template.0 {
            match part {
                ValuePart::Text(part) => text.push_str(part),
                ValuePart::Method => text.push_str(self.target.method.as_str()),
                ValuePart::Path(name) => text.push_str(self.captured(name)?),
                ValuePart::Query(name) => text.push_str(&self.parameter(name)?),
                ValuePart::Header(name) => text.push_str(self.header(name)?),
            }
        }
        Ok(text.into())
    }

    fn captured(&self, name: &str) -> Result<&str, Refusal> {
        let mut segment = None;
        self.rule.path.capture(self.path, |found, value| {
            if found == name {
                segment = Some(value);
            }
        });
        segment.ok_or_else(|| missing("path segment", name))
    }

    fn parameter(&self, name: &str) -> Result<Cow<'_, str>, Refusal> {
        let mut found = None;
        for pair in self.target.query.unwrap_or_default().split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if decoded(key, name)? != name {
                continue;
            }
            if found.replace(value).is_some() {
                return Err(double("query parameter", name));
            }
        }
        let value =
            found.filter(|v| !v.is_empty()).ok_or_else(|| missing("query parameter", name))?;
        if value.contains(['+', ';']) {
            return Err(unclear(name));
        }
        decoded(value, name)
    }

    fn header(&self, name: &HeaderName) -> Result<&str, Refusal> {
        let spellings = self.headers.keys().filter(|key| is_spelling_of(key, name)).count();
        let mut values = self.headers.get_all(name).iter();
        let (first, second) = (values.next(), values.next());
        if second.is_some() || spellings > 1 {
            return Err(double("header", name.as_str()));
        }
        let nominated = self.headers.get_all(CONNECTION).iter().any(|value| {
            let mut options = value.as_bytes().split(|&byte| byte == b',');
            options.any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
        });
        let value = first.and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
        value.filter(|_| !nominated).ok_or_else(|| missing("header", name.as_str()))
    }
}

/// Decoded once, strictly.
fn decoded<'a>(text: &'a str, name: &str) -> Result<Cow<'a, str>, Refusal> {
    let bytes = text.as_bytes();
    for at in memchr::memchr_iter(b'%', bytes) {
        let digits = bytes.get(at + 1..at + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(unclear(name));
        }
    }
    let value = percent_decode_str(text).decode_utf8().map_err(|_| unclear(name))?;
    if value.contains(|letter: char| letter.is_control()) { Err(unclear(name)) } else { Ok(value) }
}

fn missing(what: &str, name: &str) -> Refusal {
    Refusal::bad_request(format!("the {what} {name:?}, which the rule needs, is missing"))
}

fn double(what: &str, name: &str) -> Refusal {
    Refusal::bad_request(format!("the {what} {name:?}, which the rule needs, occurs twice"))
}

fn unclear(name: &str) -> Refusal {
    Refusal::bad_request(format!(
        "the query cannot be read in one way only, where {name:?} is asked"
    ))
}
