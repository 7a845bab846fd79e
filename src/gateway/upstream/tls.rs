//! TLS to tools: whom we trust, and who we say that we are. The name in the certificate is always
//! verified against the configured host.

use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::{Upstream, UpstreamTls};
use crate::tls::{self, Trust};

/// What the https backends of a tool share; `None` when it has none.
#[derive(Clone)]
pub struct Tls(Option<Connectors>);

#[derive(Clone)]
struct Connectors {
    usual: TlsConnector,
    http1: TlsConnector,
    offers_http2: bool,
}

/// How one backend is spoken to inside TLS.
#[derive(Clone)]
pub struct TlsTarget {
    pub connector: TlsConnector,
    /// Offers HTTP/1.1 alone.
    pub http1: TlsConnector,
    pub name: ServerName<'static>,
    /// HTTP/2 is offered.
    pub offers_http2: bool,
}

impl Tls {
    /// Trusts the configured roots alone, or Mozilla's when none are configured.
    ///
    /// # Errors
    /// Which file cannot be used; what stands in it is not shown.
    pub fn open(config: &UpstreamTls, upstreams: &[Upstream]) -> Result<Self, String> {
        if !upstreams.iter().any(|it| matches!(it, Upstream::Https { .. })) {
            return Ok(Self(None));
        }
        let pair = config.client.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path()));
        let mut client = tls::client(Trust { ca: config.ca.as_deref(), client: pair })
            .map_err(|why| format!("tls.{}: {why}", why.key()))?;
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = TlsConnector::from(Arc::new(client.clone()));
        if config.http2 {
            client.alpn_protocols.insert(0, b"h2".to_vec());
        }
        let (usual, offers_http2) = (TlsConnector::from(Arc::new(client)), config.http2);
        Ok(Self(Some(Connectors { usual, http1, offers_http2 })))
    }

    /// # Errors
    /// The host is neither a DNS name nor an IP address.
    pub fn target(&self, upstream: &Upstream) -> Result<Option<TlsTarget>, String> {
        let Upstream::Https { host, .. } = upstream else { return Ok(None) };
        let Some(Connectors { usual, http1, offers_http2 }) = self.0.clone() else {
            return Ok(None);
        };
        let name = ServerName::try_from(host.to_string());
        let name = name.map_err(|_unusable| {
            format!("upstreams: found {upstream}, whose host no certificate can name")
        })?;
        Ok(Some(TlsTarget { connector: usual, http1, name, offers_http2 }))
    }
}

impl std::fmt::Debug for TlsTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsTarget").field("name", &self.name).finish_non_exhaustive()
    }
}
