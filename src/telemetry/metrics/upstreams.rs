//! Metrics of the backends of tools.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Name, Shown, ToolLabel};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ToolOutcome {
    pub tool: Name,
    /// Of connecting: `connected`, `failed`; of retries: `granted`, `over-budget`.
    pub outcome: &'static str,
}

#[derive(Clone, Debug, Default)]
pub struct UpstreamMetrics {
    pub connections: Family<ToolLabel, Gauge>,
    pub connects: Family<ToolOutcome, Counter>,
    pub retries: Family<ToolOutcome, Counter>,
    pub ejections: Family<ToolLabel, Counter>,
    pub unhealthy: Family<ToolLabel, Gauge>,
}

impl UpstreamMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "tidegate_upstream_connections",
            "Open connections to backends",
            Shown(self.connections.clone()),
        );
        r.register(
            "tidegate_upstream_connects",
            "Connections to backends that were made or failed",
            Shown(self.connects.clone()),
        );
        r.register(
            "tidegate_upstream_retries",
            "Unsent requests that were tried again, or could not be",
            Shown(self.retries.clone()),
        );
        r.register(
            "tidegate_upstream_ejections",
            "Backends left alone for a while after failures",
            Shown(self.ejections.clone()),
        );
        r.register(
            "tidegate_upstream_unhealthy",
            "Backends that fail their health checks",
            Shown(self.unhealthy.clone()),
        );
    }
}
