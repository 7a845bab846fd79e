//! Tidegate: a sidecar policy gateway with time-bound grants and the approvals that create them.

pub mod approvals;
pub mod clock;
pub mod cloudevents;
pub mod config;
pub mod domain;
pub mod entropy;
pub mod identity;
pub mod policy;
pub mod problem;
pub mod sample_tool;
pub mod shutdown;
pub mod store;
pub mod telemetry;

pub use domain::iso8601;
