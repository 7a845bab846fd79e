//! Where an issuer's keys come from, and which of them are current.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Uri;

use super::KeySet;
use super::files::{FileRefused, KeyFile};
use super::remote::{Around, Location, Remote};
use crate::config::{Algorithm, IssuerConfig, KeySource};
use crate::domain::time::Timestamp;
use crate::http_client::HttpClient;
use crate::tls::UnusableTls;

/// The keys of one issuer.
pub enum Keys {
    File { file: KeyFile, algorithms: Vec<Algorithm>, set: ArcSwap<KeySet> },
    Remote(Arc<Remote>),
}

/// The issuer's keys cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum KeysRefused {
    #[error(transparent)]
    File(#[from] FileRefused),
    #[error("{0}")]
    Address(&'static str),
    #[error("ca: {0}")]
    Ca(#[from] UnusableTls),
}

impl Keys {
    /// Files are read at once; over the network nothing is asked yet.
    ///
    /// # Errors
    /// A file cannot be read, or an address is not acceptable.
    pub fn open(issuer: &IssuerConfig, around: &Around) -> Result<Self, KeysRefused> {
        let file = |file: KeyFile| -> Result<Self, KeysRefused> {
            let algorithms = issuer.algorithms.clone();
            let set = file.read(&algorithms, around.clock.now())?;
            set.log(&issuer.issuer);
            Ok(Self::File { file, algorithms, set: ArcSwap::from_pointee(set) })
        };
        let path = |path: &PathBuf| path.clone();
        let location = match &issuer.keys {
            KeySource::JwksFile(at) => return file(KeyFile::Jwks(path(at))),
            KeySource::Pem(at) => return file(KeyFile::Pem(path(at))),
            KeySource::Secret(at) => return file(KeyFile::Secret(path(at))),
            KeySource::JwksUrl(uri) => Location::Jwks(uri.clone()),
            KeySource::Discovery => {
                let base = issuer.issuer.trim_end_matches('/');
                let uri = format!("{base}/.well-known/openid-configuration");
                let no_address = |_| KeysRefused::Address("the issuer is not a URL to discover at");
                Location::Discovery(uri.parse::<Uri>().map_err(no_address)?)
            }
        };
        let mut around = around.clone();
        if let Some(ca) = &issuer.ca {
            around.client = HttpClient::trusting(ca)?;
        }
        Remote::new(issuer, location, around)
            .map(|remote| Self::Remote(Arc::new(remote)))
            .map_err(KeysRefused::Address)
    }

    /// The keys in force; `None` when there never were any or they are past their bound.
    #[must_use]
    pub fn current(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        match self {
            Self::File { set, .. } => Some(set.load_full()),
            Self::Remote(remote) => remote.current(now),
        }
    }

    /// Whether something verified under `generation` still counts. Allocates nothing.
    #[must_use]
    pub fn is_current(&self, generation: u64, now: Timestamp) -> bool {
        match self {
            Self::File { set, .. } => set.load().generation == generation,
            Self::Remote(remote) => remote.is_current(generation, now),
        }
    }

    /// Reads a file anew; what comes over the network is refreshed by itself.
    ///
    /// # Errors
    /// The file was not taken; the keys before it stay.
    pub fn reload(&self, issuer: &str, now: Timestamp) -> Result<(), FileRefused> {
        let Self::File { file, algorithms, set } = self else { return Ok(()) };
        let before = set.load_full();
        let read = file.read(algorithms, now)?.after(Some(&before));
        read.log(issuer);
        set.store(Arc::new(read));
        Ok(())
    }
}
