//! Stopping in order: no new work, what is open ends, what was decided is delivered.

use std::time::Duration;

use tokio::time::timeout;

use crate::gateway::CoreDied;

use super::Running;

/// How long the outbox may take to deliver what is left.
const DELIVERY: Duration = Duration::from_secs(5);

/// How long tasks in the background may take to end by themselves.
const BACKGROUND: Duration = Duration::from_secs(2);

impl Running {
    /// Resolves when a core of the data plane died: the process must not go on without it.
    pub async fn failed(&mut self) -> CoreDied {
        match self.gateway.drained().await {
            Err(died) => died,
            // Draining was not asked for here, so an orderly end is none.
            Ok(()) => CoreDied::Panicked,
        }
    }

    /// Drains the gateway, ends the servers and delivers what the outbox still holds.
    ///
    /// # Errors
    /// A core died while draining.
    pub async fn finish(mut self) -> Result<(), CoreDied> {
        self.trigger.stop();
        let drained = self.gateway.drained().await;
        self.background_stop.stop();
        let _late = timeout(BACKGROUND, self.background.join_next()).await;
        self.background.abort_all();
        self.servers.abort_all();
        let _left = self.outbox.shutdown(DELIVERY).await;
        drained
    }
}
