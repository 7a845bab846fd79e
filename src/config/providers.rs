//! Where the attributes of resources come from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{RedisAddress, RedisLogin};

pub type Attributes = Map<String, Value>;

/// The sources for one kind of resource.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    pub resource: Arc<str>,
    pub key: KeyConfig,
    /// At least one. The first that has the resource tells its attributes.
    pub sources: Vec<SourceConfig>,
    /// Every one has to hold, in this order.
    pub validate: Vec<CheckConfig>,
    /// For a resource that no source has.
    pub default: Option<Attributes>,
}

/// From the id of a resource to what it is called in the sources.
#[derive(Clone, Debug)]
pub struct KeyConfig {
    pub template: LookupTemplate,
    /// A key that does not begin with it is one that no source has.
    pub strip_prefix: Option<Arc<str>>,
    pub lower_case: bool,
}

#[derive(Clone, Debug)]
pub enum SourceConfig {
    Static(Arc<BTreeMap<Arc<str>, Attributes>>),
    Http(HttpSourceConfig),
    Redis(RedisSourceConfig),
}

/// `GET`: 200 with a JSON object, or 404 or 410.
#[derive(Clone, Debug)]
pub struct HttpSourceConfig {
    /// Up to the end of the authority: `http://127.0.0.1:9000`
    pub origin: Arc<str>,
    /// The rest. What is put in is percent-encoded.
    pub target: LookupTemplate,
    pub timeout: Duration,
    /// A file with a bearer token.
    pub token_file: Option<PathBuf>,
    pub cache: Option<CacheConfig>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    pub ttl: Duration,
    pub entries: usize,
}

/// `HGETALL`: an empty hash is one that is not there.
#[derive(Clone, Debug)]
pub struct RedisSourceConfig {
    pub address: RedisAddress,
    pub login: RedisLogin,
    pub database: u16,
    pub key: LookupTemplate,
    pub timeout: Duration,
}

/// A condition over the resource, and what becomes of a request for one for which it does not hold.
#[derive(Clone, Debug)]
pub struct CheckConfig {
    /// CEL; compiled where it is used.
    pub require: Arc<str>,
    pub otherwise: Otherwise,
    pub message: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    NotFound,
    Denied,
}

/// A template over `{id}`, `{kind}`, `{tool}` and, in sources, `{key}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupTemplate(pub Vec<LookupPart>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupPart {
    Text(Arc<str>),
    Id,
    Kind,
    Tool,
    Key,
}
