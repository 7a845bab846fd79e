//! Certificates and keys in PEM (RFC 7468).

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file that TLS needs cannot be used; what stands in it is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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

/// At least one, in the order of the file.
///
/// # Errors
/// The file cannot be read, or holds no certificate, or a broken one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, UnusableTls> {
    let unreadable = || UnusableTls::NoCertificate(path.to_path_buf());
    let found = CertificateDer::pem_file_iter(path).map_err(|_unreadable| unreadable())?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|_broken| unreadable())?;
    if found.is_empty() { Err(unreadable()) } else { Ok(found) }
}

/// The first private key of a file.
///
/// # Errors
/// There is none that can be read.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, UnusableTls> {
    PrivateKeyDer::from_pem_file(path).map_err(|_unreadable| UnusableTls::NoKey(path.to_path_buf()))
}
