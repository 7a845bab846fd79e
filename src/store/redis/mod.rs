//! The Redis back end: standalone, Sentinel or Cluster, shared by several gateways.
//!
//! The gateway reads over one connection per core and node ([`hot`]); commits run on a pool of
//! connections, one commit in flight on each ([`backend`]); both ask [`routes`] which node holds a
//! partition. Redis is believed nothing: a reply that is late, of the wrong shape, from a replica or
//! from a clock too far off refuses (docs/store.md).

use std::sync::Arc;
use std::time::Duration;

use crate::clock::SharedClock;
use crate::config::{Environment, RedisConfig, SealKey};
use crate::domain::ids::PartitionCount;

use super::checks::Checks;
use super::inspect::Inspect;
use super::ledger::Ledger;
use super::reader::Reader;
use super::reconcile::Reconciler;
use super::seal::{Sealer, UnusableKeys};
use super::{SharedStore, StoreFault};

mod acknowledge;
mod answers;
mod asking;
pub mod backend;
mod calls;
pub mod connect;
pub mod gate;
pub mod health;
pub mod hot;
mod link;
mod open;
mod pool;
mod publish;
pub mod reply;
pub mod routes;
mod script;
#[cfg(test)]
#[path = "../../../tests/support/servers.rs"]
#[expect(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    clippy::missing_errors_doc,
    clippy::new_without_default,
    reason = "for tests, here and from outside"
)]
pub mod servers;
mod startup;
mod status;
#[cfg(test)]
pub(crate) mod tests;

use backend::RedisBackend;
use connect::Connector;
use gate::Gate;
use health::Health;
use hot::HotSource;
use reply::Refusal;
use routes::Routes;

/// What the gateway reads from; one per core, made on that core.
pub type RedisReader = Reader<HotSource>;

/// A Redis that is, or is about to be, connected to.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    backend: Arc<RedisBackend>,
}

/// What reading and committing have in common.
pub struct Shared {
    pub config: RedisConfig,
    pub connector: Connector,
    pub routes: Routes,
    pub checks: Arc<Checks>,
    pub clock: SharedClock,
    pub options: Options,
    /// Closed until the store was found to fit.
    pub gate: Gate,
    pub health: Health,
}

/// What the rest of the configuration says to a Redis store.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A production refuses a server that may lose grants.
    pub environment: Environment,
    /// How far the server's clock may be off.
    pub clock_skew: Duration,
}

/// The server answers, but it is not one that this gateway can work with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the seal keys cannot be used: {0}")]
    Keys(#[from] UnusableKeys),
    #[error("store.redis.tls cannot be used: {0}")]
    Tls(#[from] crate::tls::UnusableTls),
    /// What was found, what was expected, and what to do.
    #[error("{0}")]
    Misfit(String),
}

impl Redis {
    /// Opens the store; an empty one is initialised. A server that does not answer is waited for in
    /// the background, and everything is answered as unreachable until then.
    ///
    /// # Errors
    /// A server that answers and does not fit.
    pub async fn open(
        config: RedisConfig,
        keys: &[SealKey],
        partitions: PartitionCount,
        clock: SharedClock,
        options: Options,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::new(config, keys, partitions, clock, options)?);
        let backend = Arc::new(RedisBackend::new(shared.clone()));
        open::open(&shared, &backend).await?;
        backend.listen();
        Ok(Self { shared, backend })
    }

    #[must_use]
    pub fn store(&self) -> SharedStore {
        let (checks, clock) = (self.shared.checks.clone(), self.shared.clock.clone());
        Arc::new(Ledger::new(self.backend.clone(), checks, clock))
    }

    /// Asks the other gateways, answers them, and repairs what they remember otherwise.
    #[must_use]
    pub fn reconciler(&self) -> Arc<dyn Reconciler> {
        let (checks, clock) = (self.shared.checks.clone(), self.shared.clock.clone());
        Arc::new(Ledger::new(self.backend.clone(), checks, clock))
    }

    /// For `tidegate store status`.
    #[must_use]
    pub fn inspect(&self) -> Arc<dyn Inspect> {
        let (checks, clock) = (self.shared.checks.clone(), self.shared.clock.clone());
        Arc::new(Ledger::new(self.backend.clone(), checks, clock))
    }

    /// A reader for the core it is called on.
    #[must_use]
    pub fn reader(&self) -> RedisReader {
        let (checks, clock) = (self.shared.checks.clone(), self.shared.clock.clone());
        Reader::new(HotSource::new(self.shared.clone()), checks, clock)
    }

    /// How far the server's clock is ahead, in milliseconds; `None` before it was asked.
    #[must_use]
    pub fn skew(&self) -> Option<i64> {
        self.shared.health.skew()
    }

    /// Error replies so far, by their first word.
    pub fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> {
        self.shared.health.refusals()
    }
}

impl Shared {
    /// Connects to nothing yet; the gate is closed.
    ///
    /// # Errors
    /// Seal keys, or files for TLS, that cannot be used.
    pub fn new(
        config: RedisConfig,
        keys: &[SealKey],
        partitions: PartitionCount,
        clock: SharedClock,
        options: Options,
    ) -> Result<Self, OpenError> {
        let checks = Arc::new(Checks::new(Sealer::new(keys)?, partitions));
        let connector = Connector::new(&config)?;
        let routes = Routes::new(&config.nodes, partitions);
        let gate = Gate::default();
        let health = Health::default();
        Ok(Self { config, connector, routes, checks, clock, options, gate, health })
    }
}
