//! Why a decision came out as it did.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;

use super::super::error::Refusal;
use super::super::extract::Call;
use super::super::policy::{self, Target};
use super::super::{Api, SharedApi, respond};
use crate::domain::subject::Subject;
use crate::explain::{Explanation, Known};
use crate::problem::ProblemCode;

/// Everybody may see the reasoning of their own decisions, readers of the audit log that of all.
/// A decision is kept for a while by the instance that made it; another one answers 404 naming it.
#[utoipa::path(get, path = "/api/v1/decisions/{id}", tag = "audit", params(("id" = String, Path,
    description = "The `tidegate-decision-id` of a response.")),
    responses((status = 200, body = Explanation), (status = "default", response = super::docs::Refused)))]
pub async fn get(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let (tell, about) = match find(&api, &id) {
        Known::Elsewhere { instance } => return Err(elsewhere(&instance)),
        Known::Here(tell, about) => (Some(tell), about),
        Known::Unknown => (None, None),
    };
    // What is not there is asked about in the same way.
    let decisions = policy::ask(&api, &call, &Target::decision(&id), &["explain", "read"]).await?;
    let allowed = |index: usize| decisions.get(index).is_some_and(|decision| decision.allowed);
    let own = about.as_ref().is_some_and(|about: &Subject| about == call.subject());
    match tell {
        Some(tell) if allowed(1) || (own && allowed(0)) => respond::json(StatusCode::OK, &tell()),
        Some(_) | None => Err(Refusal::not_found()),
    }
}

fn find<'a>(api: &'a Api, id: &str) -> Known<'a> {
    match api.refusals.find(id) {
        Some((explanation, about)) => Known::Here(Box::new(move || explanation), about),
        None => api.explain.explain(id),
    }
}

fn elsewhere(instance: &str) -> Refusal {
    let detail = format!(
        "the instance {instance} made this decision; ask that one, or look into its decision log"
    );
    Refusal::new(ProblemCode::NotFound, detail)
}
