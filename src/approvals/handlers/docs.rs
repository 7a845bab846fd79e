//! What needs no credential: the help page of every problem, and what is not there.

use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToResponse, ToSchema};

use super::super::error::Refusal;
use super::super::respond;
use crate::problem::ProblemCode;

/// A refusal (RFC 9457), for the `OpenAPI` document.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// `urn:tidegate:problem:<code>`
    pub r#type: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    pub decision_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<ErrorBody>>,
}

/// One value that is not accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// RFC 6901
    pub pointer: String,
    pub code: String,
    pub detail: String,
}

/// Every refusal of every call.
pub struct Refused;

impl<'r> ToResponse<'r> for Refused {
    fn response() -> (&'r str, RefOr<utoipa::openapi::Response>) {
        let content = ContentBuilder::new().schema(Some(ProblemBody::schema())).build();
        let response = ResponseBuilder::new()
            .description("Refused: problem+json, the codes are served at /problems/{code}")
            .content("application/problem+json", content)
            .build();
        ("Refused", response.into())
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemHelp {
    pub r#type: String,
    pub code: &'static str,
    pub status: u16,
    pub title: &'static str,
    pub help: &'static str,
}

/// What a problem code means, for people (HTML) and programs (JSON).
#[utoipa::path(get, path = "/problems/{code}", tag = "documents", params(("code" = String, Path)), security(()),
    responses((status = 200, body = ProblemHelp), (status = "default", response = Refused)))]
pub async fn problem(headers: HeaderMap, Path(code): Path<String>) -> Result<Response, Refusal> {
    let code = ProblemCode::from_code(&code).ok_or_else(Refusal::not_found)?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return Ok(page(code));
    }
    let help = ProblemHelp {
        r#type: format!("urn:tidegate:problem:{}", code.code()),
        code: code.code(),
        status: code.status(),
        title: code.title(),
        help: code.help(),
    };
    respond::json(StatusCode::OK, &help)
}

/// Only fixed texts of the program stand in it.
fn page(code: ProblemCode) -> Response {
    let (title, help) = (code.title(), code.help());
    let help = help.replace('<', "&lt;");
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <h1>{title}</h1><p><code>{}</code>, HTTP {}</p><p>{help}</p></html>",
        code.code(),
        code.status(),
    );
    let headers = [(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'")];
    (headers, Html(html)).into_response()
}

/// Any path that the API does not have.
pub async fn nowhere() -> Refusal {
    Refusal::not_found()
}
