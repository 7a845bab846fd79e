//! What a decision event says: the request, who sent it, and how it was decided and why.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::telemetry::bounded::{self, NAME, TARGET, TEXT};
use crate::telemetry::decision::DecisionRecord;

/// The `authz.*` members are always there, `null` where the decision was made before they were
/// known; the others only where they apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionData {
    pub decision_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tool: Option<Arc<str>>,
    #[schema(value_type = String)]
    pub method: Arc<str>,
    #[schema(value_type = String)]
    pub host: Arc<str>,
    /// As the client sent it, without the query.
    #[schema(value_type = String)]
    pub target: Arc<str>,
    /// What was matched and forwarded, when a prefix was stripped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub upstream_path: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub subject: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub issuer: Option<Arc<str>>,
    /// The live grants that permitted it.
    pub grants: Vec<String>,
    #[serde(rename = "authz.action")]
    #[schema(value_type = Option<String>)]
    pub action: Option<Arc<str>>,
    #[serde(rename = "authz.resource")]
    #[schema(value_type = Option<String>)]
    pub resource: Option<Arc<str>>,
    #[serde(rename = "authz.objectID")]
    #[schema(value_type = Option<String>)]
    pub object_id: Option<Arc<str>>,
    #[serde(rename = "authz.scope")]
    #[schema(value_type = Option<String>)]
    pub scope: Option<Arc<str>>,
    #[serde(rename = "authz.roles")]
    #[schema(value_type = Vec<String>)]
    pub roles: Vec<Arc<str>>,
    #[serde(rename = "authz.evaluated_policies")]
    #[schema(value_type = Vec<String>)]
    pub evaluated_policies: Vec<Arc<str>>,
    /// The rule that decided, when one did.
    #[serde(rename = "authz.rule", default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub rule: Option<Arc<str>>,
    /// The scope of the policy that decided, unless it is the root.
    #[serde(rename = "authz.policy_scope", default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub policy_scope: Option<Arc<str>>,
    #[serde(rename = "authz.derived_roles", default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub derived_roles: Vec<Arc<str>>,
    #[serde(rename = "authz.default_effect")]
    pub default_effect: String,
    /// `allow` or `deny`.
    #[serde(rename = "authz.effect")]
    pub effect: String,
    /// `allowed`, `bypassed`, or the code of the refusal.
    #[serde(rename = "authz.reason")]
    pub reason: String,
    /// For people.
    #[schema(value_type = String)]
    pub detail: Arc<str>,
    /// The trace id: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// More roles or policies than this are counted, not told.
pub(super) const ITEMS: usize = 128;

/// The `type` of a decision's event.
#[must_use]
pub const fn event_type(allowed: bool) -> &'static str {
    if allowed { "dev.tidegate.decision.allowed.v1" } else { "dev.tidegate.decision.denied.v1" }
}

impl DecisionData {
    #[must_use]
    pub fn of(record: &DecisionRecord) -> Self {
        Self {
            decision_id: record.id.to_string(),
            tool: name(record.tool.as_ref()),
            method: bounded::shared(&record.method, NAME),
            host: bounded::shared(&record.host, NAME),
            target: bounded::shared(&record.target, TARGET),
            upstream_path: record.upstream_path.as_ref().map(|p| bounded::shared(p, TARGET)),
            subject: name(record.subject.as_ref()),
            issuer: name(record.issuer.as_ref()),
            grants: record.grants.iter().map(ToString::to_string).collect(),
            action: name(record.action.as_ref()),
            resource: name(record.resource.as_ref()),
            object_id: name(record.object_id.as_ref()),
            scope: name(record.scope.as_ref()),
            roles: bounded::list(&record.roles, ITEMS),
            evaluated_policies: bounded::list(&record.evaluated_policies, ITEMS),
            rule: name(record.rule.as_ref()),
            policy_scope: name(record.policy_scope.as_ref()),
            derived_roles: bounded::list(&record.derived_roles, ITEMS),
            default_effect: record.default_effect.to_owned(),
            effect: if record.allowed { "allow" } else { "deny" }.to_owned(),
            reason: record.reason.to_owned(),
            detail: bounded::shared(&record.detail, TEXT),
            trace: record.trace.as_ref().map(crate::telemetry::trace::TraceContext::trace_id_hex),
        }
    }
}

fn name(value: Option<&Arc<str>>) -> Option<Arc<str>> {
    value.map(|value| bounded::shared(value, NAME))
}
