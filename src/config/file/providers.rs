//! The shape of `policy.providers`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::{Count, Flag, Span, Text};

type Attributes = BTreeMap<String, Value>;

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Provider {
    /// The kind, like document
    pub resource: Text,
    pub key: Option<ProviderKey>,
    /// The first that has the resource tells its attributes
    #[schemars(length(min = 1, max = 4))]
    pub sources: Vec<ProviderSource>,
    #[schemars(length(max = 32))]
    pub validate: Option<Vec<ProviderCheck>>,
    /// For a resource that no source has
    pub default: Option<Attributes>,
}

/// `{id}` when absent
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum ProviderKey {
    Template(Text),
    Transform(KeyTransform),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct KeyTransform {
    /// Text with {id}, {kind} or {tool}
    pub template: Option<Text>,
    /// A key without it is one that no source has
    pub strip_prefix: Option<Text>,
    pub lower_case: Option<Flag>,
}

/// Exactly one of `static`, `http` and `redis`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ProviderSource {
    /// Ids with their attributes, or a file with them
    #[schemars(rename = "static")]
    pub fixed: Option<StaticSource>,
    pub http: Option<HttpSource>,
    pub redis: Option<RedisSource>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum StaticSource {
    File(StaticFile),
    Inline(BTreeMap<String, Attributes>),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct StaticFile {
    pub file: Text,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HttpSource {
    /// With {key}, {id}, {kind} or {tool} after the host
    pub url: Text,
    /// At most 10s; 250ms when absent
    pub timeout: Option<Span>,
    /// A file with a bearer token
    pub token_file: Option<Text>,
    pub cache: Option<SourceCache>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SourceCache {
    pub ttl: Span,
    pub entries: Option<Count>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RedisSource {
    pub url: Text,
    pub key: Text,
    /// At most 10s; 250ms when absent
    pub timeout: Option<Span>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ProviderCheck {
    /// CEL over R
    pub require: Text,
    /// not-found or denied
    pub otherwise: Text,
    pub message: Option<Text>,
}
