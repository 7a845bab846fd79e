//! What has to be good before anything is bound: catalog, policies, keys; and the store.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::catalog::{self, Shelf};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{AdminToken, Backend, Config, Environment, IssuerConfig, KeySource, TlsConfig};
use crate::directory::Directory;
use crate::domain::ids::PartitionCount;
use crate::domain::template::Catalog;
use crate::entropy::NoEntropy;
use crate::gateway::Routes;
use crate::identity::Authenticator;
use crate::identity::roles::RoleRules;
use crate::outbox::webhook;
use crate::policy::embedded::Engine;
use crate::policy::{BYPASS_VARIABLE, Policy, PolicyRefused};
use crate::resources::{Providers, SharedProviders};
use crate::store::embedded::{self, Embedded, OpenError};
use crate::store::reconcile::Reconciler;
use crate::store::redis::{self, Redis};

use super::adapters::WatchedPolicy;
use super::stores::Stores;
use crate::telemetry::metrics::Metrics;
use crate::tls::{self, ListenersTls};

/// How long a PDP may take to be there at start.
const PATIENCE: Duration = Duration::from_secs(2);

/// As much is read of the file of a token.
const MOST_TOKEN: u64 = 8192;

/// Why a process did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Of configuration, catalog, policies or keys: all that were found.
    #[error("{}", .0.join("\n"))]
    Problems(Vec<String>),
    /// The store is there but does not fit, or somebody else holds it.
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Redis(#[from] redis::OpenError),
    /// The engine that decides is not there.
    #[error("policy.engine: {0}")]
    Policy(String),
    #[error("{0}")]
    Bind(io::Error),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

impl StartError {
    #[must_use]
    pub const fn bind(error: io::Error) -> Self {
        Self::Bind(error)
    }

    /// Whether another process holds the embedded store.
    #[must_use]
    pub const fn is_in_use(&self) -> bool {
        matches!(self, Self::Store(OpenError::InUse { .. }))
    }
}

/// Everything that was loaded and found good.
pub struct Ready {
    pub shelf: Arc<Shelf>,
    pub policy: Arc<Policy>,
    pub authenticator: Arc<Authenticator>,
    pub roles: RoleRules,
    pub providers: SharedProviders,
    pub routes: Arc<ArcSwap<Routes>>,
    pub tls: ListenersTls,
    pub directory: Arc<Directory>,
}

impl Ready {
    /// # Errors
    /// Every problem of all of them.
    pub fn load(
        config: &Config,
        clock: &SharedClock,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let mut problems = Vec::new();
        let catalog = keep(load_catalog(config), &mut problems);
        let policy = keep(load_policy(config, metrics), &mut problems);
        let authenticator = Authenticator::open(config, clock.clone(), metrics.clone())
            .map_err(|refused| vec![refused.to_string()]);
        let providers = Providers::open(&config.policy.providers, clock, metrics);
        let providers = keep(providers, &mut problems);
        let routes = keep(Routes::open(&config.tools, metrics, clock.now()), &mut problems);
        let authenticator = keep(authenticator, &mut problems);
        let tls = keep(tls::open(&config.listeners, clock.now()), &mut problems);
        let directory = Directory::open(&config.directory, clock.clone(), metrics.clone());
        let directory = keep(directory, &mut problems);
        let hooks = webhook::problems(&config.audit);
        let hooks = keep(if hooks.is_empty() { Ok(()) } else { Err(hooks) }, &mut problems);
        let extras = (routes, tls, directory, hooks);
        let loaded = (catalog, policy, authenticator, providers, extras);
        match loaded {
            (
                Some(catalog),
                Some(policy),
                Some(authenticator),
                Some(providers),
                (Some(routes), Some(tls), Some(directory), Some(())),
            ) => {
                metrics.config_reload_ok.set(1);
                metrics.policy_loaded.set(i64::try_from(clock.now().seconds()).unwrap_or(0));
                metrics.policy_reload_ok.set(1);
                let hierarchy = config.policy.role_hierarchy.clone();
                let shelf = Arc::new(Shelf::new(catalog, tool_names(config), hierarchy));
                let roles = RoleRules {
                    mapping: config.policy.role_mapping.clone(),
                    hierarchy: config.policy.role_hierarchy.clone(),
                };
                let (policy, providers) = (Arc::new(policy), Arc::new(providers));
                let routes = Arc::new(ArcSwap::from_pointee(routes));
                Ok(Self { shelf, policy, authenticator, roles, providers, routes, tls, directory })
            }
            _ => Err(StartError::Problems(problems)),
        }
    }
}

fn keep<T>(loaded: Result<T, Vec<String>>, problems: &mut Vec<String>) -> Option<T> {
    loaded.map_err(|found| problems.extend(found)).ok()
}

pub fn load_catalog(config: &Config) -> Result<Catalog, Vec<String>> {
    let Some(folder) = &config.catalog else { return Ok(Catalog::default()) };
    catalog::load(folder, &tool_names(config)).map_err(|problems| problems.texts())
}

fn tool_names(config: &Config) -> Vec<Arc<str>> {
    config.tools.iter().map(|tool| tool.name.clone()).collect()
}

fn load_policy(config: &Config, metrics: &Metrics) -> Result<Policy, Vec<String>> {
    let watch = Arc::new(WatchedPolicy(metrics.clone()));
    let policy = Policy::open(&config.policy, watch).map_err(|refused| match refused {
        PolicyRefused::Policies(problems) => problems.texts(),
        PolicyRefused::Engine(why) => vec![why],
    })?;
    if std::env::var_os(BYPASS_VARIABLE).is_none_or(|value| value != "1") {
        return Ok(policy);
    }
    policy
        .bypassed(config.environment)
        .map_err(|refused| vec![format!("{BYPASS_VARIABLE}: found 1; {refused}")])
}

/// Waits a little for the engine that decides: a PDP may be starting, too. Production does not start without it.
///
/// # Errors
/// It is not there, in production.
pub async fn reach_policy(config: &Config, policy: &Policy) -> Result<(), StartError> {
    let patience = Instant::now() + PATIENCE;
    let why = loop {
        match policy.probe().await {
            Ok(()) => return Ok(()),
            Err(why) if Instant::now() >= patience => break why,
            Err(_) => tokio::time::sleep(PATIENCE / 20).await,
        }
    };
    match config.environment {
        Environment::Production => Err(StartError::Policy(why)),
        Environment::Development => {
            tracing::warn!(
                why,
                "no PDP: what asks the policy is answered with 503 until it is there"
            );
            Ok(())
        }
    }
}

/// Every problem of the policies in a folder, and every test of theirs that fails, for
/// `tidegate check`.
#[must_use]
pub fn policy_problems(folder: &Path) -> Vec<String> {
    match Policy::load(folder) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.texts(),
    }
}

/// What is doubtful in the policies of a folder, for `tidegate check`; nothing when they do not load.
#[must_use]
pub fn policy_doubts(folder: &Path) -> Vec<String> {
    let findings = Engine::lint(folder).unwrap_or_default();
    findings.iter().map(ToString::to_string).collect()
}

/// Every problem of key files and store, for `tidegate check`. A store that is not there yet is made
/// by `serve`, and one that a running process holds has passed already.
#[must_use]
pub fn key_and_store_problems(config: &Config) -> Vec<String> {
    let clock: SharedClock = Arc::new(SystemClock);
    let keys = Authenticator::open(config, clock.clone(), Metrics::unregistered());
    let mut problems: Vec<String> = keys.err().iter().map(ToString::to_string).collect();
    let providers = Providers::open(&config.policy.providers, &clock, &Metrics::unregistered());
    problems.extend(providers.err().unwrap_or_default());
    let now = clock.now();
    let routes = Routes::open(&config.tools, &Metrics::unregistered(), now);
    problems.extend(routes.err().unwrap_or_default());
    problems.extend(tls::open(&config.listeners, now).err().unwrap_or_default());
    let directory = Directory::open(&config.directory, clock.clone(), Metrics::unregistered());
    problems.extend(directory.err().unwrap_or_default());
    problems.extend(webhook::problems(&config.audit));
    match &config.store.backend {
        Backend::Embedded { path } if embedded::is_initialised(path) => {
            match open_embedded(config, path, &clock) {
                Ok(_) | Err(OpenError::InUse { .. }) => (),
                Err(misfit) => problems.push(misfit.to_string()),
            }
        }
        Backend::Embedded { .. } | Backend::Redis(_) => (),
    }
    problems
}

fn open_embedded(config: &Config, path: &Path, clock: &SharedClock) -> Result<Embedded, OpenError> {
    Embedded::open(path, &config.store.seal_keys, PartitionCount::DEFAULT, clock.clone())
}

/// # Errors
/// The store does not fit, or somebody else holds it.
pub async fn open_store(config: &Config, clock: &SharedClock) -> Result<Stores, StartError> {
    let (keys, partitions) = (&config.store.seal_keys, PartitionCount::DEFAULT);
    match &config.store.backend {
        Backend::Embedded { path } => Ok(Stores::Embedded(open_embedded(config, path, clock)?)),
        Backend::Redis(settings) => {
            let options = redis::Options {
                environment: config.environment,
                clock_skew: config.limits.clock_skew,
            };
            let settings = (**settings).clone();
            let opened = Redis::open(settings, keys, partitions, clock.clone(), options);
            Ok(Stores::Redis(opened.await?))
        }
    }
}

/// A store opened past what a gateway refuses: a partition that went back in time, or one without
/// head or markers.
pub struct Reconcilable {
    pub reconciler: Arc<dyn Reconciler>,
    /// Whether other processes can be asked about it.
    pub is_shared: bool,
}

/// Opens the configured store for `tidegate store reconcile`. An embedded one has to be there.
///
/// # Errors
/// As [`open_store`].
pub async fn open_to_reconcile(
    config: &Config,
    clock: SharedClock,
) -> Result<Reconcilable, StartError> {
    let is_shared = match &config.store.backend {
        Backend::Embedded { path } if !embedded::is_initialised(path) => {
            let fault = io::Error::new(io::ErrorKind::NotFound, "there is no store in it");
            return Err(OpenError::Directory { path: path.clone(), fault }.into());
        }
        Backend::Embedded { .. } => false,
        Backend::Redis(_) => true,
    };
    let reconciler = open_store(config, &clock).await?.reconciler();
    Ok(Reconcilable { reconciler, is_shared })
}

/// Where the token of the admin listener stands, if in a file.
#[must_use]
pub fn admin_token_file(config: &Config) -> Option<PathBuf> {
    config.listeners.admin_token.as_ref()?.file.clone()
}

/// What stands in the file now.
///
/// # Errors
/// It cannot be read, or is no token; what stands in it is not shown.
pub fn admin_token(file: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("{}: {}", file.display(), error.kind());
    let mut text = Vec::new();
    File::open(file)
        .map_err(unreadable)?
        .take(MOST_TOKEN)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    let text = String::from_utf8_lossy(text.trim_ascii()).into_owned();
    if AdminToken::fits(&text) {
        return Ok(text);
    }
    Err(format!("{}: no token of 32 to 4096 visible ASCII characters", file.display()))
}

/// Every file and folder that a reload reads, besides those of the policies.
#[must_use]
pub fn watched(config: &Config) -> Vec<PathBuf> {
    let key_file = |issuer: &IssuerConfig| match &issuer.keys {
        KeySource::JwksFile(path) | KeySource::Pem(path) | KeySource::Secret(path) => {
            Some(path.clone())
        }
        KeySource::JwksUrl(_) | KeySource::Discovery => None,
    };
    let mut paths = Vec::from_iter(config.catalog.clone());
    paths.extend(config.directory.file.clone());
    paths.extend(config.issuers.iter().filter_map(key_file));
    let proxy = config.listeners.proxy.iter().filter_map(|listener| listener.tls.as_ref());
    let tls = proxy.chain(&config.listeners.api_tls).chain(&config.listeners.admin_tls);
    paths.extend(tls.flat_map(TlsConfig::files).cloned());
    paths.extend(config.tools.iter().flat_map(|tool| tool.upstream.tls.files()).cloned());
    paths.extend(admin_token_file(config));
    paths
}

/// A public URL that was made from port 0 names the real port.
pub fn settle_public_url(config: &mut Config, api: SocketAddr) {
    if config.listeners.api.port() == 0 && config.api.public_url.ends_with(":0") {
        let scheme = if config.listeners.api_tls.is_some() { "https" } else { "http" };
        config.api.public_url = format!("{scheme}://{api}").into();
    }
}
