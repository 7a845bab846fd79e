//! Checked configuration values: what the program runs on. [`load()`] makes them from a file, in two
//! stages: YAML to a tree (`yaml`), the tree to checked values (`read`), with every problem noted on
//! the way.

mod directory;
pub mod file;
mod identity_keys;
pub(crate) mod interpolate;
mod listeners;
pub(crate) mod load;
pub(crate) mod map;
pub mod problems;
pub mod providers;
pub(crate) mod read;
pub(crate) mod reader;
mod sinks;
pub(crate) mod units;
pub mod upstreams;
pub(crate) mod yaml;

pub use directory::{DirectoryConfig, DirectoryHttpConfig};
pub use identity_keys::IdentityKeys;
pub use listeners::{AdminToken, CertificateConfig, Listeners, ProxyListener, TlsConfig};
pub use load::{Loaded, Places, load, survey};
pub use problems::{Problem, Problems};
pub use providers::{
    Attributes, CacheConfig, CheckConfig, HttpSourceConfig, KeyConfig, LookupPart, LookupTemplate,
    Otherwise, ProviderConfig, RedisSourceConfig, SourceConfig,
};
pub use read::directory::{directory_answer, directory_file};
pub use sinks::{Glob, SinkConfig, WebhookConfig, WebhookSecret};
pub use upstreams::{
    Balance, EjectionConfig, HashKey, HealthCheck, HealthConfig, ToolTimeouts, Upstream,
    UpstreamOptions, UpstreamTls,
};

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, Uri};

use crate::domain::access::PathPattern;
use crate::domain::hierarchy::RoleHierarchy;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Production,
    Development,
}

#[derive(Clone, Debug)]
pub struct Config {
    pub environment: Environment,
    /// Names this deployment in event sources: `/tidegate/<deployment>`.
    pub deployment: Arc<str>,
    pub listeners: Listeners,
    pub store: StoreConfig,
    pub issuers: Vec<IssuerConfig>,
    pub api: ApiConfig,
    pub tools: Vec<Arc<ToolConfig>>,
    pub limits: Limits,
    pub policy: PolicyConfig,
    /// A directory of catalog files; without one the catalog is empty.
    pub catalog: Option<PathBuf>,
    pub directory: DirectoryConfig,
    pub audit: AuditConfig,
}

#[derive(Clone, Debug)]
pub struct StoreConfig {
    pub backend: Backend,
    /// At least one; the first seals, all verify.
    pub seal_keys: Vec<SealKey>,
}

#[derive(Clone, Debug)]
pub enum Backend {
    Embedded { path: PathBuf },
    Redis(Box<RedisConfig>),
}

/// A Redis or Valkey that several gateways share.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    pub nodes: RedisNodes,
    pub tls: Option<RedisTls>,
    pub login: RedisLogin,
    /// 0 unless named; a Cluster has no other.
    pub database: u16,
    /// For one read or one commit without waiting for replicas.
    pub timeout: Duration,
    pub acknowledge: Acknowledge,
    /// How many replicas have to be connected and up to date (0: none are asked for). The level
    /// `replicated` waits for as many.
    pub replicas: u16,
    /// Whether a primary that had replicas and has none any more is refused: somebody else may be the
    /// primary by now.
    pub refuse_lost_replicas: bool,
    /// A replica that answered longer ago does not count.
    pub max_replica_lag: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisNodes {
    Standalone(RedisAddress),
    Sentinel {
        master: Arc<str>,
        nodes: Vec<RedisAddress>,
        login: RedisLogin,
    },
    /// Where the Cluster's nodes are asked for; the others are found from these.
    Cluster(Vec<RedisAddress>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RedisAddress {
    /// A name or an IP address (no brackets).
    pub host: Arc<str>,
    pub port: u16,
}

/// PEM files. The system's own list of roots is not used: without `ca` Mozilla's is.
#[derive(Clone, Debug, Default)]
pub struct RedisTls {
    pub ca: Option<PathBuf>,
    /// For a server that wants to know its clients: certificate chain and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Whoever Tidegate is at the server. No `Debug` of the password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RedisLogin {
    pub username: Option<Arc<str>>,
    pub password: Option<Arc<str>>,
}

impl std::fmt::Debug for RedisLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLogin").field("username", &self.username).finish_non_exhaustive()
    }
}

/// When a decision counts as kept (docs/store.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// The primary has it in memory.
    #[default]
    Memory,
    /// The primary has it on disk.
    Fsync,
    /// The configured number of replicas have it.
    Replicated,
}

/// A key that only gateways hold. No `Debug` of its bytes.
#[derive(Clone)]
pub struct SealKey {
    pub id: Arc<str>,
    /// 32 bytes or more.
    pub bytes: Arc<[u8]>,
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// Compared byte for byte with `iss`.
    pub issuer: Arc<str>,
    pub keys: KeySource,
    pub audiences: Vec<Arc<str>>,
    pub algorithms: Vec<Algorithm>,
    /// Accepted `typ` values, compared without case and without `application/`; an absent `typ` is
    /// accepted when `allow_absent_typ`.
    pub types: Vec<Arc<str>>,
    pub allow_absent_typ: bool,
    pub claims: ClaimNames,
    /// Put before the subject claim to make the subject's name; distinct among issuers.
    pub prefix: Arc<str>,
    /// The same for all issuers.
    pub identity_keys: IdentityKeys,
    /// At most 60 s.
    pub leeway: Duration,
    /// PEM: the roots trusted when keys are fetched. Absent: Mozilla's.
    pub ca: Option<PathBuf>,
    /// After the last success, keys from the network count no longer than this.
    pub max_stale: Duration,
}

#[derive(Clone, Debug)]
pub enum KeySource {
    JwksFile(PathBuf),
    JwksUrl(Uri),
    /// `{issuer}/.well-known/openid-configuration`
    Discovery,
    /// One public key in PEM.
    Pem(PathBuf),
    /// A shared secret for HS256/384/512, configured by hand.
    Secret(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
    HS256,
    HS384,
    HS512,
}

/// Which claims carry what. A dot walks into an object (`realm_access.roles`).
#[derive(Clone, Debug)]
pub struct ClaimNames {
    pub subject: Arc<str>,
    pub email: Arc<str>,
    pub groups: Arc<str>,
    pub roles: Arc<str>,
    pub scopes: Arc<str>,
}

#[derive(Clone, Debug)]
pub struct ApiConfig {
    pub audiences: Vec<Arc<str>>,
    /// The API's address as people reach it; `request_url` is made from it.
    pub public_url: Arc<str>,
}

#[derive(Clone, Debug)]
pub struct ToolConfig {
    pub name: Arc<str>,
    /// Lower case, without port.
    pub hosts: Vec<Arc<str>>,
    /// Begins and ends with `/`.
    pub path_prefix: Option<Arc<str>>,
    pub upstreams: Vec<Upstream>,
    pub upstream: UpstreamOptions,
    pub encoded: Encoded,
    pub credential: CredentialSource,
    pub forward_credential: bool,
    pub rules: Vec<Rule>,
    pub timeouts: ToolTimeouts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    Refuse,
    /// `%2f`, `%25`, `%3b` and raw `;` pass as opaque bytes.
    Opaque,
}

/// Where the one credential of a route is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// `Authorization: Bearer`
    Bearer,
    Header(HeaderName),
    Cookie(Arc<str>),
}

#[derive(Clone, Debug)]
pub struct Rule {
    /// Empty: any known method.
    pub methods: Vec<Method>,
    pub path: PathPattern,
    pub access: AccessMode,
    /// Empty for `public` and `authenticated`.
    pub action: Arc<str>,
    pub resource: Arc<str>,
    pub id: Option<ValueTemplate>,
    pub scope: Option<ValueTemplate>,
    pub default_effect_allow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessMode {
    Public,
    Authenticated,
    Policy,
    Grant,
}

/// A template over `{path.x}`, `{query.x}`, `{header.x}` and `{method}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueTemplate(pub Vec<ValuePart>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValuePart {
    Text(Arc<str>),
    Path(Arc<str>),
    Query(Arc<str>),
    Header(HeaderName),
    Method,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub stream_grace: Duration,
    pub drain_timeout: Duration,
    pub clock_skew: Duration,
    /// Bytes of a request head, 431 beyond.
    pub header_bytes: usize,
    pub header_count: usize,
    /// Total time for a head, from its first byte.
    pub header_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// How long a tunnel may be without a byte.
    pub tunnel_idle: Duration,
    /// Bytes per second of a message that the client makes us wait for. `None`: only each pause is
    /// bounded.
    pub body_rate: Option<NonZeroU32>,
    pub concurrent_requests: usize,
    /// Open connections of one client, over all cores.
    pub connections_per_client: usize,
    /// Requests at once on one connection of HTTP/2.
    pub streams_per_connection: u32,
}

#[derive(Clone, Debug)]
pub struct PolicyConfig {
    /// There whenever an embedded engine is asked.
    pub directory: Option<PathBuf>,
    pub role_mapping: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    pub role_hierarchy: RoleHierarchy,
    /// At most one for each kind of resource.
    pub providers: Vec<ProviderConfig>,
    /// The one that decides.
    pub engine: PolicyEngineKind,
    /// There whenever the real PDP is asked.
    pub cerbos: Option<CerbosConfig>,
    pub shadow: Option<ShadowConfig>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyEngineKind {
    Embedded,
    Cerbos,
}

/// A Cerbos policy decision point, over gRPC.
#[derive(Clone, Debug)]
pub struct CerbosConfig {
    pub address: CerbosAddress,
    /// For a whole call, connecting included.
    pub timeout: Duration,
    /// Whether the caller's token is sent along.
    pub send_token: bool,
    /// PEM; with TLS alone. Absent: Mozilla's roots.
    pub ca: Option<PathBuf>,
    /// Certificate chain and private key.
    pub client: Option<(PathBuf, PathBuf)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CerbosAddress {
    Tcp { host: Arc<str>, port: u16 },
    Tls { host: Arc<str>, port: u16 },
    Unix(PathBuf),
}

/// A second engine that is asked for comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShadowConfig {
    /// Another one than the engine that decides.
    pub engine: PolicyEngineKind,
    /// The share of decisions that are compared: above 0, at most 1.
    pub sample: f64,
}

#[derive(Clone, Debug)]
pub struct AuditConfig {
    pub retention: Duration,
    pub on_full: OnFull,
    pub sinks: Vec<SinkConfig>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    Refuse,
    Drop,
}

#[cfg(test)]
pub(crate) mod tests;
