//! The Redis back end: standalone, Sentinel or Cluster, shared by several gateways.
//!
//! The gateway reads over one connection per core and node ([`hot`]); commits run on a pool of
//! connections, one commit in flight on each ([`backend`]); both ask [`routes`] which node holds a
//! partition. Redis is believed nothing: a reply that is late, of the wrong shape, from a replica or
//! from a clock too far off refuses (docs/store.md).

use std::sync::Arc;
use std::time::Duration;

use crate::clock::SharedClock;
use crate::config::{RedisConfig, SealKey};
use crate::domain::ids::PartitionCount;

use super::SharedStore;
use super::checks::Checks;
use super::ledger::Ledger;
use super::reader::Reader;
use super::seal::{Sealer, UnusableKeys};

pub mod backend;
pub mod connect;
pub mod health;
pub mod hot;
pub mod reply;
pub mod routes;
#[cfg(test)]
#[path = "../../../tests/support/servers.rs"]
pub mod servers;
pub mod tls;

use backend::RedisBackend;
use connect::Connector;
use health::Health;
use hot::HotSource;
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
    /// How far the clocks of gateway and server may be apart.
    pub clock_skew: Duration,
    pub health: Health,
}

/// What the configuration says elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How far the clocks of gateway and server may be apart.
    pub clock_skew: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock_skew: Duration::from_secs(2) }
    }
}

/// The server answers, but it is not one that this gateway can work with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the seal keys cannot be used: {0}")]
    Keys(#[from] UnusableKeys),
    #[error("store.redis.tls cannot be used: {0}")]
    Tls(#[from] tls::UnusableTls),
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
        let sealer = Sealer::new(keys)?;
        let checks = Arc::new(Checks::new(sealer, partitions));
        let connector = Connector::new(&config)?;
        let routes = Routes::new(&config.nodes, partitions);
        routes.start(&connector);
        let Options { clock_skew } = options;
        let health = Health::default();
        let shared =
            Arc::new(Shared { config, connector, routes, checks, clock, clock_skew, health });
        let backend = Arc::new(RedisBackend::new(shared.clone()));
        Ok(Self { shared, backend })
    }

    #[must_use]
    pub fn store(&self) -> SharedStore {
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
}
