//! Tidegate: a sidecar policy gateway with time-bound grants and the approvals that create them.

pub mod clock;
pub mod config;
pub mod domain;
pub mod entropy;
pub mod gateway;
pub mod identity;
pub mod iso8601;
pub mod policy;
pub mod problem;
pub mod store;
pub mod telemetry;
