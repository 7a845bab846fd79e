//! Where events go.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkConfig {
    File { path: PathBuf },
    Stdout,
    Webhook(Box<WebhookConfig>),
}

/// An HTTP endpoint that gets every event in a call of its own, signed
/// (<https://www.standardwebhooks.com>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Distinct among webhooks.
    pub name: Arc<str>,
    /// `http` or `https`, without credentials.
    pub url: Uri,
    /// One or more; every one of them signs.
    pub secrets: Vec<WebhookSecret>,
    /// Of event types without `dev.tidegate.` and `.v1`. `None`: every transition.
    pub types: Option<Vec<Glob>>,
    /// Of the names of those whose access it is. `None`: everybody.
    pub subjects: Option<Vec<Glob>>,
    /// For a whole call, connecting included.
    pub timeout: Duration,
    /// How long after it happened an event is tried again.
    pub retry_for: Duration,
    /// PEM. Absent: Mozilla's roots.
    pub ca: Option<PathBuf>,
    /// How many calls are under way at once.
    pub max_in_flight: usize,
}

/// 24 to 64 bytes. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(pub Arc<[u8]>);

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSecret").finish_non_exhaustive()
    }
}

/// A text in which `*` stands for any characters, also none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Arc<str>);

impl Glob {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole text, case counts.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let mut last = None;
        for part in parts {
            if let Some(middle) = last.replace(part) {
                match rest.split_once(middle) {
                    Some((_, after)) => rest = after,
                    None => return false,
                }
            }
        }
        // Without any `*` the prefix has to be all of it.
        last.map_or(rest.is_empty(), |end| rest.ends_with(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_is_special() {
        let all = [
            ("grant.*", "grant.revoked", true),
            ("grant.*", "grant.", true),
            ("grant.*", "request.approved", false),
            ("*", "", true),
            ("*.approved", "request.approved", true),
            ("*.approved", "request.step-approved", false),
            ("*approved", "request.step-approved", true),
            ("re*ap*ed", "request.approved", true),
            ("re*ap*ed", "request.approved.", false),
            ("a*a", "a", false),
            ("a*b*b", "ab", false),
            ("a**b", "ab", true),
            ("grant.expired", "grant.expired", true),
            ("grant.expired", "grant.expired.", false),
            ("grant?expired", "grant.expired", false),
            ("Grant.*", "grant.expired", false),
        ];
        for (glob, text, fits) in all {
            assert_eq!(Glob::new(glob).matches(text), fits, "{glob} {text}");
        }
    }
}
