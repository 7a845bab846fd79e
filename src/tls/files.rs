//! Certificates and keys in PEM (RFC 7468).

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file that TLS needs cannot be used; what stands in it is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableTls {
    #[error("{} cannot be read as PEM with a certificate", .0.display())]
    NoRoots(PathBuf),
    #[error("{} cannot be read as PEM with a certificate", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} cannot be read as PEM with a private key", .0.display())]
    NoKey(PathBuf),
    #[error("{} has a certificate that is none: {why}", .path.display())]
    Ca { path: PathBuf, why: String },
    #[error("the certificate in {} does not go with its key: {why}", .path.display())]
    Pair { path: PathBuf, why: String },
    #[error("the certificate in {} cannot be shown: {why}", .path.display())]
    NotValid { path: PathBuf, why: String },
    #[error("no version of TLS can be used: {0}")]
    Versions(String),
}

impl UnusableTls {
    /// The key of the configuration that is to blame, among `ca`, `certificate` and `key`.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::NoRoots(_) | Self::Ca { .. } => "ca",
            Self::NoCertificate(_)
            | Self::Pair { .. }
            | Self::NotValid { .. }
            | Self::Versions(_) => "certificate",
            Self::NoKey(_) => "key",
        }
    }
}

/// At least one, in the order of the file; `fault` is made of the path when it cannot be read, or
/// holds no certificate, or a broken one.
pub(super) fn certificates(
    path: &Path,
    fault: fn(PathBuf) -> UnusableTls,
) -> Result<Vec<CertificateDer<'static>>, UnusableTls> {
    let unreadable = || fault(path.to_path_buf());
    let found = CertificateDer::pem_file_iter(path).map_err(|_unreadable| unreadable())?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|_broken| unreadable())?;
    if found.is_empty() { Err(unreadable()) } else { Ok(found) }
}

/// The first private key of a file.
///
/// # Errors
/// There is none that can be read.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, UnusableTls> {
    PrivateKeyDer::from_pem_file(path).map_err(|_unreadable| UnusableTls::NoKey(path.to_path_buf()))
}
