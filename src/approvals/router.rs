//! The table of contents of the API.

use std::future::ready;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Refusal;
use super::handlers::{
    audit, catalog, comments, dead_letters, decide, decisions, docs, eligibilities, grants,
    permissions, preview, requests, review, revocations, templates,
};
use super::{SharedApi, respond};

#[derive(OpenApi)]
#[openapi(
    info(title = "Tidegate", description = "Ask for access, decide, revoke, and see what happened."),
    components(schemas(docs::ProblemBody, docs::ErrorBody), responses(docs::Refused)),
    security(("bearer" = [])),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

fn contents() -> OpenApiRouter<SharedApi> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(catalog::list))
        .routes(routes!(eligibilities::list))
        .routes(routes!(templates::list))
        .routes(routes!(templates::get, templates::put, templates::delete))
        .routes(routes!(requests::create, requests::list))
        .routes(routes!(requests::get))
        .routes(routes!(decide::approve))
        .routes(routes!(decide::deny))
        .routes(routes!(review::create))
        .routes(routes!(requests::cancel))
        .routes(routes!(requests::steps))
        .routes(routes!(decide::approve_step))
        .routes(routes!(decide::deny_step))
        .routes(routes!(comments::list, comments::create))
        .routes(routes!(permissions::get))
        .routes(routes!(preview::get))
        .routes(routes!(grants::list))
        .routes(routes!(grants::get))
        .routes(routes!(grants::revoke))
        .routes(routes!(grants::release))
        .routes(routes!(grants::extend))
        .routes(routes!(revocations::create))
        .routes(routes!(audit::list))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(decisions::get))
        .routes(routes!(docs::problem))
}

/// The whole API, ready to be served.
pub fn router(api: SharedApi) -> Router {
    let (router, document) = contents().split_for_parts();
    router
        .route("/openapi.json", get(move || ready(served(&document))))
        .fallback(docs::nowhere)
        .layer(from_fn_with_state(api.clone(), respond::finish))
        .with_state(api)
}

/// The `OpenAPI` 3.1 document of the API.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    contents().into_openapi()
}

fn served(document: &utoipa::openapi::OpenApi) -> Result<Response, Refusal> {
    respond::json(StatusCode::OK, document)
}
