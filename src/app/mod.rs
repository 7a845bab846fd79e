//! The only part that names all concrete types: from a checked configuration to a running process.
//!
//! Everything that can be refused is refused before anything is bound, and everything is bound
//! before anything is started.

mod adapters;
mod debug;
mod descriptors;
mod inspect;
mod load;
mod reload;
mod stop;
mod stores;
mod uses;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::admin::{self, Admin, Check, DebugSection};
use crate::approvals::{self, Api, SharedApi};
use crate::clock::SharedClock;
use crate::cloudevents;
use crate::config::Config;
use crate::gateway::{self, Explainer, Gateway, Recent, Sockets, Speaks, Uses};
use crate::identity::Remembered;
use crate::outbox::{Outbox, OutboxParts, webhook};
use crate::shutdown::{self, Stop, Trigger};
use crate::store::reconcile::Reconciler;
use crate::store::{SharedStore, StoreFault};
use crate::telemetry::events::approvals::StoreFailed;
use crate::telemetry::ids::{self, DecisionIds, UserHashes};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::sample::{self, Skew};
use crate::telemetry::scrape::MetricsHandle;
use crate::tls::ListenersTls;

use adapters::{ApiIdentity, ApiPolicy, Subjects, tool_rules};
pub use adapters::{CoreIdentity, CorePolicy};
pub use inspect::{Held, InspectError, StoreReport, SubjectReport, show_subject, store_status};
pub use load::{
    Ready, Reconcilable, StartError, key_and_store_problems, open_to_reconcile, policy_doubts,
    policy_problems,
};
pub use reload::Reload;
pub use stop::Failed;
use stores::Stores;

/// Where a running process listens, with real ports.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub proxy: Vec<SocketAddr>,
    pub api: SocketAddr,
    pub admin: SocketAddr,
}

/// A running process. Dropping it without [`Running::finish`] loses nothing that was committed.
pub struct Running {
    pub addresses: Addresses,
    pub reload: Arc<Reload>,
    trigger: Trigger,
    gateway: Gateway,
    /// The API, which ends by draining, and the admin listener, which does not end by itself.
    servers: JoinSet<()>,
    /// Of these the timers alone end when they are told to.
    background: JoinSet<()>,
    background_stop: Trigger,
    outbox: Outbox,
}

/// Bound, and not started yet.
struct Bound {
    proxy: Sockets,
    api: TcpListener,
    admin: TcpListener,
}

/// Starts everything that `config` names.
///
/// # Errors
/// Every problem of catalog, policies and keys; a store that does not fit; an address that cannot
/// be bound. Nothing runs then.
pub async fn start(mut config: Config, clock: SharedClock) -> Result<Running, StartError> {
    let (metrics, scrape) = MetricsHandle::new();
    let ready = Ready::load(&config, &clock, &metrics)?;
    load::reach_policy(&config, &ready.policy).await?;
    let stores = load::open_store(&config, &clock).await?;
    let bound = bind(&config, &ready.tls).await?;
    let addresses = bound.addresses()?;
    load::settle_public_url(&mut config, addresses.api);
    let store = stores.store();

    let (trigger, stop) = shutdown::channel();
    let (background_stop, background_ends) = shutdown::channel();
    let outbox = Outbox::start(OutboxParts {
        config: &config.audit,
        source: cloudevents::source(&config.deployment),
        public_url: config.api.public_url.clone(),
        store: store.clone(),
        metrics: &metrics,
        clock: clock.clone(),
        cores: bound.proxy.cores(),
    })
    .map_err(StartError::Problems)?;
    let users = Arc::new(UserHashes::new()?);
    let reconciler = stores.reconciler();
    let outbox_ref = &outbox;
    let instance = ids::instance()?;
    let token = config.listeners.admin_token.as_ref();
    let parts = Parts {
        admin_token: token.map(|token| admin::Token::new(&token.text)),
        recent: Recent::new(instance.clone(), bound.proxy.cores()),
        uses: Arc::new(Uses::new(bound.proxy.cores())),
        instance,
        config,
        ready,
        clock,
        metrics,
        users,
        stores,
        store,
        reconciler,
        outbox: outbox_ref,
        stop,
    };
    let api = parts.api()?;
    // A store that does not answer yet is read as soon as it does; until then it is not known what
    // only grants give.
    let _told = approvals::templates::refresh(&api).await;
    let gateway = parts.gateway(bound.proxy)?;
    let reload = Arc::new(parts.reload());
    let debug = parts.debug(&reload);
    let servers = parts.servers(bound.api, bound.admin, &api, (scrape, debug));
    let background = parts.background(&api, &background_ends, &reload, parts.stores.skew());
    Ok(Running {
        addresses,
        reload,
        trigger,
        gateway,
        servers,
        background,
        background_stop,
        outbox,
    })
}

async fn bind(config: &Config, tls: &ListenersTls) -> Result<Bound, StartError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let listeners = &config.listeners.proxy;
    let addresses: Vec<SocketAddr> = listeners.iter().map(|listener| listener.address).collect();
    let speak = listeners.iter().zip(&tls.proxy);
    let speak = speak.map(|(it, tls)| Speaks { http2: it.http2, tls: tls.clone() });
    let proxy = Sockets::bind(&addresses, cores).map_err(StartError::bind)?.speaking(speak);
    let proxy = proxy.writing_together(config.listeners.io_uring);
    let (api, admin) =
        (listener(config.listeners.api).await?, listener(config.listeners.admin).await?);
    Ok(Bound { proxy, api, admin })
}

async fn listener(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|e| StartError::bind(io::Error::new(e.kind(), format!("{address}: {e}"))))
}

impl Bound {
    fn addresses(&self) -> Result<Addresses, StartError> {
        Ok(Addresses {
            proxy: self.proxy.addresses().to_vec(),
            api: self.api.local_addr().map_err(StartError::bind)?,
            admin: self.admin.local_addr().map_err(StartError::bind)?,
        })
    }
}

/// What the parts of the process are made from.
struct Parts<'a> {
    /// What every decision id of this process begins with.
    instance: Arc<str>,
    admin_token: Option<admin::Token>,
    recent: Arc<Recent>,
    uses: Arc<Uses>,
    config: Config,
    ready: Ready,
    clock: SharedClock,
    metrics: Metrics,
    users: Arc<UserHashes>,
    stores: Stores,
    store: SharedStore,
    reconciler: Arc<dyn Reconciler>,
    outbox: &'a Outbox,
    stop: Stop,
}

impl Parts<'_> {
    fn gateway(&self, sockets: Sockets) -> Result<Gateway, StartError> {
        let moved = self.store.clone();
        let shared = gateway::Shared {
            routes: self.ready.routes.clone(),
            catalog: self.ready.shelf.in_use(),
            roles: self.ready.roles.clone(),
            limits: self.config.limits,
            connections: descriptors::proxy_connections(),
            public_url: self.config.api.public_url.clone(),
            instance: self.instance.clone(),
            clock: self.clock.clone(),
            decisions: self.outbox.decision_log(),
            moves: gateway::Moves::new(move || moved.moved()),
            recent: self.recent.clone(),
            uses: self.uses.clone(),
            metrics: self.metrics.clone(),
            users: self.users.clone(),
        };
        let (authenticator, policy) = (self.ready.authenticator.clone(), self.ready.policy.clone());
        let (stores, providers) = (self.stores.clone(), self.ready.providers.clone());
        let make_core = move |_core: usize| {
            let identity = CoreIdentity::new(authenticator.clone(), Remembered::default());
            (identity, CorePolicy(policy.clone()), stores.reader(), providers.clone())
        };
        let draining = self.stop.receiver();
        gateway::spawn(sockets, &Arc::new(shared), &draining, make_core).map_err(StartError::bind)
    }

    fn api(&self) -> Result<SharedApi, StartError> {
        let authenticator = &self.ready.authenticator;
        Ok(Arc::new(Api {
            store: self.store.clone(),
            catalog: self.ready.shelf.in_use(),
            shelf: self.ready.shelf.clone(),
            shelf_reads: tokio::sync::Mutex::default(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            users: self.users.clone(),
            authenticate: Arc::new(ApiIdentity::new(authenticator.clone())),
            decide: Arc::new(ApiPolicy(self.ready.policy.clone())),
            subjects: Arc::new(Subjects(authenticator.clone())),
            tools: Arc::new(tool_rules(&self.config.tools)),
            roles: self.ready.roles.clone(),
            decision_ids: Arc::new(DecisionIds::new(&self.instance)?),
            explain: Arc::new(self.explainer()),
            refusals: approvals::refusals::Refusals::default(),
            people: self.ready.directory.people(),
            turns: approvals::turns::Turns::default(),
            source: cloudevents::source(&self.config.deployment),
            webhooks: webhook::names(&self.config.audit),
            public_url: self.config.api.public_url.clone(),
        }))
    }

    fn explainer(&self) -> Explainer {
        Explainer {
            recent: self.recent.clone(),
            policy: self.ready.policy.clone(),
            roles: self.ready.roles.clone(),
        }
    }

    fn servers(
        &self,
        api_listener: TcpListener,
        admin_listener: TcpListener,
        api: &SharedApi,
        (scrape, debug): (MetricsHandle, Vec<DebugSection>),
    ) -> JoinSet<()> {
        let mut servers = JoinSet::new();
        let router = approvals::router::router(api.clone());
        let (mut stop, tls) = (self.stop.clone(), self.ready.tls.api.clone());
        servers.spawn(async move {
            approvals::listen::serve((api_listener, tls), router, stop.wait()).await;
        });
        let checks = self.checks(api).into();
        let admin = admin::router(Admin { metrics: scrape, checks, debug: debug.into() });
        let admin = admin::guarded(admin, self.admin_token.clone());
        let tls = self.ready.tls.admin.clone();
        // The admin listener answers while the others drain; it ends with the process.
        servers.spawn(async move {
            let never = std::future::pending();
            approvals::listen::serve((admin_listener, tls), admin, never).await;
        });
        servers
    }

    /// What `/readyz` asks when it is called; nothing of it is remembered.
    fn checks(&self, api: &SharedApi) -> Vec<Check> {
        let (store, metrics, api) = (self.store.clone(), self.metrics.clone(), api.clone());
        let (stores, bound) = (self.stores.clone(), self.config.limits.clock_skew);
        let (authenticator, clock) = (self.ready.authenticator.clone(), self.clock.clone());
        let (outbox, stop) = (self.outbox.health(), self.stop.clone());
        let policy = self.ready.policy.clone();
        vec![
            Check::new("store", move || {
                let (store, metrics, api) = (store.clone(), metrics.clone(), api.clone());
                let ahead = stores.skew()().unwrap_or(0).unsigned_abs();
                async move {
                    let skew = Duration::from_millis(ahead);
                    let answers = match store.probe().await {
                        Ok(()) if skew > bound => Err(StoreFault::ClockSkew(skew)),
                        Ok(()) if api.catalog.load().is_partial => {
                            approvals::templates::refresh(&api).await
                        }
                        other => other,
                    };
                    answers.map_err(|fault| {
                        StoreFailed { metrics: &metrics, fault: &fault, during: "readyz" }.emit();
                        fault.to_string()
                    })
                }
            }),
            Check::new("keys", move || {
                let ready = authenticator.ready(clock.now());
                async move { ready }
            }),
            Check::new("policy", move || {
                let policy = policy.clone();
                async move { policy.probe().await }
            }),
            Check::new("outbox", move || {
                let healthy = outbox.check();
                async move { healthy }
            }),
            Check::new("draining", move || {
                let stopping = stop.is_stopping();
                async move { if stopping { Err("the process is draining".to_owned()) } else { Ok(()) } }
            }),
        ]
    }

    fn background(
        &self,
        api: &SharedApi,
        stop: &Stop,
        reload: &Arc<Reload>,
        skew: Skew,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let timers = approvals::timers::run(api.clone(), stop.receiver());
        let sweeper = approvals::sweeper::run(api.clone(), stop.receiver());
        let templates = approvals::templates::run(api.clone(), stop.receiver());
        let (uses, store, metrics) = (self.uses.clone(), self.store.clone(), self.metrics.clone());
        let uses = uses::run(uses, store, metrics, stop.receiver());
        // One task, the only one that ends by itself: stopping waits for all of them.
        tasks.spawn(async {
            tokio::join!(timers, sweeper, templates, uses);
        });
        tasks.spawn(self.ready.authenticator.clone().refresh());
        tasks.spawn(self.ready.directory.clone().run());
        tasks.spawn(gateway::watch_backends(self.ready.routes.load().upstreams().to_vec()));
        tasks.spawn(reload.clone().run());
        tasks.spawn(watch::run(reload.clone()));
        tasks.spawn(sample::follow_skew(skew, self.metrics.clone()));
        tasks.spawn(sample::run(self.store.clone(), self.clock.clone(), self.metrics.clone()));
        let (reconciler, instance) = (self.reconciler.clone(), self.instance.clone());
        tasks.spawn(async move {
            let _never_ends = reconciler.answer(&instance).await;
        });
        tasks
    }

    fn reload(&self) -> Reload {
        Reload {
            shelf: self.ready.shelf.clone(),
            directory: self.ready.directory.clone(),
            policy: self.ready.policy.clone(),
            authenticator: self.ready.authenticator.clone(),
            tls: self.ready.tls.all().cloned().collect(),
            routes: self.ready.routes.clone(),
            admin_token: self.admin_token.clone().zip(load::admin_token_file(&self.config)),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            catalog_folder: self.config.catalog.clone(),
            paths: load::watched(&self.config),
            asked: Notify::new(),
            last: std::sync::Mutex::default(),
        }
    }
}
