//! Stopping in order: no new work, what is open ends, what was decided is delivered.

use std::time::Duration;

use tokio::time::timeout;

use crate::gateway::CoreDied;

use super::Running;

/// How long the outbox may take to deliver what is left.
const DELIVERY: Duration = Duration::from_secs(5);

/// How long the timers may take to end what they began.
const TIMERS: Duration = Duration::from_secs(2);

/// How long the API may take to end, which bounds its own draining (10 s).
const API: Duration = Duration::from_secs(12);

/// A part of the process ended by itself, or panicked: it must not go on without it.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error(transparent)]
    Gateway(#[from] CoreDied),
    #[error("the API or the admin listener ended")]
    Server,
    #[error("timers, key refresh or gauges ended")]
    Background,
}

impl Running {
    /// Resolves when a part of the process has failed.
    pub async fn failed(&mut self) -> Failed {
        tokio::select! {
            // Draining was not asked for here, so an orderly end is none.
            ended = self.gateway.drained() => ended.err().unwrap_or(CoreDied::Panicked).into(),
            _ended = self.servers.join_next() => Failed::Server,
            _ended = self.background.join_next() => Failed::Background,
        }
    }

    /// Drains gateway and API, ends the rest and delivers what the outbox still holds.
    ///
    /// # Errors
    /// A core died while draining.
    pub async fn finish(mut self) -> Result<(), CoreDied> {
        self.trigger.stop();
        let drained = self.gateway.drained().await;
        let _late = timeout(API, self.servers.join_next()).await;
        self.background_stop.stop();
        let _late = timeout(TIMERS, self.background.join_next()).await;
        self.background.abort_all();
        self.servers.abort_all();
        let _left = self.outbox.shutdown(DELIVERY).await;
        drained
    }
}
