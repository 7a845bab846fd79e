//! What happens to the store: a proxy that spoils commands and replies, a real server that is
//! stopped, filled, edited and replaced, and gateways in front of it that stay right.

mod clocks;
mod clusters;
mod commands;
mod crashes;
mod failover;
mod forged;
mod leases;
mod levels;
mod lost;
mod outages;
mod protected;
mod proxy;
mod proxy_tests;
mod pump;
mod resp;
#[path = "../support/servers.rs"]
#[expect(dead_code, reason = "shared with the crate's own tests")]
pub mod servers;
mod shared;
mod starting;
mod templates;
mod times;
mod world;
mod writes;

pub use world::PATIENT;
