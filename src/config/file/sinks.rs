//! The shape of the entries of `audit.sinks`.

use schemars::JsonSchema;

use super::{Count, Span, Text, Texts};

/// Exactly one of `file` and `webhook`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct MadeSink {
    pub file: Option<SinkPath>,
    pub webhook: Option<Webhook>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SinkPath {
    pub path: Text,
}

/// An HTTP endpoint, called once for each event, signed (Standard Webhooks). Exactly one of
/// `secret_file` and `secret`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Webhook {
    pub name: Text,
    /// http or https; https off loopback
    pub url: Text,
    /// Files with `whsec_` and 24 to 64 bytes in base64, for their owner alone; each of them signs
    pub secret_file: Option<OneOrMore>,
    /// The same as text: `${NAME}`
    pub secret: Option<OneOrMore>,
    /// Types of events without `dev.tidegate.` and `.v1`, `*` for any characters; every transition
    /// when absent. `decision.*` and `lease.*` only where they are named
    #[schemars(length(min = 1))]
    pub types: Option<Texts>,
    /// Names of those whose access it is, `*` for any characters; everybody when absent
    #[schemars(length(min = 1))]
    pub subjects: Option<Texts>,
    /// 100ms to 60s for one call, 5s when absent
    pub timeout: Option<Span>,
    /// 1m to 7d, 24h when absent: then an event that was not taken is a dead letter
    pub retry_for: Option<Span>,
    /// Roots to trust (PEM) instead of Mozilla's
    pub ca: Option<Text>,
    /// 1 to 64 calls at once, 8 when absent
    pub max_in_flight: Option<Count>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum OneOrMore {
    One(Text),
    More(Texts),
}
