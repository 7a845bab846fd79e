//! Facts of the policy engines.

use tokio::time::Instant;

use crate::telemetry::metrics::{KindLabel, Metrics, OutcomeLabel};
use crate::telemetry::seldom::Seldom;

static FAULTS: Seldom = Seldom::new();
static DIFFERENCES: Seldom = Seldom::new();

/// An engine could not decide.
#[derive(Debug)]
pub struct EngineFailed<'a> {
    /// `connection`, `deadline`, `refused`, `answer`, `question`, `engine`.
    pub kind: &'static str,
    pub why: &'a str,
}

impl EngineFailed<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        metrics.policy_errors.get_or_create(&KindLabel { kind: self.kind }).inc();
        if let Some(untold) = FAULTS.tell(("policy", self.kind), 10, Instant::now()) {
            tracing::warn!(
                kind = self.kind,
                why = self.why,
                untold,
                "the policy engine did not decide"
            );
        }
    }
}

/// Two engines were compared.
#[derive(Debug)]
pub struct ShadowCompared<'a> {
    /// `same`, `differs`, `unreachable`, `dropped`.
    pub outcome: &'static str,
    pub difference: Option<Difference<'a>>,
}

/// What both said, and about what; nothing of who asked.
#[derive(Debug)]
pub struct Difference<'a> {
    pub decision: &'a str,
    pub kind: &'a str,
    pub action: &'a str,
    pub allowed: bool,
    pub policy: &'a str,
    pub scope: &'a str,
    pub shadow_allowed: bool,
    pub shadow_policy: &'a str,
    pub shadow_scope: &'a str,
}

impl ShadowCompared<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        metrics.policy_shadow.get_or_create(&OutcomeLabel { outcome: self.outcome }).inc();
        let Some(it) = &self.difference else { return };
        let which = if it.shadow_allowed { "shadow-allows" } else { "shadow-denies" };
        let Some(untold) = DIFFERENCES.tell(("shadow", which), 100, Instant::now()) else { return };
        tracing::warn!(
            decision = it.decision,
            kind = it.kind,
            action = it.action,
            allowed = it.allowed,
            policy = it.policy,
            scope = it.scope,
            shadow_allowed = it.shadow_allowed,
            shadow_policy = it.shadow_policy,
            shadow_scope = it.shadow_scope,
            untold,
            "the shadow engine decides otherwise"
        );
    }
}
