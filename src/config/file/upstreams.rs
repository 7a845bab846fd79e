//! The shape of what stands beside `tools[].upstreams`.

use schemars::JsonSchema;

use super::{Count, Flag, Span, Text, Texts};

/// Who is asked for the names of the upstreams that do not stand in the hosts file
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Resolver {
    /// IP or IP:PORT, instead of the servers in /etc/resolv.conf
    #[schemars(length(min = 1))]
    pub servers: Texts,
}

/// For https upstreams
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct UpstreamTls {
    /// PEM; Mozilla's roots when absent
    pub ca: Option<Text>,
    pub certificate: Option<Text>,
    pub key: Option<Text>,
    /// Offer HTTP/2; false when absent
    pub http2: Option<Flag>,
}

/// `path`, `subject`, or a header or cookie by name; beside `balance: consistent_hash`
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Hash {
    Word(Text),
    Named(HashedPart),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HashedPart {
    pub header: Option<Text>,
    pub cookie: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Health {
    /// tcp, http or grpc
    pub check: Text,
    /// Of http; / when absent
    pub path: Option<Text>,
    /// Of http; 200 when absent
    pub status: Option<Count>,
    /// Of grpc; the whole server when absent
    pub service: Option<Text>,
    /// 5s when absent
    pub interval: Option<Span>,
    /// 1s when absent
    pub timeout: Option<Span>,
    /// Good checks in a row that make a backend usable; 2 when absent
    pub healthy: Option<Count>,
    /// Bad checks in a row that make it unusable; 3 when absent
    pub unhealthy: Option<Count>,
}

/// `off`, or when a backend that fails is left alone
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Ejection {
    Off(Text),
    On(EjectionRule),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EjectionRule {
    /// Failed requests in a row; 5 when absent
    pub failures: Option<Count>,
    /// 10s when absent
    pub base: Option<Span>,
    /// 5m when absent
    pub most: Option<Span>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Timeouts {
    pub connect: Option<Span>,
    pub response: Option<Span>,
    /// How long an unused connection is kept
    pub idle: Option<Span>,
}
