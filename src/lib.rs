//! Tidegate: a sidecar policy gateway with time-bound grants and the approvals that create them.

pub mod admin;
pub mod clock;
pub mod cloudevents;
pub mod config;
pub mod dev_idp;
pub mod domain;
pub mod entropy;
pub mod http_client;
pub mod identity;
pub mod outbox;
pub mod policy;
pub mod problem;
pub mod sample_tool;
pub mod shutdown;
pub mod store;
pub mod telemetry;

pub use domain::iso8601;
