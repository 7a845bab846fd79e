//! Telemetry: one struct per fact; emitting it counts, logs and traces (U5: no secret in any).

pub mod bounded;
pub mod decision;
pub mod events;
pub mod metrics;
pub mod trace;
