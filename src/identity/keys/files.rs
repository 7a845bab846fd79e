//! Keys from files: a key set, one PEM key, or a shared secret.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::key::{Key, KeyId, Material};
use super::police::KeyDropped;
use super::{Dropped, KeySet, jwks, pem};
use crate::config::Algorithm;
use crate::domain::time::Timestamp;

/// A file that was not taken; the keys read before stay in force.
#[derive(Debug, thiserror::Error)]
pub enum FileRefused {
    #[error("{path}: {error}")]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{path}: {why}")]
    Document { path: PathBuf, why: jwks::DocumentRefused },
}

#[derive(Clone, Debug)]
pub enum KeyFile {
    Jwks(PathBuf),
    Pem(PathBuf),
    Secret(PathBuf),
}

impl KeyFile {
    /// Reads the file anew.
    ///
    /// # Errors
    /// It cannot be read or is no key set. A file that was read and holds no good key gives an
    /// empty set: nothing is accepted then.
    pub fn read(&self, algorithms: &[Algorithm], now: Timestamp) -> Result<KeySet, FileRefused> {
        let single = |key: Result<Key, KeyDropped>| match key {
            Ok(key) => KeySet::new(vec![key], Vec::new(), now),
            Err(why) => KeySet::new(Vec::new(), vec![Dropped { key: "0".into(), why }], now),
        };
        match self {
            Self::Jwks(path) => jwks::parse(&bytes(path)?, algorithms, now)
                .map_err(|why| FileRefused::Document { path: path.clone(), why }),
            Self::Pem(path) => Ok(single(public_key(&bytes(path)?, algorithms))),
            Self::Secret(path) => Ok(single(secret(bytes(path)?, algorithms))),
        }
    }
}

fn public_key(file: &[u8], algorithms: &[Algorithm]) -> Result<Key, KeyDropped> {
    let key = Key::new(KeyId::Any, None, pem::read(file)?);
    let accepted = algorithms.iter().any(|algorithm| key.fits(*algorithm));
    if accepted { Ok(key) } else { Err(KeyDropped::NotAccepted) }
}

/// The file's bytes are the secret; nothing is trimmed.
fn secret(file: Vec<u8>, algorithms: &[Algorithm]) -> Result<Key, KeyDropped> {
    let key = Key::new(KeyId::Any, None, Material::Secret(file));
    let fits = !algorithms.is_empty() && algorithms.iter().all(|algorithm| key.fits(*algorithm));
    if fits { Ok(key) } else { Err(KeyDropped::ShortSecret) }
}

/// One byte more than a document may have, so that its parser can say that it is too large.
fn bytes(path: &Path) -> Result<Vec<u8>, FileRefused> {
    let limit = u64::try_from(jwks::MAX_DOCUMENT).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| FileRefused::Unreadable { path: path.to_owned(), error })?;
    Ok(bytes)
}
