//! TLS to servers: whom we trust, and who we say that we are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::RedisTls;

/// `store.redis.tls` names files that cannot be used; what stands in them is not shown.
#[derive(Debug, thiserror::Error)]
pub enum UnusableTls {
    #[error("{} cannot be read as PEM with a certificate", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} cannot be read as PEM with a private key", .0.display())]
    NoKey(PathBuf),
    #[error("{} has a certificate that is none: {why}", .path.display())]
    Ca { path: PathBuf, why: String },
    #[error("the certificate in {} does not go with its key: {why}", .path.display())]
    Pair { path: PathBuf, why: String },
    #[error("no version of TLS can be used: {0}")]
    Versions(String),
}

/// Trusts the configured roots alone, or Mozilla's when none are configured.
///
/// # Errors
/// A file cannot be read, has nothing usable in it, or does not fit the other.
pub fn connector(tls: &RedisTls) -> Result<TlsConnector, UnusableTls> {
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in certificates(path)? {
                let added = roots.add(certificate);
                let ca = |why| UnusableTls::Ca { path: path.clone(), why };
                added.map_err(|fault| ca(fault.to_string()))?;
            }
        }
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| UnusableTls::Versions(fault.to_string()))?
        .with_root_certificates(roots);
    let config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let secret = PrivateKeyDer::from_pem_file(key)
                .map_err(|_unreadable| UnusableTls::NoKey(key.clone()))?;
            let pair = |why| UnusableTls::Pair { path: chain.clone(), why };
            let paired = builder.with_client_auth_cert(certificates(chain)?, secret);
            paired.map_err(|fault| pair(fault.to_string()))?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// At least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, UnusableTls> {
    let unreadable = || UnusableTls::NoCertificate(path.to_path_buf());
    let found = CertificateDer::pem_file_iter(path).map_err(|_unreadable| unreadable())?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|_broken| unreadable())?;
    if found.is_empty() { Err(unreadable()) } else { Ok(found) }
}
