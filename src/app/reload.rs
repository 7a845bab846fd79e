//! What SIGHUP, or a changed file, reads anew: catalog, directory, policies, key files, certificates
//! of ours and of tools, the token of the admin listener. Each is swapped only when all of it is good;
//! what is not good is told, and the old one stays.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::admin::Token;
use crate::catalog::{self, Shelf, Turned};
use crate::clock::SharedClock;
use crate::directory::Directory;
use crate::domain::time::Timestamp;
use crate::gateway::Routes;
use crate::identity::Authenticator;
use crate::policy::Policy;
use crate::telemetry::events::reload::{Reloaded, TemplatesTurned};
use crate::telemetry::metrics::{Metrics, ReloadLabel};
use crate::tls::ServerTls;

use super::load;

pub struct Reload {
    pub(super) shelf: Arc<Shelf>,
    pub(super) directory: Arc<Directory>,
    pub(super) policy: Arc<Policy>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) tls: Vec<Arc<ServerTls>>,
    pub(super) routes: Arc<ArcSwap<Routes>>,
    /// Where it stands in a file.
    pub(super) admin_token: Option<(Token, PathBuf)>,
    pub(super) clock: SharedClock,
    pub(super) metrics: Metrics,
    pub(super) catalog_folder: Option<PathBuf>,
    /// Files and folders whose change leads to a reload, besides the policies.
    pub(super) paths: Vec<PathBuf>,
    /// However often it was asked for meanwhile, one more follows.
    pub(super) asked: Notify,
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
    /// Asks for everything to be read anew, soon: nobody waits for tests of policies.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Reads everything anew whenever it is asked for, one after the other. Never ends.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            self.asked.notified().await;
            self.and_tell().await;
        }
    }

    /// What is wrong with one part does not keep the other from being taken.
    async fn and_tell(self: &Arc<Self>) {
        let mut problems = self.beside(Self::configured).await;
        self.metrics.config_reload_ok.set(i64::from(problems.is_empty()));
        let policies = self.beside(Self::policies).await;
        self.tell_of_policies(policies.is_empty());
        let outcome = Outcome { at: self.clock.now(), problems: policies.clone() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        problems.extend(policies);
        Reloaded { problems: &problems }.emit();
    }

    fn tell_of_policies(&self, is_good: bool) {
        let outcome = if is_good { "taken" } else { "refused" };
        self.metrics.policy_reloads.get_or_create(&ReloadLabel { outcome }).inc();
        self.metrics.policy_reload_ok.set(i64::from(is_good));
        if is_good {
            let now = i64::try_from(self.clock.now().seconds()).unwrap_or(0);
            self.metrics.policy_loaded.set(now);
        }
    }

    /// Beside the runtime: files are read, and policies tested.
    async fn beside(self: &Arc<Self>, read: fn(&Self) -> Vec<String>) -> Vec<String> {
        let reload = self.clone();
        let problems = tokio::task::spawn_blocking(move || read(&reload)).await;
        problems.unwrap_or_else(|panic| vec![panic.to_string()])
    }

    fn configured(&self) -> Vec<String> {
        let mut problems = self.catalog();
        problems.extend(self.directory.reload());
        let now = self.clock.now();
        problems.extend(self.authenticator.reload(now).err().unwrap_or_default());
        problems.extend(self.tls.iter().filter_map(|tls| tls.reload(now).err()).flatten());
        let routes = self.routes.load();
        problems.extend(routes.upstreams().iter().filter_map(|tool| tool.reload(now).err()));
        problems.extend(self.admin_token().err());
        problems
    }

    fn admin_token(&self) -> Result<(), String> {
        let Some((token, file)) = &self.admin_token else { return Ok(()) };
        let text = load::admin_token(file);
        token.becomes(&text.map_err(|why| format!("listeners.admin.token.file: {why}"))?);
        Ok(())
    }

    fn catalog(&self) -> Vec<String> {
        let Some(folder) = &self.catalog_folder else { return Vec::new() };
        match catalog::load(folder, &self.shelf.tools) {
            Ok(catalog) => {
                let Turned { hidden, back } = self.shelf.put_files(catalog);
                TemplatesTurned { hidden: &hidden, back: &back }.emit();
                Vec::new()
            }
            Err(problems) => problems.texts(),
        }
    }

    fn policies(&self) -> Vec<String> {
        self.policy.reload().err().map(|problems| problems.texts()).unwrap_or_default()
    }
}
