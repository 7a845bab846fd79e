//! TLS to tools: whom we trust, and who we say that we are. The name in the certificate is always
//! verified against the configured host. The files are read anew on a reload; connections that are
//! open keep what they began with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::{Upstream, UpstreamTls};
use crate::domain::time::Timestamp;
use crate::tls::{self, Trust};

/// What the https backends of a tool share; `None` when it has none.
pub struct Tls(Option<Arc<ArcSwap<Connectors>>>);

/// For the next connection.
pub struct Connectors {
    usual: TlsConnector,
    http1: TlsConnector,
}

/// How one backend is spoken to inside TLS.
#[derive(Clone)]
pub struct TlsTarget {
    current: Arc<ArcSwap<Connectors>>,
    pub name: ServerName<'static>,
    /// HTTP/2 is offered.
    pub offers_http2: bool,
}

impl Tls {
    /// Trusts the configured roots alone, or Mozilla's when none are configured.
    ///
    /// # Errors
    /// Which file cannot be used; what stands in it is not shown.
    pub fn open(
        config: &UpstreamTls,
        upstreams: &[Upstream],
        now: Timestamp,
    ) -> Result<Self, String> {
        if !upstreams.iter().any(|it| matches!(it, Upstream::Https { .. })) {
            return Ok(Self(None));
        }
        Ok(Self(Some(Arc::new(ArcSwap::from_pointee(Connectors::open(config, now)?)))))
    }

    /// Reads the files anew; new connections use what they say.
    ///
    /// # Errors
    /// As for [`Tls::open`]; what was read before stays in use.
    pub fn reload(&self, config: &UpstreamTls, now: Timestamp) -> Result<(), String> {
        if let Some(current) = &self.0 {
            current.store(Arc::new(Connectors::open(config, now)?));
        }
        Ok(())
    }

    /// # Errors
    /// The host is neither a DNS name nor an IP address.
    pub fn target(
        &self,
        upstream: &Upstream,
        config: &UpstreamTls,
    ) -> Result<Option<TlsTarget>, String> {
        let (Upstream::Https { host, .. }, Some(current)) = (upstream, &self.0) else {
            return Ok(None);
        };
        let name = ServerName::try_from(host.to_string());
        let name = name.map_err(|_unusable| {
            format!("upstreams: found {upstream}, whose host no certificate can name")
        })?;
        Ok(Some(TlsTarget { current: Arc::clone(current), name, offers_http2: config.http2 }))
    }
}

impl TlsTarget {
    /// `http1`: offers HTTP/1.1 alone.
    #[must_use]
    pub fn connector(&self, http1: bool) -> TlsConnector {
        let current = self.current.load();
        if http1 { current.http1.clone() } else { current.usual.clone() }
    }
}

impl Connectors {
    fn open(config: &UpstreamTls, now: Timestamp) -> Result<Self, String> {
        let pair = config.client.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path()));
        let trust = Trust { ca: config.ca.as_deref(), client: pair, valid_at: Some(now) };
        let mut client = tls::client(trust).map_err(|why| format!("tls.{}: {why}", why.key()))?;
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = TlsConnector::from(Arc::new(client.clone()));
        if config.http2 {
            client.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok(Self { usual: TlsConnector::from(Arc::new(client)), http1 })
    }
}

/// Keys stand in it.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl std::fmt::Debug for TlsTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsTarget").field("name", &self.name).finish_non_exhaustive()
    }
}
