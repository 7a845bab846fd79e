//! The data plane, in the order in which a request meets it: listener, connection, framing,
//! serve, admit (target, route, values, identity, live grants, judge), record, forward
//! (headers, upstream, body), or refusal. A connection that was switched goes on in `tunnel`.
//!
//! Invariants: a request reaches a tool only through [`admit::Permit`], which admission alone
//! makes; its decision record is taken before its first byte is sent; every request reads the store
//! anew; nothing of a target is rewritten but the tool's own prefix.

mod admit;
mod body;
mod clients;
mod connection;
mod core;
mod forward;
mod framing;
mod grpc;
mod headers;
mod judge;
mod lease;
mod limits;
mod listener;
mod no_grant;
mod pace;
pub mod ports;
pub mod recent;
mod record;
mod refusal;
mod resource;
mod route;
mod rules;
mod serve;
mod socket;
mod target;
#[cfg(test)]
mod tests;
mod texts;
mod timers;
mod tunnel;
mod upstream;
mod uses;
mod values;

pub use self::core::Shared;
pub use lease::Moves;
pub use listener::{CoreDied, Gateway, Sockets, Speaks, one_core, spawn};
pub use recent::{Explainer, Recent};
pub use route::Routes;
pub use upstream::watch as watch_backends;
pub use uses::Uses;
