//! Certificates and keys from PEM files. Nothing of what stands in a key's file is ever shown.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, RootCertStore};

use crate::config::CertificateConfig;
use crate::domain::time::Timestamp;
use crate::iso8601;

use super::names::stands_for;
use super::validity::Validity;

const MOST_BYTES: u64 = 1 << 20;

/// One line for people: key path, file, what is wrong.
pub(super) fn problem(place: &str, key: &str, file: Option<&Path>, why: &str) -> String {
    match file {
        Some(file) => format!("{place}.{key}: {}: {why}", file.display()),
        None => format!("{place}.{key}: {why}"),
    }
}

/// A certificate that can be shown now, with its key.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn pair(
    place: &str,
    config: &CertificateConfig,
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<CertifiedKey, Vec<String>> {
    let mut problems = Vec::new();
    let mut note = |key: &str, file: &Path, why: String| {
        problems.push(problem(place, key, Some(file), &why));
    };
    let chain =
        chain(&config.certificate).map_err(|why| note("certificate", &config.certificate, why));
    let key = private_key(&config.key).map_err(|why| note("key", &config.key, why));
    if let Ok(chain) = &chain {
        let valid = chain.first().map_or(Ok(()), |leaf| is_valid(leaf, now));
        let _noted = valid.map_err(|why| note("certificate", &config.certificate, why));
    }
    let (Ok(chain), Ok(key)) = (chain, key) else { return Err(problems) };
    let pair = match CertifiedKey::from_der(chain, key, provider) {
        Ok(pair) => pair,
        Err(Error::InconsistentKeys(_)) => {
            note("key", &config.key, "it is the key of another certificate".to_owned());
            return Err(problems);
        }
        Err(fault) => {
            note("key", &config.key, format!("it cannot be used with its certificate: {fault}"));
            return Err(problems);
        }
    };
    for host in config.hosts.iter().filter(|host| !stands_for(&pair, host)) {
        note("certificate", &config.certificate, format!("{host} does not stand in it"));
    }
    if problems.is_empty() { Ok(pair) } else { Err(problems) }
}

/// # Errors
/// For people: why it is not valid at `now`.
pub fn is_valid(certificate: &CertificateDer<'_>, now: Timestamp) -> Result<(), String> {
    let Some(validity) = Validity::of(certificate) else {
        return Err("when it is valid cannot be read".to_owned());
    };
    if now < validity.not_before {
        return Err(format!("it is not valid before {}", iso8601::time(validity.not_before)));
    }
    if now > validity.not_after {
        return Err(format!("it expired at {}", iso8601::time(validity.not_after)));
    }
    Ok(())
}

/// The authorities that clients' certificates have to lead to.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        let added = roots.add(certificate);
        added.map_err(|fault| format!("a certificate in it is none: {fault}"))?;
    }
    Ok(roots)
}

/// At least one certificate.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = bytes(path)?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err("no PEM with a certificate".to_owned()),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = bytes(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_none| "no PEM with a private key".to_owned())
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("it cannot be read ({})", error.kind());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MOST_BYTES) {
        return Ok(bytes);
    }
    Err("it is larger than 1 MiB".to_owned())
}
