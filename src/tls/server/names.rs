//! Which certificate is shown: the one for the name that the client asked for (SNI, RFC 6066,
//! section 3), and none for a name that nothing here stands for.

use std::sync::Arc;

use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

#[derive(Debug)]
pub(super) struct Named {
    /// Lower case. Empty: the names that stand in the certificate.
    pub hosts: Vec<Arc<str>>,
    pub key: Arc<CertifiedKey>,
}

/// In the order of the configuration.
#[derive(Debug)]
pub(super) struct Names(pub Vec<Named>);

impl Names {
    /// A name that a certificate was bound to goes before one that merely stands in another. Without
    /// a name, only what is not bound to any can be meant.
    pub(super) fn chosen(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let mut unbound = self.0.iter().filter(|named| named.hosts.is_empty());
        let Some(name) = name else { return unbound.next().map(|named| &named.key) };
        let is_bound = |named: &&Named| named.hosts.iter().any(|h| h.eq_ignore_ascii_case(name));
        let found = self.0.iter().find(is_bound);
        found.or_else(|| unbound.find(|named| stands_for(&named.key, name))).map(|named| &named.key)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.chosen(client.server_name()).cloned()
    }
}

/// Whether the name, or a wildcard for it, stands in the certificate.
pub(super) fn stands_for(key: &CertifiedKey, name: &str) -> bool {
    let certificate = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    match (certificate, ServerName::try_from(name)) {
        (Ok(certificate), Ok(name)) => verify_server_name(&certificate, &name).is_ok(),
        (Ok(_) | Err(_), _) => false,
    }
}
