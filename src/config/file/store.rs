//! The shape of `store`.

use schemars::JsonSchema;

use super::{Count, Span, Text, Texts};

/// Exactly one of `embedded` and `redis`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Store {
    pub embedded: Option<Embedded>,
    pub redis: Option<Redis>,
    /// The first seals, all verify
    #[schemars(length(min = 1))]
    pub seal_keys: Vec<SealKey>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Embedded {
    /// A directory, created when it is not there
    pub path: Text,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SealKey {
    pub id: Text,
    /// A raw file of 32 bytes or more that only its owner may read
    pub file: Text,
}

/// A Redis or Valkey that several gateways may share. Exactly one of `url`, `cluster` and `sentinel`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Redis {
    /// `redis://[user:password@]host[:port][/database]`, with TLS `rediss://`
    pub url: Option<Text>,
    /// Addresses of nodes of a Cluster; the others are found from them
    #[schemars(length(min = 1))]
    pub cluster: Option<Texts>,
    pub sentinel: Option<Sentinel>,
    pub username: Option<Text>,
    pub password: Option<Text>,
    pub database: Option<Count>,
    pub tls: Option<RedisTls>,
    /// For one read or commit, 10ms to 5s; 250ms when absent
    pub timeout: Option<Span>,
    /// memory (when absent), fsync or replicated
    pub acknowledge: Option<Text>,
    /// How many replicas have to be connected and up to date
    pub replicas: Option<Count>,
    /// A replica that answered longer ago does not count; 5s when absent
    pub max_replica_lag: Option<Span>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Sentinel {
    /// The name that the Sentinels know the primary by
    pub master: Text,
    #[schemars(length(min = 1))]
    pub nodes: Texts,
    /// At the Sentinels
    pub username: Option<Text>,
    pub password: Option<Text>,
}

/// PEM files; without `ca` Mozilla's roots are trusted
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RedisTls {
    pub ca: Option<Text>,
    /// For a server that wants to know its clients: chain and key
    pub certificate: Option<Text>,
    pub key: Option<Text>,
}
