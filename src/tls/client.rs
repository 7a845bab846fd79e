//! TLS to servers: whom we trust, and who we say that we are.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::files::{UnusableTls, certificates, private_key};
use super::server::is_valid;
use crate::domain::time::Timestamp;

/// Files in PEM.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trust<'a> {
    /// These roots alone; without them Mozilla's. The system's own list is not used.
    pub ca: Option<&'a Path>,
    /// Certificate chain and private key, for servers that want to know their clients.
    pub client: Option<(&'a Path, &'a Path)>,
    /// The client's certificate has to be valid then.
    pub valid_at: Option<Timestamp>,
}

/// # Errors
/// A file cannot be read, has nothing usable in it, or does not fit the other.
pub fn client(trust: Trust<'_>) -> Result<ClientConfig, UnusableTls> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|fault| UnusableTls::Versions(fault.to_string()))?
        .with_root_certificates(roots(trust.ca)?);
    let Some((chain, key)) = trust.client else { return Ok(builder.with_no_client_auth()) };
    let chained = certificates(chain, UnusableTls::NoCertificate)?;
    if let (Some(leaf), Some(now)) = (chained.first(), trust.valid_at) {
        let unusable = |why| UnusableTls::NotValid { path: chain.into(), why };
        is_valid(leaf, now).map_err(unusable)?;
    }
    let paired = builder.with_client_auth_cert(chained, private_key(key)?);
    paired.map_err(|fault| UnusableTls::Pair { path: chain.into(), why: fault.to_string() })
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, UnusableTls> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    for certificate in certificates(path, UnusableTls::NoRoots)? {
        let unusable = |why| UnusableTls::Ca { path: path.into(), why };
        roots.add(certificate).map_err(|fault| unusable(fault.to_string()))?;
    }
    Ok(roots)
}
