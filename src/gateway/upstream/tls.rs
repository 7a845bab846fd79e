//! TLS to tools: whom we trust, and who we say that we are. The name in the certificate is always
//! verified against the configured host.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::{Upstream, UpstreamTls};

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
        let mut client = client_config(config)?;
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

fn client_config(config: &UpstreamTls) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match &config.ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in certificates("ca", path)? {
                roots.add(certificate).map_err(|why| unusable("ca", path, &why.to_string()))?;
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|fault| format!("no version of TLS can be used: {fault}"))?
        .with_root_certificates(roots);
    let Some((chain, key)) = &config.client else { return Ok(builder.with_no_client_auth()) };
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|_unreadable| unusable("key", key, "no private key in PEM"))?;
    builder
        .with_client_auth_cert(certificates("certificate", chain)?, secret)
        .map_err(|why| unusable("certificate", chain, &format!("not usable with its key: {why}")))
}

fn unusable(key: &str, path: &Path, why: &str) -> String {
    format!("tls.{key}: found {} ({why})", path.display())
}

/// At least one.
fn certificates(key: &str, path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = || unusable(key, path, "no certificate in PEM");
    let found = CertificateDer::pem_file_iter(path).map_err(|_unreadable| unreadable())?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|_broken| unreadable())?;
    if found.is_empty() { Err(unreadable()) } else { Ok(found) }
}

impl std::fmt::Debug for TlsTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsTarget").field("name", &self.name).finish_non_exhaustive()
    }
}
