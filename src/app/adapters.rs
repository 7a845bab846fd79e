//! The ports of gateway and API, filled with the concrete identity and policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;

use crate::approvals::ports::{Authenticate, Boxed, ResolveSubject, ToolRule, Unauthenticated};
use crate::config::{CredentialSource, Rule, ToolConfig, ValuePart, ValueTemplate};
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;
use crate::gateway::ports::Identify;
use crate::identity::{
    Audience, Authenticator, Identity, IdentityRefused, LastToken, LookUp, Remembered, credential,
};
use crate::policy::{Comparison, Decision, FaultKind, Policy, PolicyWatch, Query};
use crate::problem::ProblemCode;
use crate::telemetry::events::policy::{Difference, EngineFailed, ShadowCompared};
use crate::telemetry::metrics::Metrics;
use crate::{approvals, gateway};

/// Identity on one core of the data plane.
pub struct CoreIdentity {
    authenticator: Arc<Authenticator>,
    remembered: Remembered,
}

impl CoreIdentity {
    pub const fn new(authenticator: Arc<Authenticator>, remembered: Remembered) -> Self {
        Self { authenticator, remembered }
    }

    async fn identity(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        (source, memory): (&CredentialSource, impl LookUp),
        (audience, now): (Audience, Timestamp),
    ) -> Result<Arc<Identity>, IdentityRefused> {
        let token = credential(headers, query, source)?;
        self.authenticator.authenticate(memory, token, audience, now).await
    }
}

impl Identify for CoreIdentity {
    async fn identify(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        (source, last): (&CredentialSource, &LastToken),
        now: Timestamp,
    ) -> Result<Arc<Identity>, (ProblemCode, String)> {
        let from = (source, (&self.remembered, last));
        let identity = self.identity(headers, query, from, (Audience::Tools, now)).await;
        identity.map_err(|refused| (refused.problem(), refused.to_string()))
    }
}

/// Identity at the API: bearer tokens only.
pub struct ApiIdentity(CoreIdentity);

impl ApiIdentity {
    pub fn new(authenticator: Arc<Authenticator>) -> Self {
        Self(CoreIdentity::new(authenticator, Remembered::default()))
    }
}

impl Authenticate for ApiIdentity {
    fn authenticate<'a>(
        &'a self,
        headers: &'a HeaderMap,
        now: Timestamp,
    ) -> Boxed<'a, Result<Arc<Identity>, Unauthenticated>> {
        Box::pin(async move {
            let (source, audience) = (CredentialSource::Bearer, (Audience::Api, now));
            let from = (&source, &self.0.remembered);
            self.0.identity(headers, None, from, audience).await.map_err(|refused| {
                let challenge = refused.www_authenticate();
                let challenge = challenge.as_ref().and_then(|value| value.to_str().ok());
                Unauthenticated {
                    code: refused.problem(),
                    detail: refused.to_string(),
                    challenge: challenge.unwrap_or("Bearer").to_owned(),
                }
            })
        })
    }
}

pub struct CorePolicy(pub Arc<Policy>);

impl gateway::ports::Decide for CorePolicy {
    async fn decide(&self, query: &Query<'_>) -> (Decision, Option<u64>) {
        self.0.decide(query).await
    }

    fn wants_token(&self) -> bool {
        self.0.wants_token()
    }

    fn set(&self) -> Option<u64> {
        self.0.set()
    }
}

pub struct ApiPolicy(pub Arc<Policy>);

impl approvals::ports::Decide for ApiPolicy {
    fn decide<'a>(&'a self, query: &'a Query<'a>) -> Boxed<'a, Vec<Decision>> {
        Box::pin(self.0.decide_all(query))
    }
}

/// The rules of each tool, as far as they are known without a request.
#[must_use]
pub fn tool_rules(tools: &[Arc<ToolConfig>]) -> BTreeMap<Arc<str>, Vec<ToolRule>> {
    let rules = |tool: &ToolConfig| tool.rules.iter().map(|it| tool_rule(tool, it)).collect();
    tools.iter().map(|tool| (tool.name.clone(), rules(tool))).collect()
}

fn tool_rule(tool: &ToolConfig, rule: &Rule) -> ToolRule {
    let known = |template: &ValueTemplate, otherwise: &str| -> Arc<str> {
        let text = |part: &ValuePart| match part {
            ValuePart::Text(text) => Some(text.to_string()),
            ValuePart::Path(_) | ValuePart::Query(_) | ValuePart::Header(_) | ValuePart::Method => {
                None
            }
        };
        let texts: Option<String> = template.0.iter().map(text).collect();
        texts.unwrap_or_else(|| otherwise.to_owned()).into()
    };
    ToolRule {
        methods: rule.methods.iter().map(|method| method.as_str().into()).collect(),
        path: rule.path.as_str().into(),
        access: rule.access,
        action: rule.action.clone(),
        kind: rule.resource.clone(),
        id: rule.id.as_ref().map_or_else(|| tool.name.clone(), |it| known(it, "*")),
        scope: rule.scope.as_ref().map_or_else(Arc::default, |it| known(it, "")),
        default_effect_allow: rule.default_effect_allow,
    }
}

/// Counts and logs what the policy engines meet.
pub struct WatchedPolicy(pub Metrics);

impl PolicyWatch for WatchedPolicy {
    fn failed(&self, kind: FaultKind, why: &str) {
        EngineFailed { kind: kind.label(), why }.emit(&self.0);
    }

    fn compared(&self, comparison: &Comparison<'_>) {
        let difference = match *comparison {
            Comparison::Same | Comparison::Unreachable | Comparison::Dropped => None,
            Comparison::Differs { decision, kind, action, decided, other } => Some(Difference {
                decision,
                kind,
                action,
                allowed: decided.allowed,
                policy: decided.policy,
                scope: decided.scope,
                shadow_allowed: other.allowed,
                shadow_policy: other.policy,
                shadow_scope: other.scope,
            }),
        };
        ShadowCompared { outcome: comparison.label(), difference }.emit(&self.0);
    }
}

pub struct Subjects(pub Arc<Authenticator>);

impl ResolveSubject for Subjects {
    fn resolve(&self, name: &str) -> Option<Subject> {
        self.0.resolve(name)
    }
}
