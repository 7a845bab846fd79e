//! The policy of this process: which engine is asked, and what becomes of its faults.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::embedded::PolicyProblems;
use super::{Decision, Loaded, PolicyEngine, Query, Reason};
use crate::config::Environment;

/// Asks for the bypass when it is `1`; read by the app alone.
pub const BYPASS_VARIABLE: &str = "TIDEGATE_POLICY_BYPASS";

/// Bypassing the policy is for local development only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{BYPASS_VARIABLE} is refused in the environment production")]
pub struct BypassRefused;

/// Answers every query, and never raises.
#[derive(Debug)]
pub struct Policy {
    loaded: Loaded,
    bypass: bool,
}

impl Policy {
    /// Loads every policy below `directory`. An empty directory denies everything.
    ///
    /// # Errors
    /// Everything that is wrong with the files, or a directory that cannot be read.
    pub fn load(directory: &Path) -> Result<Self, PolicyProblems> {
        Ok(Self { loaded: Loaded::load(directory)?, bypass: false })
    }

    /// Answers "yes" to everything from now on, with a warning for each decision. Rules of tools,
    /// identity and live grants are demanded as ever.
    ///
    /// # Errors
    /// In production.
    pub fn bypassed(self, environment: Environment) -> Result<Self, BypassRefused> {
        match environment {
            Environment::Production => Err(BypassRefused),
            Environment::Development => Ok(Self { bypass: true, ..self }),
        }
    }

    /// Reads the directory again and swaps when everything loads. Blocks on the disk.
    ///
    /// # Errors
    /// What is wrong; the set that was in use stays.
    pub fn reload(&self) -> Result<(), PolicyProblems> {
        self.loaded.reload()
    }

    /// What is loaded, whichever way it is asked.
    #[must_use]
    pub const fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    #[must_use]
    pub const fn is_bypassed(&self) -> bool {
        self.bypass
    }

    /// The answer for the first action of the query.
    #[expect(clippy::unused_async, reason = "an engine elsewhere is waited for")]
    pub async fn decide(&self, query: &Query<'_>) -> Decision {
        let Some(action) = query.actions.first().copied() else {
            return unreachable("the query names no action");
        };
        if self.bypass {
            return bypassed(query, action);
        }
        let engine = self.loaded.engine();
        catch_unwind(AssertUnwindSafe(|| engine.decide(query, action)))
            .unwrap_or_else(|_| unreachable("the policy engine failed"))
    }

    /// One answer for each action of the query, in order.
    #[expect(clippy::unused_async, reason = "an engine elsewhere is waited for")]
    pub async fn decide_all(&self, query: &Query<'_>) -> Vec<Decision> {
        if self.bypass {
            return query.actions.iter().map(|action| bypassed(query, action)).collect();
        }
        let engine = self.loaded.engine();
        let decisions =
            catch_unwind(AssertUnwindSafe(|| engine.decide_all(query))).unwrap_or_default();
        complete(query, decisions)
    }
}

impl PolicyEngine for Policy {
    async fn check<'a>(&'a self, query: &'a Query<'a>) -> Vec<Decision> {
        Self::decide_all(self, query).await
    }
}

/// An answer of another length belongs to other questions: none of it is used.
fn complete(query: &Query<'_>, decisions: Vec<Decision>) -> Vec<Decision> {
    if decisions.len() == query.actions.len() {
        return decisions;
    }
    let fault = unreachable("the policy engine did not answer every action");
    vec![fault; query.actions.len()]
}

fn unreachable(why: &str) -> Decision {
    tracing::warn!(why, "policy unreachable: denied");
    Decision::unreachable(why)
}

fn bypassed(query: &Query<'_>, action: &str) -> Decision {
    tracing::warn!(kind = query.resource.kind, action, "policy bypassed: allowed");
    Decision::plain(true, Reason::Bypassed, "BYPASSED", "the policy is bypassed for development")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::policy::{Attributes, Principal, Resource};

    const ALLOWS: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: tool
  version: default
  rules:
    - { actions: [read], effect: EFFECT_ALLOW, roles: [user] }
";

    /// The embedded engine never waits.
    fn now<T>(answer: impl Future<Output = T>) -> T {
        let mut context = Context::from_waker(Waker::noop());
        match std::pin::pin!(answer).poll(&mut context) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("the engine waited"),
        }
    }

    fn ask<T>(actions: &[&str], ask: impl FnOnce(&Query<'_>) -> T) -> T {
        let attr = Attributes::new();
        ask(&Query {
            principal: Principal { id: "alice", roles: &["user"], attr: &attr },
            resource: Resource { kind: "tool", id: "notes", scope: "", attr: &attr },
            claims: None,
            actions,
        })
    }

    fn policy_with(text: &str) -> (tempfile::TempDir, Policy) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("tool.yaml"), text).unwrap();
        let policy = Policy::load(directory.path()).unwrap();
        (directory, policy)
    }

    #[test]
    fn a_reload_takes_effect_and_a_broken_one_keeps_the_old_set() {
        let (directory, policy) = policy_with(ALLOWS);
        assert!(ask(&["read"], |query| now(policy.decide(query))).allowed);

        let file = directory.path().join("tool.yaml");
        fs::write(&file, ALLOWS.replace("EFFECT_ALLOW", "MAYBE")).unwrap();
        let problems = policy.reload().unwrap_err();
        assert_eq!(problems.0.len(), 1);
        assert!(ask(&["read"], |query| now(policy.decide(query))).allowed);

        fs::write(&file, ALLOWS.replace("EFFECT_ALLOW", "EFFECT_DENY")).unwrap();
        policy.reload().unwrap();
        assert!(!ask(&["read"], |query| now(policy.decide(query))).allowed);
    }

    #[test]
    fn an_empty_directory_denies_everything_and_knows_no_kind() {
        let directory = tempfile::tempdir().unwrap();
        let policy = Policy::load(directory.path()).unwrap();
        let decision = ask(&["read"], |query| now(policy.decide(query)));
        assert_eq!((decision.allowed, decision.reason), (false, Reason::Denied));
        assert!(decision.unknown_kind);
        assert_eq!(&*decision.policy, "NO_MATCH");
    }

    #[test]
    fn a_missing_directory_is_an_error_also_on_reload() {
        assert!(Policy::load(Path::new("/nowhere/at/all")).is_err());
        let (directory, policy) = policy_with(ALLOWS);
        directory.close().unwrap();
        assert!(policy.reload().is_err());
        assert!(ask(&["read"], |query| now(policy.decide(query))).allowed);
    }

    #[test]
    fn the_bypass_is_refused_in_production_and_allows_in_development() {
        let (_directory, policy) = policy_with(ALLOWS);
        assert_eq!(policy.bypassed(Environment::Production).unwrap_err(), BypassRefused);
        let (_directory, policy) = policy_with(ALLOWS);
        let policy = policy.bypassed(Environment::Development).unwrap();
        let decisions = ask(&["write", "read"], |query| now(policy.decide_all(query)));
        assert!(decisions.iter().all(|it| it.allowed && it.reason == Reason::Bypassed));
        assert_eq!(decisions.len(), 2);
    }

    #[test]
    fn an_answer_of_the_wrong_length_is_unreachable_for_every_action() {
        let (_directory, policy) = policy_with(ALLOWS);
        ask(&["read", "write"], |query| {
            let one = vec![now(policy.decide(query))];
            assert!(one[0].allowed);
            for decision in complete(query, one) {
                assert_eq!((decision.allowed, decision.reason), (false, Reason::Unreachable));
            }
        });
        let none = ask(&[], |query| now(policy.decide(query)));
        assert_eq!((none.allowed, none.reason), (false, Reason::Unreachable));
    }

    #[test]
    fn attributes_that_cannot_be_made_are_unreachable_not_a_crash() {
        struct Broken;
        impl crate::policy::AttributeSource for Broken {
            fn attributes(&self) -> Attributes {
                panic!("broken");
            }
        }
        let rule = "roles: [user], condition: { match: { expr: P.attr.x == 1 } }";
        let (_directory, policy) = policy_with(&ALLOWS.replace("roles: [user]", rule));
        let attr = Attributes::new();
        let query = Query {
            principal: Principal { id: "alice", roles: &["user"], attr: &Broken },
            resource: Resource { kind: "tool", id: "notes", scope: "", attr: &attr },
            claims: None,
            actions: &["read"],
        };
        assert_eq!(now(policy.decide(&query)).reason, Reason::Unreachable);
        assert_eq!(now(policy.decide_all(&query))[0].reason, Reason::Unreachable);
    }
}
