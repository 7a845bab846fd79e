//! The token of the admin listener (RFC 6750, section 2.1).

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use super::fresh;

/// What every request has to carry. It may change while they come; only its digest is kept.
#[derive(Clone, Debug)]
pub struct Token(Arc<ArcSwap<Digest>>);

impl Token {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(digest(&SHA256, text.as_bytes()))))
    }

    /// From now on this one, and the old one no more.
    pub fn becomes(&self, text: &str) {
        self.0.store(Arc::new(digest(&SHA256, text.as_bytes())));
    }
}

/// With a token, every request has to carry it; without one, none has to.
pub fn guarded(router: Router, token: Option<Token>) -> Router {
    let Some(Token(known)) = token else { return router };
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let carried = carries(request.headers(), &known.load());
        async move { if carried { next.run(request).await } else { refused() } }
    }))
}

/// Whether the only `Authorization` is the token. How long it takes tells nothing about the token.
fn carries(headers: &HeaderMap, known: &Digest) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, token)) = value.as_bytes().split_at_checked(7) else { return false };
    let given = digest(&SHA256, token);
    scheme.eq_ignore_ascii_case(b"bearer ")
        && verify_slices_are_equal(given.as_ref(), known.as_ref()).is_ok()
}

fn refused() -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    fresh((StatusCode::UNAUTHORIZED, challenge, "the token of the admin listener is needed\n"))
        .into_response()
}
