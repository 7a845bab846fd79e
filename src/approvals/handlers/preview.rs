//! What those who decide on a request may want to know before: what the access would allow, and what
//! its requester was refused lately.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::super::error::Refusal;
use super::super::extract::Call;
use super::super::policy::Sight;
use super::super::ports::ToolRule;
use super::super::{Api, SharedApi, respond};
use super::{find_request, permissions};
use crate::config::AccessMode;
use crate::domain::access::Access;
use crate::domain::request::Request;
use crate::domain::subject::Person;
use crate::domain::time::Timestamp;
use crate::explain::{RefusedShown, WhoseRefusals};
use crate::identity::roles::USER;
use crate::iso8601;
use crate::policy::{Attributes, Decision, Principal, Query, Reason, Resource};
use crate::problem::ProblemCode;

const LATELY: Duration = Duration::from_hours(1);
/// More refusals than these are not shown.
const MOST_REFUSED: usize = 100;
/// About more rules than these no policy is asked.
const MOST_RULES: usize = 500;
/// Longer than this no policy is asked either.
const LONGEST: Duration = Duration::from_secs(2);
const OUT_OF_TIME: &str = "not asked: the policy took too long for a preview";

const NOTES: [&str; 2] = [
    "the policy is asked with the patterns of the rules, without claims and other grants: a condition \
     on them, or on a single object, may answer otherwise",
    "refusals are those of the instance that answers, as far as it has kept them; others are not asked",
];

#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// One for each access that the request asks for.
    pub accesses: Vec<AccessPreview>,
    /// What its requester was refused at those tools since `refused_since`, newest first, 100 at most.
    pub refused: Vec<RefusedShown>,
    pub refused_since: String,
    /// The policy took too long: it was not asked about every rule.
    pub out_of_time: bool,
    /// How far this can be relied on.
    #[schema(value_type = Vec<String>)]
    pub notes: [&'static str; 2],
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AccessPreview {
    pub tool: String,
    pub role: String,
    /// In the order in which they are tried.
    pub rules: Vec<RulePreview>,
    /// There are more rules than are shown.
    pub more: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RulePreview {
    /// Empty: all.
    pub methods: Vec<String>,
    /// A pattern.
    pub path: String,
    /// `public`, `authenticated`, `policy` or `grant`.
    pub access: &'static str,
    pub action: String,
    /// With the role; `null`: nothing could decide.
    pub allowed: Option<bool>,
    /// Why, for people.
    pub detail: String,
}

/// For those who may decide on the request now, or read everybody's.
#[utoipa::path(get, path = "/api/v1/requests/{id}/preview", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, body = Preview), (status = "default", response = super::docs::Refused)))]
pub async fn get(
    State(api): State<SharedApi>,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let (request, sight) = find_request(&api, &call, &id).await?;
    if sight != Sight::Any && !permissions::may_approve(&api, &call, &request).await? {
        let detail = "the preview is for those who decide on the request";
        return Err(Refusal::new(ProblemCode::NotEligible, detail));
    }
    let since = api.clock.now().minus(LATELY);
    let until = Instant::now() + LONGEST;
    let asking = Asking { api: &api, call: &call, requester: &request.requester, until };
    let mut accesses = Vec::new();
    let mut left = MOST_RULES;
    for access in &request.template.accesses {
        let preview = asking.access(access, left).await;
        left -= preview.rules.len().min(left);
        accesses.push(preview);
    }
    let refused = refused(&api, &request, since);
    let refused_since = iso8601::time(since);
    let mut rules = accesses.iter().flat_map(|access| &access.rules);
    let out_of_time = rules.any(|rule| rule.detail == OUT_OF_TIME);
    let preview = Preview { accesses, refused, refused_since, out_of_time, notes: NOTES };
    respond::json(StatusCode::OK, &preview)
}

fn refused(api: &Api, request: &Request, since: Timestamp) -> Vec<RefusedShown> {
    let tools: Vec<Arc<str>> =
        request.template.accesses.iter().map(|access| access.tool.clone()).collect();
    let (subject, limit) = (request.subject(), MOST_REFUSED);
    api.explain.refusals(&WhoseRefusals { subject, tools: &tools, since, limit })
}

/// For whom the policy is asked, and how long.
struct Asking<'a> {
    api: &'a Api,
    call: &'a Call,
    requester: &'a Person,
    until: Instant,
}

impl Asking<'_> {
    async fn access(&self, access: &Access, most: usize) -> AccessPreview {
        let known = self.api.tools.get(&access.tool).map(Vec::as_slice).unwrap_or_default();
        let mut rules = Vec::new();
        for rule in known.iter().take(most) {
            rules.push(self.rule(access, rule).await);
        }
        let (tool, role) = (access.tool.to_string(), access.role.to_string());
        AccessPreview { tool, role, more: known.len() > rules.len(), rules }
    }

    async fn rule(&self, access: &Access, rule: &ToolRule) -> RulePreview {
        let (word, allowed) = match rule.access {
            AccessMode::Public => ("public", Some("anybody")),
            AccessMode::Authenticated => ("authenticated", Some("everybody signed in")),
            AccessMode::Policy => ("policy", None),
            AccessMode::Grant => ("grant", None),
        };
        let (allowed, detail) = match allowed {
            Some(who) => (Some(true), who.to_owned()),
            None => self.policy(access, rule).await,
        };
        RulePreview {
            methods: rule.methods.iter().map(ToString::to_string).collect(),
            path: rule.path.to_string(),
            access: word,
            action: rule.action.to_string(),
            allowed,
            detail,
        }
    }

    async fn policy(&self, access: &Access, rule: &ToolRule) -> (Option<bool>, String) {
        let late = || (None, OUT_OF_TIME.to_owned());
        if Instant::now() >= self.until {
            return late();
        }
        timeout_at(self.until, self.ask(access, rule)).await.unwrap_or_else(|_| late())
    }

    /// As the gateway would ask for the requester with the role and nothing besides.
    async fn ask(&self, access: &Access, rule: &ToolRule) -> (Option<bool>, String) {
        let Self { api, requester, .. } = self;
        let implied = api.roles.hierarchy.implied(&access.role).map(|role| &**role);
        let roles: Vec<&str> = [USER, &access.role].into_iter().chain(implied).collect();
        let principal = members(json!({
            "email": requester.email, "groups": requester.groups, "claims": {}, "grants": [],
        }));
        let method = rule.methods.first().map_or("GET", |method| &**method);
        let resource = members(json!({ "tool": access.tool, "method": method, "path": rule.path }));
        let query = Query {
            principal: Principal { id: &requester.subject.name, roles: &roles, attr: &principal },
            resource: Resource {
                kind: &rule.kind,
                id: &rule.id,
                scope: &rule.scope,
                attr: &resource,
            },
            claims: Some(&Attributes::new()),
            actions: &[&rule.action],
            decision: &self.call.traceparent,
            token: None,
        };
        match api.decide.decide(&query).await.as_slice() {
            [decision] => (verdict(decision, rule), decision.detail.to_string()),
            _ => (None, "the policy gave no answer".to_owned()),
        }
    }
}

fn verdict(decision: &Decision, rule: &ToolRule) -> Option<bool> {
    match (decision.allowed, decision.reason) {
        (true, Reason::Allowed | Reason::Bypassed) => Some(true),
        (false, Reason::Denied) => Some(rule.default_effect_allow && decision.unknown_kind),
        (true, Reason::Denied | Reason::Unreachable)
        | (false, Reason::Allowed | Reason::Bypassed | Reason::Unreachable) => None,
    }
}

fn members(value: serde_json::Value) -> Attributes {
    match value {
        serde_json::Value::Object(members) => members,
        _ => Attributes::new(),
    }
}
