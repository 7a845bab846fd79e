//! The facts. Each part of the program adds its own file; a fact's `emit` is the only place that
//! counts, logs and traces it.

pub mod approvals;
pub mod gateway;
pub mod outbox;
pub mod reload;
pub mod sample;
