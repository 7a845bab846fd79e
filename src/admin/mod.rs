//! The admin listener: `/metrics`, `/livez`, `/readyz`, `/debug/authz`. It tells how the deployment is
//! doing: beyond loopback only inside TLS, and to whoever has its token.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;

use crate::telemetry::{MetricsHandle, scrape};

pub mod debug;
mod guard;
pub mod readiness;

pub use debug::DebugSection;
pub use guard::{Token, guarded};
pub use readiness::{Check, Checking, NotReady, Readiness};

/// What the admin listener shows.
#[derive(Clone)]
pub struct Admin {
    pub metrics: MetricsHandle,
    pub checks: Arc<[Check]>,
    /// What `/debug/authz` shows.
    pub debug: Arc<[DebugSection]>,
}

/// Every answer is about this very moment and is not to be kept.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/debug/authz", get(authz))
        .with_state(admin)
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.metrics.encode() {
        Ok(text) => fresh(([(header::CONTENT_TYPE, scrape::CONTENT_TYPE)], text)),
        Err(_) => fresh(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The process runs and its control-plane runtime answers; nothing else is asked.
async fn livez() -> Response {
    fresh("ok\n")
}

/// 200 or 503, with the reasons. Everything is asked now; no state is remembered.
async fn readyz(State(admin): State<Admin>) -> Response {
    let readiness = Readiness::ask(&admin.checks, readiness::DEADLINE).await;
    if readiness.is_ready() {
        return fresh(Json(readiness));
    }
    let mut response = fresh((StatusCode::SERVICE_UNAVAILABLE, Json(readiness)));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
    response
}

/// What authorisation works with; no secret is in it.
async fn authz(State(admin): State<Admin>) -> Response {
    fresh(Json(debug::gather(&admin.debug)))
}

const RETRY_AFTER: Duration = Duration::from_secs(1);

fn fresh(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
