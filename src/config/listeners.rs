//! Where Tidegate listens, and what it shows of itself there.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Listeners {
    pub proxy: Vec<ProxyListener>,
    /// Whether the data plane may write through `io_uring`, where the kernel lets it.
    pub io_uring: bool,
    pub api: SocketAddr,
    pub api_tls: Option<TlsConfig>,
    pub admin: SocketAddr,
    pub admin_tls: Option<TlsConfig>,
    /// Always there, like TLS, where the admin listener is reached from elsewhere.
    pub admin_token: Option<AdminToken>,
}

/// What every request to the admin listener has to carry.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken {
    pub text: Arc<str>,
    /// Where it stands, unless it stands in the configuration itself.
    pub file: Option<PathBuf>,
}

impl AdminToken {
    /// 32 to 4096 visible ASCII characters.
    #[must_use]
    pub fn fits(text: &str) -> bool {
        (32..=4096).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

/// It is a secret.
impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyListener {
    pub address: SocketAddr,
    /// Whether HTTP/2 is spoken, too: by ALPN within TLS, by prior knowledge without.
    pub http2: bool,
    pub tls: Option<TlsConfig>,
}

impl ProxyListener {
    /// One without TLS.
    #[must_use]
    pub const fn plain(address: SocketAddr) -> Self {
        Self { address, http2: true, tls: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// At least one.
    pub certificates: Vec<CertificateConfig>,
    /// PEM. There: every client needs a certificate that leads to one of these.
    pub client_ca: Option<PathBuf>,
}

impl TlsConfig {
    /// Every file that it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let pairs = self.certificates.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        pairs.chain(&self.client_ca)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateConfig {
    /// PEM: the certificate, then those that lead from it to a root.
    pub certificate: PathBuf,
    /// PEM
    pub key: PathBuf,
    /// Lower case. Empty: the names that stand in the certificate.
    pub hosts: Vec<Arc<str>>,
}
