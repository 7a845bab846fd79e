//! TLS towards clients (RFC 8446, RFC 5246): which certificate is shown for which name, and which
//! clients are let in. The files are read anew on a reload; connections that are open keep what
//! they began with.

mod files;
mod names;
#[cfg(test)]
pub(crate) mod tests;
mod validity;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::config::{Listeners, TlsConfig};
use crate::domain::time::Timestamp;

pub(super) use files::is_valid;
use names::{Named, Names};

/// The protocols that a client may choose from by ALPN (RFC 7301), the preferred one first.
pub const H2: &[u8] = b"h2";
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// One listener's TLS, shared by all cores.
#[derive(Debug)]
pub struct ServerTls {
    /// Its key path in the configuration.
    place: String,
    config: TlsConfig,
    http2: bool,
    current: ArcSwap<ServerConfig>,
}

/// `None`: the listener speaks plainly.
pub type SharedTls = Option<Arc<ServerTls>>;

#[derive(Debug)]
pub struct ListenersTls {
    /// In the order of the configuration.
    pub proxy: Vec<SharedTls>,
    pub api: SharedTls,
    pub admin: SharedTls,
}

impl ListenersTls {
    pub fn all(&self) -> impl Iterator<Item = &Arc<ServerTls>> {
        self.proxy.iter().flatten().chain(&self.api).chain(&self.admin)
    }
}

/// Reads what the listeners name.
///
/// # Errors
/// Every problem of every file.
pub fn open(listeners: &Listeners, now: Timestamp) -> Result<ListenersTls, Vec<String>> {
    let mut problems = Vec::new();
    let mut open = |place, config: &Option<TlsConfig>, http2| {
        let opened = config.as_ref().map(|tls| ServerTls::open(place, tls, http2, now));
        let opened = opened.transpose().map_err(|found| problems.extend(found));
        opened.ok().flatten().map(Arc::new)
    };
    let proxy = listeners.proxy.iter().enumerate();
    let proxy = proxy.map(|(index, listener)| {
        open(format!("listeners.proxy[{index}].tls"), &listener.tls, listener.http2)
    });
    let proxy = proxy.collect();
    let api = open("listeners.api.tls".to_owned(), &listeners.api_tls, false);
    let admin = open("listeners.admin.tls".to_owned(), &listeners.admin_tls, false);
    if problems.is_empty() { Ok(ListenersTls { proxy, api, admin }) } else { Err(problems) }
}

impl ServerTls {
    /// # Errors
    /// Every problem of its files.
    pub fn open(
        place: String,
        config: &TlsConfig,
        http2: bool,
        now: Timestamp,
    ) -> Result<Self, Vec<String>> {
        let current = ArcSwap::from_pointee(server_config(&place, config, http2, now)?);
        Ok(Self { place, config: config.clone(), http2, current })
    }

    /// Reads the files anew; new connections get what they say.
    ///
    /// # Errors
    /// Every problem of the files; what was read before stays in use.
    pub fn reload(&self, now: Timestamp) -> Result<(), Vec<String>> {
        let fresh = server_config(&self.place, &self.config, self.http2, now)?;
        self.current.store(Arc::new(fresh));
        Ok(())
    }

    /// For the next connection.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

fn server_config(
    place: &str,
    config: &TlsConfig,
    http2: bool,
    now: Timestamp,
) -> Result<ServerConfig, Vec<String>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut problems = Vec::new();
    let names = names(place, config, &provider, now).map_err(|found| problems.extend(found)).ok();
    let roots = config.client_ca.as_ref().map(|path| files::roots(path)).transpose();
    let roots = roots
        .map_err(|why| {
            problems.push(files::problem(place, "client_ca", config.client_ca.as_deref(), &why));
        })
        .ok();
    let (Some(names), Some(roots)) = (names, roots) else { return Err(problems) };
    let built = build(names, roots, http2, provider);
    built.map_err(|why| vec![format!("{place}: {why}")])
}

fn names(
    place: &str,
    config: &TlsConfig,
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<Names, Vec<String>> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let is_list = config.certificates.len() > 1;
    for (index, pair) in config.certificates.iter().enumerate() {
        let place = if is_list || !pair.hosts.is_empty() {
            format!("{place}.certificates[{index}]")
        } else {
            place.to_owned()
        };
        match files::pair(&place, pair, provider, now) {
            Ok(key) => found.push(Named { hosts: pair.hosts.clone(), key: Arc::new(key) }),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.is_empty() { Ok(Names(found)) } else { Err(problems) }
}

fn build(
    names: Names,
    roots: Option<RootCertStore>,
    http2: bool,
    provider: Arc<CryptoProvider>,
) -> Result<ServerConfig, String> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|fault| fault.to_string())?;
    let builder = match roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|fault| fault.to_string())?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(names));
    let spoken = if http2 { &[H2, HTTP_1_1][..] } else { &[HTTP_1_1][..] };
    config.alpn_protocols = spoken.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}
