//! Facts about the backends of tools. The only label besides closed sets is the tool.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::telemetry::metrics::{Metrics, Name, ToolLabel, ToolOutcome};

/// The metrics of one tool's backends, found once.
#[derive(Clone, Debug)]
pub struct ToolMetrics {
    connections: Gauge,
    connects: [Counter; 2],
    retries: [Counter; 2],
    ejections: Counter,
    unhealthy: Gauge,
}

/// Counts an open connection until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl ToolMetrics {
    #[must_use]
    pub fn new(metrics: &Metrics, tool: &Name) -> Self {
        let label = ToolLabel { tool: tool.clone() };
        let of = |outcome| ToolOutcome { tool: tool.clone(), outcome };
        Self {
            connections: metrics.upstreams.connections.get_or_create_owned(&label),
            connects: ["connected", "failed"]
                .map(|it| metrics.upstreams.connects.get_or_create_owned(&of(it))),
            retries: ["granted", "over-budget"]
                .map(|it| metrics.upstreams.retries.get_or_create_owned(&of(it))),
            ejections: metrics.upstreams.ejections.get_or_create_owned(&label),
            unhealthy: metrics.upstreams.unhealthy.get_or_create_owned(&label),
        }
    }

    /// A connection was made, or could not be.
    pub fn connected(&self, is_made: bool) {
        let [connected, failed] = &self.connects;
        if is_made {
            connected.inc()
        } else {
            failed.inc()
        };
    }

    /// A request is tried again, or may not be.
    pub fn retried(&self, may: bool) {
        let [granted, over_budget] = &self.retries;
        if may {
            granted.inc()
        } else {
            over_budget.inc()
        };
    }

    #[must_use]
    pub fn open_connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A backend failed again and again: for `span` it is only asked when no other is usable.
#[derive(Clone, Copy, Debug)]
pub struct BackendEjected<'a> {
    pub tool: &'a str,
    pub backend: &'a str,
    pub span: Duration,
}

impl BackendEjected<'_> {
    pub fn emit(self, metrics: &ToolMetrics) {
        metrics.ejections.inc();
        let Self { tool, backend, span } = self;
        tracing::warn!(
            tool,
            backend,
            ?span,
            "a backend is left alone for a while: it kept failing"
        );
    }
}

/// Tidegate's own checks say that a backend can be used again, or for the first time that it cannot.
#[derive(Clone, Copy, Debug)]
pub struct BackendHealth<'a> {
    pub tool: &'a str,
    pub backend: &'a str,
    /// Why it is down; `None`: it is up.
    pub down: Option<&'a str>,
}

impl BackendHealth<'_> {
    pub fn emit(self, metrics: &ToolMetrics) {
        let Self { tool, backend, down } = self;
        if let Some(why) = down {
            metrics.unhealthy.inc();
            tracing::warn!(tool, backend, why, "a backend is down");
        } else {
            metrics.unhealthy.dec();
            tracing::info!(tool, backend, "a backend is up again");
        }
    }
}
