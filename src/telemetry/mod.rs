//! Telemetry: one struct per fact; emitting it counts, logs and traces: no secret in any.

pub mod bounded;
pub mod decision;
pub mod events;
pub mod hot;
pub mod ids;
pub mod log;
pub mod metrics;
pub mod sample;
pub mod scrape;
pub mod seldom;
pub mod spans;
pub mod trace;

pub use ids::{DecisionIds, UserHashes};
pub use log::{Format, LogFault, init};
pub use scrape::MetricsHandle;
