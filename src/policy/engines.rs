//! The policy of this process: which engine is asked, and what becomes of its faults.

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;

#[cfg(feature = "cerbos")]
use super::cerbos::Pdp;
use super::embedded::PolicyProblems;
use super::shadow::Shadow;
use super::watch::{FaultKind, PolicyWatch, Unwatched};
use super::{Decision, Listing, Loaded, PolicyEngine, Query, Reason};
use crate::config::{Environment, PolicyConfig, PolicyEngineKind};

/// Asks for the bypass when it is `1`; read by the app alone.
pub const BYPASS_VARIABLE: &str = "TIDEGATE_POLICY_BYPASS";

/// Bypassing the policy is for local development only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{BYPASS_VARIABLE} is refused in the environment production")]
pub struct BypassRefused;

/// Why there is no policy to ask.
#[derive(Debug)]
pub enum PolicyRefused {
    Policies(PolicyProblems),
    /// An engine that cannot be set up as configured; for people.
    Engine(String),
}

/// Answers every query, and never raises.
pub struct Policy {
    engine: Arc<Engine>,
    /// What is read again, whether it decides or is compared with.
    loaded: Option<Arc<Loaded>>,
    shadow: Option<Shadow>,
    bypass: bool,
    wants_token: bool,
    watch: Arc<dyn PolicyWatch>,
}

/// One engine as configured.
enum Engine {
    Embedded(Arc<Loaded>),
    #[cfg(feature = "cerbos")]
    Cerbos {
        pdp: Box<Pdp>,
        watch: Arc<dyn PolicyWatch>,
    },
}

impl Policy {
    /// Loads every policy below `directory` for the embedded engine and runs its test suites. An
    /// empty directory denies everything.
    ///
    /// # Errors
    /// As [`Loaded::load`].
    pub fn load(directory: &Path) -> Result<Self, PolicyProblems> {
        let loaded = Arc::new(Loaded::load(directory)?);
        Ok(Self {
            engine: Arc::new(Engine::Embedded(Arc::clone(&loaded))),
            loaded: Some(loaded),
            shadow: None,
            bypass: false,
            wants_token: false,
            watch: Arc::new(Unwatched),
        })
    }

    /// The configured engines. Has to be called within the runtime that lives as long as the
    /// process: connections to a PDP and the shadow's tasks belong to it.
    ///
    /// # Errors
    /// Policies that do not load, or an engine that cannot be set up.
    pub fn open(config: &PolicyConfig, watch: Arc<dyn PolicyWatch>) -> Result<Self, PolicyRefused> {
        let load = |directory: &_| Loaded::load(directory).map_err(PolicyRefused::Policies);
        let loaded = config.directory.as_deref().map(load).transpose()?.map(Arc::new);
        let make = |kind| Engine::open(kind, loaded.as_ref(), config, &watch).map(Arc::new);
        let engine = make(config.engine)?;
        let shadow = match &config.shadow {
            None => None,
            Some(shadow) => {
                let runtime = Handle::try_current()
                    .map_err(|fault| PolicyRefused::Engine(fault.to_string()))?;
                let other = make(shadow.engine)?;
                Some(Shadow::start(&other, shadow.sample, Arc::clone(&watch), &runtime))
            }
        };
        let compared = config.shadow.as_ref().map(|shadow| shadow.engine);
        let asks_a_pdp = [Some(config.engine), compared].contains(&Some(PolicyEngineKind::Cerbos));
        let wants_token = asks_a_pdp && config.cerbos.as_ref().is_some_and(|it| it.send_token);
        Ok(Self { engine, loaded, shadow, bypass: false, wants_token, watch })
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

    /// As [`Loaded::reload`]. Without a directory there is nothing to read.
    ///
    /// # Errors
    /// What is wrong; the set that was in use stays.
    pub fn reload(&self) -> Result<(), PolicyProblems> {
        self.loaded.as_ref().map_or(Ok(()), |loaded| loaded.reload())
    }

    /// Whether the engine that decides can be asked, now.
    ///
    /// # Errors
    /// Why not, for people.
    #[cfg_attr(
        not(feature = "cerbos"),
        expect(clippy::unused_async, reason = "an engine elsewhere is waited for")
    )]
    pub async fn probe(&self) -> Result<(), String> {
        match &*self.engine {
            Engine::Embedded(_) => Ok(()),
            #[cfg(feature = "cerbos")]
            Engine::Cerbos { pdp, .. } => pdp.probe().await.map_err(|fault| fault.to_string()),
        }
    }

    /// Whether a query is to carry the caller's token.
    #[must_use]
    pub const fn wants_token(&self) -> bool {
        self.wants_token
    }

    /// What the policies in force were made of.
    #[must_use]
    pub fn listing(&self) -> Listing {
        self.loaded.as_ref().map(|it| it.listing()).unwrap_or_default()
    }

    /// What lies in the directory now. Blocks on the disk.
    #[must_use]
    pub fn look(&self) -> Listing {
        self.loaded.as_ref().map(|it| it.look()).unwrap_or_default()
    }

    /// What is loaded, whichever way it is asked.
    #[must_use]
    pub fn loaded(&self) -> Option<&Loaded> {
        self.loaded.as_deref()
    }

    /// The number of the set of policies that decides at this moment; `None`: another engine does.
    #[must_use]
    pub fn set(&self) -> Option<u64> {
        match &*self.engine {
            Engine::Embedded(loaded) => Some(loaded.engine().number),
            #[cfg(feature = "cerbos")]
            Engine::Cerbos { .. } => None,
        }
    }

    #[must_use]
    pub const fn is_bypassed(&self) -> bool {
        self.bypass
    }

    /// The answer for the first action of the query, and the number of the set of policies that
    /// decided (see [`Self::set`]).
    #[cfg_attr(
        not(feature = "cerbos"),
        expect(clippy::unused_async, reason = "an engine elsewhere is waited for")
    )]
    pub async fn decide(&self, query: &Query<'_>) -> (Decision, Option<u64>) {
        let Some(action) = query.actions.first() else {
            return (self.unreachable("the query names no action"), self.set());
        };
        if self.bypass {
            return (bypassed(query, action), self.set());
        }
        let (decision, set) = match &*self.engine {
            Engine::Embedded(loaded) => {
                let engine = loaded.engine();
                let decision = catch_unwind(AssertUnwindSafe(|| engine.decide(query, action)))
                    .unwrap_or_else(|_| self.unreachable("the policy engine failed"));
                (decision, Some(engine.number))
            }
            #[cfg(feature = "cerbos")]
            Engine::Cerbos { pdp, watch } => {
                let one = Query { actions: std::slice::from_ref(action), ..*query };
                let mut decisions = Box::pin(asked(pdp, &**watch, &one)).await;
                let decision = decisions.pop();
                let none = || self.unreachable("the PDP gave no answer");
                (decision.unwrap_or_else(none), None)
            }
        };
        if let Some(shadow) = &self.shadow {
            shadow.offer(query, std::slice::from_ref(&decision));
        }
        (decision, set)
    }

    /// One answer for each action of the query, in order.
    pub async fn decide_all(&self, query: &Query<'_>) -> Vec<Decision> {
        if self.bypass {
            return query.actions.iter().map(|action| bypassed(query, action)).collect();
        }
        let decisions = self.complete(query, self.engine.check(query).await);
        if let Some(shadow) = &self.shadow {
            shadow.offer(query, &decisions);
        }
        decisions
    }

    /// An answer of another length belongs to other questions: none of it is used.
    fn complete(&self, query: &Query<'_>, decisions: Vec<Decision>) -> Vec<Decision> {
        if decisions.len() == query.actions.len() {
            return decisions;
        }
        let fault = self.unreachable("the policy engine did not answer every action");
        vec![fault; query.actions.len()]
    }

    fn unreachable(&self, why: &str) -> Decision {
        self.watch.failed(FaultKind::Engine, why);
        tracing::warn!(why, "policy unreachable: denied");
        Decision::unreachable(why)
    }
}

impl PolicyEngine for Policy {
    async fn check<'a>(&'a self, query: &'a Query<'a>) -> Vec<Decision> {
        Self::decide_all(self, query).await
    }
}

impl Engine {
    fn open(
        kind: PolicyEngineKind,
        loaded: Option<&Arc<Loaded>>,
        config: &PolicyConfig,
        watch: &Arc<dyn PolicyWatch>,
    ) -> Result<Self, PolicyRefused> {
        let missing = |key: &str| PolicyRefused::Engine(format!("policy.{key}: found nothing"));
        match kind {
            PolicyEngineKind::Embedded => {
                loaded.cloned().map(Self::Embedded).ok_or_else(|| missing("directory"))
            }
            PolicyEngineKind::Cerbos => {
                let settings = config.cerbos.as_ref().ok_or_else(|| missing("cerbos"))?;
                Self::remote(settings, watch)
            }
        }
    }

    #[cfg(feature = "cerbos")]
    fn remote(
        settings: &crate::config::CerbosConfig,
        watch: &Arc<dyn PolicyWatch>,
    ) -> Result<Self, PolicyRefused> {
        Handle::try_current().map_err(|fault| PolicyRefused::Engine(fault.to_string()))?;
        let pdp = Pdp::new(settings).map_err(PolicyRefused::Engine)?;
        Ok(Self::Cerbos { pdp: Box::new(pdp), watch: Arc::clone(watch) })
    }

    #[cfg(not(feature = "cerbos"))]
    fn remote(
        _settings: &crate::config::CerbosConfig,
        _watch: &Arc<dyn PolicyWatch>,
    ) -> Result<Self, PolicyRefused> {
        let why = "policy.engine: found cerbos, expected a build with the cargo feature `cerbos`";
        Err(PolicyRefused::Engine(why.to_owned()))
    }
}

impl PolicyEngine for Engine {
    async fn check<'a>(&'a self, query: &'a Query<'a>) -> Vec<Decision> {
        match self {
            Self::Embedded(loaded) => {
                let engine = loaded.engine();
                catch_unwind(AssertUnwindSafe(|| engine.decide_all(query))).unwrap_or_default()
            }
            #[cfg(feature = "cerbos")]
            Self::Cerbos { pdp, watch } => asked(pdp, &**watch, query).await,
        }
    }
}

/// The PDP's answers, each of them a denial when it could not decide.
#[cfg(feature = "cerbos")]
async fn asked(pdp: &Pdp, watch: &dyn PolicyWatch, query: &Query<'_>) -> Vec<Decision> {
    let mut answer = std::pin::pin!(pdp.check(query));
    let caught = std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Some),
            Err(_panic) => std::task::Poll::Ready(None),
        }
    })
    .await;
    let (kind, why) = match caught {
        Some(Ok(decisions)) => return decisions,
        Some(Err(fault)) => (fault.kind, fault.why),
        None => (FaultKind::Engine, "the client of the PDP failed".to_owned()),
    };
    watch.failed(kind, &why);
    vec![Decision::unreachable(&why); query.actions.len()]
}

fn bypassed(query: &Query<'_>, action: &str) -> Decision {
    tracing::warn!(kind = query.resource.kind, action, "policy bypassed: allowed");
    Decision::plain(true, Reason::Bypassed, "BYPASSED", "the policy is bypassed for development")
}
