//! How a tool's backends are reached, watched and chosen among.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

/// One backend of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// `http://host:port`
    Http { host: Arc<str>, port: u16 },
    /// `https://host:port`
    Https { host: Arc<str>, port: u16 },
    /// `h2c://host:port`: HTTP/2 with prior knowledge (RFC 9113, section 3.3).
    H2c { host: Arc<str>, port: u16 },
    /// `unix:/path`: HTTP/1.1 over a socket.
    Unix(PathBuf),
}

impl Upstream {
    /// A name or an IP address (no brackets), and a port.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(&Arc<str>, u16)> {
        match self {
            Self::Http { host, port } | Self::Https { host, port } | Self::H2c { host, port } => {
                Some((host, *port))
            }
            Self::Unix(_) => None,
        }
    }
}

/// As the configuration writes it.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Http { host, port } => ("http", host, port),
            Self::Https { host, port } => ("https", host, port),
            Self::H2c { host, port } => ("h2c", host, port),
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

/// What holds for all backends of one tool.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// The servers that are asked for names; empty: those of the system.
    pub dns: Arc<[SocketAddr]>,
    pub tls: UpstreamTls,
    pub balance: Balance,
    /// `None`: backends are not checked.
    pub health: Option<HealthConfig>,
    /// `None`: backends are not ejected.
    pub ejection: Option<EjectionConfig>,
    /// Percent of the tool's requests that may be tried again.
    pub retry_budget: u32,
    /// Requests to the tool at once, 503 beyond; `None`: no limit of its own.
    pub max_concurrent: Option<usize>,
}

impl Default for UpstreamOptions {
    fn default() -> Self {
        Self {
            dns: Arc::default(),
            tls: UpstreamTls::default(),
            balance: Balance::LeastLoaded,
            health: None,
            ejection: Some(EjectionConfig::default()),
            retry_budget: 20,
            max_concurrent: None,
        }
    }
}

/// PEM files. The system's own list of roots is not used: without `ca` Mozilla's is.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTls {
    pub ca: Option<PathBuf>,
    /// For a tool that wants to know its clients: certificate chain and key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Whether HTTP/2 is offered, before HTTP/1.1.
    pub http2: bool,
}

impl UpstreamTls {
    /// Every file that it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let pair = self.client.iter().flat_map(|(chain, key)| [chain, key]);
        self.ca.iter().chain(pair)
    }
}

/// Which of the usable backends gets a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    RoundRobin,
    /// The one of two random ones that has fewer requests at the moment.
    #[default]
    LeastLoaded,
    /// The same value always the same one, as long as it is usable.
    ConsistentHash(HashKey),
}

/// What of a request is hashed. One that lacks it goes to the least loaded of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    Header(HeaderName),
    Cookie(Arc<str>),
    /// As the tool gets it, without the query.
    Path,
    Subject,
}

/// How Tidegate itself asks whether a backend is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    pub check: HealthCheck,
    pub interval: Duration,
    /// For a whole check, connecting included.
    pub timeout: Duration,
    /// So many good checks in a row make a backend usable.
    pub healthy: u32,
    /// So many bad ones make it unusable.
    pub unhealthy: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// A connection, inside TLS where the backend has it.
    Tcp,
    Http {
        path: Arc<str>,
        status: u16,
    },
    /// `grpc.health.v1.Health/Check`
    /// (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>).
    Grpc {
        service: Arc<str>,
    },
}

/// When a backend that fails is left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectionConfig {
    /// So many failed requests in a row.
    pub failures: u32,
    /// The first time; each further time takes so much longer.
    pub base: Duration,
    pub most: Duration,
}

impl Default for EjectionConfig {
    fn default() -> Self {
        Self { failures: 5, base: Duration::from_secs(10), most: Duration::from_secs(300) }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ToolTimeouts {
    pub connect: Duration,
    /// Until the response head.
    pub response: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
}

impl Default for ToolTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            response: Duration::from_secs(30),
            idle: Duration::from_secs(30),
        }
    }
}
