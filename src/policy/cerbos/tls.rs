//! TLS to the PDP: whom we trust, and who we say that we are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::CerbosConfig;

/// Trusts the configured roots alone, or Mozilla's when none are configured.
///
/// # Errors
/// Which file cannot be used, for people; what stands in it is not shown.
pub fn connector(config: &CerbosConfig) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    match &config.ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|why| unusable("ca", path, &why.to_string()))?;
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|fault| format!("no version of TLS can be used: {fault}"))?
        .with_root_certificates(roots);
    let mut client = match &config.client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let secret = PrivateKeyDer::from_pem_file(key)
                .map_err(|_unreadable| unusable("key", key, "no private key in PEM"))?;
            builder
                .with_client_auth_cert(certificates(chain)?, secret)
                .map_err(|why| unusable("certificate", chain, &why.to_string()))?
        }
    };
    client.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(client)))
}

fn unusable(key: &str, path: &Path, why: &str) -> String {
    format!("policy.cerbos.{key}: found {} ({why})", path.display())
}

/// At least one.
fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = || unusable("certificate or ca", path, "no certificate in PEM");
    let found = CertificateDer::pem_file_iter(path).map_err(|_unreadable| unreadable())?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|_broken| unreadable())?;
    if found.is_empty() { Err(unreadable()) } else { Ok(found) }
}
