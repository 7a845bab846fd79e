//! Clients inside TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use crate::config::{CertificateConfig, TlsConfig};
use crate::gateway::Speaks;
use crate::tls::ServerTls;
use crate::tls::tests::{Authority, NOW};

/// What a client says of itself.
#[derive(Clone)]
pub struct Says<'a> {
    /// `None`: nothing, it connects to an address.
    pub name: Option<&'a str>,
    pub protocols: &'a [&'a str],
    pub certificate: Option<CertificateConfig>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
}

impl Default for Says<'_> {
    fn default() -> Self {
        let versions = vec![&version::TLS12, &version::TLS13];
        Self { name: Some("notes.localhost"), protocols: &[], certificate: None, versions }
    }
}

pub async fn connect(
    authority: &Authority,
    address: SocketAddr,
    says: &Says<'_>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.der().clone()).expect("a root");
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&says.versions).expect("versions");
    let builder = builder.with_root_certificates(roots);
    let mut config = match &says.certificate {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = CertificateDer::pem_file_iter(&pair.certificate).expect("PEM");
            let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
            let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("they fit")
        }
    };
    config.alpn_protocols = says.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.enable_sni = says.name.is_some();
    let name = ServerName::try_from(says.name.unwrap_or("notes.localhost").to_owned());
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(name.expect("a name"), stream).await
}

pub fn speaks(config: &TlsConfig, http2: bool) -> Speaks {
    let tls = ServerTls::open("tls".to_owned(), config, http2, NOW).expect("they fit");
    Speaks { http2, tls: Some(Arc::new(tls)) }
}

/// One certificate for the host of the tool `notes`, and for another.
pub fn one(authority: &Authority) -> TlsConfig {
    let pair = authority.signed("server", &["notes.localhost", "opaque.localhost"]);
    TlsConfig { certificates: vec![pair], client_ca: None }
}
