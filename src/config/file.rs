//! The shape of the file, for its JSON Schema: editors complete and check with it. The reader
//! (`read`) decides; a test holds the two together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

/// Configuration of Tidegate
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct File {
    /// production when absent
    pub environment: Option<Text>,
    /// Names this deployment in event sources: /tidegate/<deployment>
    pub deployment: Option<Text>,
    pub listeners: Option<Listeners>,
    pub store: Store,
    #[schemars(length(min = 1))]
    pub issuers: Vec<Issuer>,
    /// By what two subjects are known to be one person: subject, email, names of claims
    pub identity_keys: Option<Texts>,
    pub api: Option<Api>,
    #[schemars(length(min = 1))]
    pub tools: Vec<Tool>,
    pub limits: Option<Limits>,
    pub policy: Policy,
    pub catalog: Option<Catalog>,
    pub directory: Option<Directory>,
    pub audit: Option<Audit>,
}

mod directory;
mod providers;
mod sinks;
mod store;
mod upstreams;

use directory::Directory;
use providers::Provider;
use store::Store;
use upstreams::{Ejection, Hash, Health, Resolver, Timeouts, UpstreamTls};

type Text = String;
type Texts = Vec<String>;

/// Whole number of ms, s, m, h or d, like 250ms or 90d
#[derive(JsonSchema)]
#[schemars(transparent, extend("pattern" = r"^[0-9]+(ms|s|m|h|d)$|\$\{"))]
pub struct Span(pub String);

/// Whole number, also like 16KiB or 1MiB
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Count {
    Number(u64),
    Text(String),
}

/// Truth value, or `${NAME}` that holds one
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Flag {
    Bool(bool),
    Text(String),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Listeners {
    #[schemars(length(min = 1))]
    pub proxy: Option<Vec<ProxyListener>>,
    /// Write through `io_uring` where the kernel lets us; true when absent
    pub io_uring: Option<Flag>,
    pub api: Option<ApiListener>,
    pub admin: Option<AdminListener>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AdminListener {
    /// IP:PORT; off loopback with tls and token
    pub address: Text,
    pub tls: Option<ListenerTls>,
    pub token: Option<AdminToken>,
}

/// 32 to 4096 visible ASCII characters, or the file that they stand in
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum AdminToken {
    Text(String),
    File(TokenFile),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TokenFile {
    pub file: Text,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ApiListener {
    /// IP:PORT
    pub address: Text,
    pub tls: Option<ListenerTls>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ProxyListener {
    /// IP:PORT
    pub address: Text,
    /// Speak HTTP/2, too; true when absent
    pub http2: Option<Flag>,
    pub tls: Option<ListenerTls>,
}

/// `certificate` and `key`, or `certificates`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ListenerTls {
    /// PEM: the certificate and those that lead to a root
    pub certificate: Option<Text>,
    /// PEM
    pub key: Option<Text>,
    #[schemars(length(min = 1))]
    pub certificates: Option<Vec<Certificate>>,
    /// PEM; every client needs a certificate that leads to one of these
    pub client_ca: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Certificate {
    /// PEM: the certificate and those that lead to a root
    pub certificate: Text,
    /// PEM
    pub key: Text,
    /// The names in the certificate when absent
    #[schemars(length(min = 1))]
    pub hosts: Option<Texts>,
}

/// Exactly one of `jwks_file`, `jwks_url`, `discovery`, `pem_file` and `secret_file`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Issuer {
    pub issuer: Text,
    pub jwks_file: Option<Text>,
    pub jwks_url: Option<Text>,
    pub discovery: Option<Flag>,
    pub pem_file: Option<Text>,
    pub secret_file: Option<Text>,
    #[schemars(length(min = 1))]
    pub audiences: Texts,
    #[schemars(length(min = 1))]
    pub algorithms: Option<Texts>,
    /// Accepted types; `absent` accepts a token without one
    pub typ: Option<Texts>,
    pub claims: Option<Claims>,
    pub prefix: Option<Text>,
    /// At most 60s
    pub leeway: Option<Span>,
    /// PEM with the roots that are trusted when keys are fetched
    pub ca: Option<Text>,
    /// How long keys from the network count without a refresh
    pub max_stale: Option<Span>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Claims {
    pub subject: Option<Text>,
    pub email: Option<Text>,
    pub groups: Option<Text>,
    pub roles: Option<Text>,
    pub scopes: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Api {
    pub audiences: Option<Texts>,
    pub public_url: Option<Text>,
}

/// Found by `hosts`, or by `path_prefix` under any host; both are needed where another tool has the same
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Tool {
    pub name: Text,
    pub hosts: Option<Texts>,
    pub path_prefix: Option<Text>,
    /// `http://HOST:PORT`, `https://HOST:PORT`, `h2c://HOST:PORT` or `unix:/PATH`
    #[schemars(length(min = 1))]
    pub upstreams: Texts,
    pub resolver: Option<Resolver>,
    pub tls: Option<UpstreamTls>,
    /// `least_loaded` (default), `round_robin` or `consistent_hash`
    pub balance: Option<Text>,
    pub hash: Option<Hash>,
    pub health: Option<Health>,
    pub ejection: Option<Ejection>,
    /// Share of requests that may be tried again; 20% when absent
    pub retry_budget: Option<Text>,
    /// Requests at once, 503 beyond
    pub max_concurrent: Option<Count>,
    /// refuse (default) or opaque
    pub encoded: Option<Text>,
    pub credential: Option<Credential>,
    pub forward_credential: Option<Flag>,
    pub timeouts: Option<Timeouts>,
    /// The first match wins
    #[schemars(length(min = 1))]
    pub rules: Vec<Rule>,
}

/// `bearer`, or a header or cookie by name
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Credential {
    Bearer(Text),
    Named(NamedCredential),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct NamedCredential {
    pub header: Option<Text>,
    pub cookie: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Rule {
    /// Any when absent
    pub methods: Option<Texts>,
    /// `*` one segment, `**` any rest, `{name}` captures one segment
    pub path: Text,
    /// grant (default), policy, authenticated or public
    pub access: Option<Text>,
    pub action: Option<Text>,
    pub resource: Option<Text>,
    pub id: Option<Text>,
    pub scope: Option<Text>,
    /// deny (default) or allow
    pub default_effect: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Limits {
    pub stream_grace: Option<Span>,
    pub drain_timeout: Option<Span>,
    pub clock_skew: Option<Span>,
    pub header_bytes: Option<Count>,
    pub header_count: Option<Count>,
    pub header_timeout: Option<Span>,
    pub idle_timeout: Option<Span>,
    /// Bytes per second, or off
    pub body_rate: Option<Count>,
    pub tunnel_idle: Option<Span>,
    pub concurrent_requests: Option<Count>,
    pub connections_per_client: Option<Count>,
    pub streams_per_connection: Option<Count>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Policy {
    /// Needed by the embedded engine
    pub directory: Option<Text>,
    /// embedded (default), or cerbos in a build with that feature
    pub engine: Option<Text>,
    /// The real policy decision point; needed where an engine is cerbos
    pub cerbos: Option<Cerbos>,
    pub shadow: Option<Shadow>,
    /// Group -> roles
    pub role_mapping: Option<BTreeMap<String, Texts>>,
    /// Lines like admin > editor > viewer
    pub role_hierarchy: Option<Texts>,
    /// Where the attributes of resources come from, one for each kind
    pub providers: Option<Vec<Provider>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Cerbos {
    /// `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`
    pub address: Text,
    /// For a whole call: 100ms when absent, at most 5s
    pub timeout: Option<Span>,
    /// Send the caller's token, too; false when absent
    pub send_token: Option<Flag>,
    /// PEM; Mozilla's roots when absent
    pub ca: Option<Text>,
    pub certificate: Option<Text>,
    pub key: Option<Text>,
}

/// Another engine that is asked for comparison; it never decides
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Shadow {
    /// embedded or cerbos, not the one that decides
    pub engine: Text,
    /// Share of decisions, above 0 and up to 1; 0.01 when absent
    pub sample: Option<f64>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Catalog {
    pub directory: Text,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Audit {
    pub retention: Option<Span>,
    pub decisions: Option<Decisions>,
    pub sinks: Option<Vec<Sink>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Decisions {
    /// refuse (default) or drop
    pub on_full: Option<Text>,
}

/// `stdout`, a file, or a webhook
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Sink {
    Stdout(Text),
    Made(Box<sinks::MadeSink>),
}

/// The JSON Schema (draft 2020-12) of the configuration file.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(File).to_value();
    without_null(&mut schema);
    schema
}

/// A key may be left out, but not be there with nothing in it.
pub(crate) fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
            }
            members.values_mut().for_each(without_null);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}
