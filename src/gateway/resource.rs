//! The resource's own attributes, asked for after the grants and before the policy: who may not
//! use the tool at all does not learn what there is behind it.

use crate::problem::ProblemCode;
use crate::resources::{NotProvided, Provided, Wanted};
use crate::telemetry::decision::DecisionRecord;

use super::core::Core;
use super::ports::{Ports, Provide};
use super::refusal::Refusal;
use super::route::Route;

/// `None`: there is nobody to ask for this kind.
///
/// # Errors
/// `not-found`, `policy-denied`, `policy-unreachable`, or `bad-request` for an id that cannot be
/// read in one way.
pub async fn provided<P: Ports>(
    core: &Core<P>,
    route: &Route<'_>,
    trail: &mut DecisionRecord,
) -> Result<Option<Provided>, Refusal> {
    let resources = core.ports.resources();
    let kind = &*route.rule.resource;
    if !resources.knows(kind) {
        return Ok(None);
    }
    let wanted = Wanted { kind, id: &route.id, tool: route.tool_name(), scope: &route.scope };
    // In a box, so that a request for another kind carries no room for it.
    let found = Box::pin(resources.provide(&wanted)).await.map_err(refusal)?;
    trail.attributes = Some(found.from.to_string().into());
    if found.known.scope.as_deref().is_some_and(|scope| *scope != *route.scope) {
        // Nobody has a role there, so there is nothing that the policy could be asked.
        trail.roles.clear();
        let detail = format!("the {kind} belongs to another scope");
        return Err(Refusal::new(ProblemCode::PolicyDenied, detail));
    }
    Ok(Some(found))
}

fn refusal(why: NotProvided) -> Refusal {
    match why {
        NotProvided::Unclear(detail) => Refusal::bad_request(detail),
        NotProvided::NotFound(detail) => Refusal::new(ProblemCode::NotFound, detail),
        NotProvided::Denied(detail) => Refusal::new(ProblemCode::PolicyDenied, detail),
        NotProvided::Unreachable(detail) => Refusal::new(ProblemCode::PolicyUnreachable, detail),
    }
}
