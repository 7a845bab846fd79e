//! Tidegate: a sidecar policy gateway with time-bound grants and the approvals that create them.
//!
//! Two flows meet only in the store. Every proxied request goes through `gateway`: canonical
//! target, route, identity, live grants (read every time), policy, and then a `Permit` that only
//! admission can make. Every decision of a person goes through `approvals`: load, the pure
//! `domain::apply`, one atomic commit of state, grants, timers and events; `outbox` delivers those
//! events. A fault anywhere is a value that refuses.

pub mod admin;
pub mod app;
pub mod approvals;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod cloudevents;
pub mod config;
pub mod dev_idp;
pub mod digest_map;
pub mod directory;
pub mod domain;
pub mod entropy;
pub mod explain;
pub mod gateway;
pub mod http_client;
pub mod identity;
pub mod json_weight;
pub mod outbox;
pub mod policy;
pub mod problem;
pub mod resources;
pub mod sample_tool;
pub mod shutdown;
pub mod store;
pub mod strict_json;
pub mod telemetry;
pub mod tls;

pub use domain::iso8601;
