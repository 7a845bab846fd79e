//! What a resource is called in its sources.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use crate::config::{KeyConfig, LookupPart, LookupTemplate};

use super::Wanted;

/// Longer names are those of nothing, in bytes.
const LONGEST: usize = 1024;

/// From an id to the key that sources are asked for.
#[derive(Debug)]
pub struct Key {
    template: LookupTemplate,
    strip_prefix: Option<Arc<str>>,
    lower_case: bool,
}

impl Key {
    #[must_use]
    pub fn new(config: &KeyConfig) -> Self {
        let KeyConfig { template, strip_prefix, lower_case } = config.clone();
        Self { template, strip_prefix, lower_case }
    }

    /// `None`: no source can have it.
    #[must_use]
    pub fn of(&self, wanted: &Wanted<'_>) -> Option<String> {
        let made = written(&self.template, wanted, "", as_is);
        let stripped = match &self.strip_prefix {
            Some(prefix) => made.strip_prefix(&**prefix)?,
            None => &made,
        };
        let key = if self.lower_case { stripped.to_lowercase() } else { stripped.to_owned() };
        ((1..=LONGEST).contains(&key.len())).then_some(key)
    }
}

/// The template with its parts put in, each as `encode` writes it.
#[must_use]
pub fn written(
    template: &LookupTemplate,
    wanted: &Wanted<'_>,
    key: &str,
    encode: impl Fn(&str) -> Cow<'_, str>,
) -> String {
    let mut text = String::new();
    for part in &template.0 {
        match part {
            LookupPart::Text(part) => text.push_str(part),
            LookupPart::Id => text.push_str(&encode(wanted.id)),
            LookupPart::Kind => text.push_str(&encode(wanted.kind)),
            LookupPart::Tool => text.push_str(&encode(wanted.tool)),
            LookupPart::Key => text.push_str(&encode(key)),
        }
    }
    text
}

/// No escapes.
#[must_use]
pub const fn as_is(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

/// Everything but the unreserved characters (RFC 3986, section 2.3) as an escape: one segment, or
/// one value of a query, whatever is in it.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut made = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if is_plain(byte) {
            made.push(char::from(byte));
        } else {
            let _never_fails = write!(made, "%{byte:02X}");
        }
    }
    Cow::Owned(made)
}
