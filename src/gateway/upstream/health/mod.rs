//! Tidegate's own checks of backends: one task for each backend of the process, beside the cores, on
//! connections of their own. What they find is shared with the cores by one flag.

mod check;
mod grpc;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::HealthConfig;
use crate::telemetry::events::upstreams::BackendHealth;

use super::backend::Backend;
use super::upstreams::Upstreams;

/// Checks every backend whose tool wants it. Never ends.
pub async fn watch(tools: Vec<Arc<Upstreams>>) {
    let mut tasks = JoinSet::new();
    for tool in tools {
        let Some(config) = tool.options.health.clone() else { continue };
        for backend in &tool.backends {
            tasks.spawn(follow(Arc::clone(&tool), Arc::clone(backend), config.clone()));
        }
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending::<()>().await;
}

async fn follow(tool: Arc<Upstreams>, backend: Arc<Backend>, config: HealthConfig) {
    let mut streak = Streak::default();
    let mut ticks = interval(config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let found = timeout(config.timeout, check::check(&backend, &config.check)).await;
        let found = found.unwrap_or_else(|_elapsed| Err("no answer in time".to_owned()));
        let is_healthy = backend.is_healthy();
        if !streak.turns(is_healthy, found.is_ok(), &config) {
            continue;
        }
        backend.set_healthy(!is_healthy);
        let (tool_name, name, down) = (&tool.tool, backend.name(), found.as_ref().err());
        BackendHealth { tool: tool_name, backend: name, down: down.map(String::as_str) }
            .emit(&tool.metrics);
    }
}

/// How many checks in a row said something else than what is believed.
#[derive(Debug, Default)]
struct Streak(u32);

impl Streak {
    /// Whether the belief has to change now.
    fn turns(&mut self, is_healthy: bool, is_good: bool, config: &HealthConfig) -> bool {
        if is_good == is_healthy {
            self.0 = 0;
            return false;
        }
        self.0 = self.0.saturating_add(1);
        let needed = if is_healthy { config.unhealthy } else { config.healthy };
        let turns = self.0 >= needed;
        if turns {
            self.0 = 0;
        }
        turns
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::HealthCheck;

    #[test]
    fn as_many_checks_in_a_row_as_configured_change_what_is_believed() {
        let config = HealthConfig {
            check: HealthCheck::Tcp,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy: 2,
            unhealthy: 3,
        };
        let (mut streak, mut is_healthy) = (Streak::default(), true);
        let mut believed = String::new();
        for is_good in "..+..+...++..+.++++...".chars().map(|it| it == '+') {
            if streak.turns(is_healthy, is_good, &config) {
                is_healthy = !is_healthy;
            }
            believed.push(if is_healthy { '+' } else { '.' });
        }
        assert_eq!(believed, "++++++++..+++++++++++.");
    }
}
