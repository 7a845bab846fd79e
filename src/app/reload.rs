//! What SIGHUP, or a changed file, reads anew: catalog, policies, key files. Each is swapped only when all of it is
//! good; what is not good is told, and the old one stays.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::catalog;
use crate::clock::SharedClock;
use crate::domain::template::Catalog;
use crate::domain::time::Timestamp;
use crate::identity::Authenticator;
use crate::policy::Policy;
use crate::telemetry::events::reload::Reloaded;
use crate::telemetry::metrics::Metrics;

use super::load::policy_texts;

pub struct Reload {
    pub(super) catalog: Arc<ArcSwap<Catalog>>,
    pub(super) policy: Arc<Policy>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) clock: SharedClock,
    pub(super) metrics: Metrics,
    pub(super) catalog_folder: Option<PathBuf>,
    pub(super) tools: Vec<Arc<str>>,
    /// Files and folders whose change leads to a reload.
    pub(super) paths: Vec<PathBuf>,
    /// How the policies were last reloaded; `None`: not since the start.
    pub(super) last: Mutex<Option<Outcome>>,
}

/// A reload of the policies.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub at: Timestamp,
    /// Empty: they are in use.
    pub problems: Vec<String>,
}

impl Reload {
    /// Reads everything anew, beside the runtime, and tells how it went.
    pub async fn and_tell(self: &Arc<Self>) {
        let reload = self.clone();
        let problems = tokio::task::spawn_blocking(move || reload.all()).await;
        let problems = problems.unwrap_or_else(|panic| vec![panic.to_string()]);
        Reloaded { problems: &problems }.emit();
    }

    /// Reads everything anew and gives the problems of what was not taken.
    fn all(&self) -> Vec<String> {
        let mut problems = self.catalog();
        problems.extend(self.authenticator.reload(self.clock.now()).err().unwrap_or_default());
        self.metrics.config_reload_ok.set(i64::from(problems.is_empty()));
        let policy = self.policy();
        self.metrics.policy_reload_ok.set(i64::from(policy.is_empty()));
        let outcome = Outcome { at: self.clock.now(), problems: policy.clone() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        problems.extend(policy);
        problems
    }

    fn catalog(&self) -> Vec<String> {
        let Some(folder) = &self.catalog_folder else { return Vec::new() };
        match catalog::load(folder, &self.tools) {
            Ok(catalog) => {
                self.catalog.store(Arc::new(catalog));
                Vec::new()
            }
            Err(problems) => problems.texts(),
        }
    }

    fn policy(&self) -> Vec<String> {
        match self.policy.reload() {
            Ok(()) => Vec::new(),
            Err(problems) => policy_texts(&problems),
        }
    }
}
