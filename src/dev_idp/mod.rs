//! The development identity provider: five well-known people and no passwords.
//!
//! Whoever reaches it can be anybody, so it belongs on loopback and into `tidegate dev` only. It
//! answers requests whose `Host` is the issuer's own or this machine, which keeps a page in a
//! browser from reaching it under a name of its own (DNS rebinding).

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use http::Uri;

use crate::clock::SharedClock;

pub mod answer;
pub mod minter;
pub mod people;

#[cfg(test)]
mod tests;

pub use minter::{Minter, MinterError, jwks};

/// The provider cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum DevIdpError {
    #[error("the issuer {0:?} is not an http or https URL without path, query and user")]
    Issuer(String),
    #[error(transparent)]
    Key(#[from] MinterError),
}

pub(crate) struct DevIdp {
    issuer: String,
    authority: String,
    minter: Minter,
    clock: SharedClock,
}

/// Bytes of a form.
const MAX_FORM: usize = 4096;

/// `GET /.well-known/openid-configuration`, `GET /jwks.json`, `POST /token`.
///
/// With a `key_dir` the signing key is kept there (mode 0600), so that tokens survive a restart.
///
/// # Errors
/// The issuer is not the URL of a listener, or there is no key.
pub fn router(
    issuer_url: String,
    clock: SharedClock,
    key_dir: Option<&Path>,
) -> Result<Router, DevIdpError> {
    let authority =
        authority(&issuer_url).ok_or_else(|| DevIdpError::Issuer(issuer_url.clone()))?;
    let minter = match key_dir {
        Some(directory) => Minter::kept_in(directory)?,
        None => Minter::es256("dev")?,
    };
    let provider = Arc::new(DevIdp { issuer: issuer_url, authority, minter, clock });
    Ok(Router::new()
        .route("/.well-known/openid-configuration", get(answer::metadata))
        .route("/jwks.json", get(answer::keys))
        .route("/token", post(answer::token))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&provider), answer::own_host))
        .with_state(provider))
}

fn authority(issuer: &str) -> Option<String> {
    let uri: Uri = issuer.parse().ok()?;
    let plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority()?.as_str();
    (plain && scheme && !authority.contains('@')).then(|| authority.to_ascii_lowercase())
}
