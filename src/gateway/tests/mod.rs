//! The data plane over real sockets, with fakes behind its three ports and a recording tool. Every
//! test runs under the oracle of [`harness::Harness`].

mod admission;
mod endings;
mod explaining;
mod framing;
mod harness;
mod headers;
mod leases;
mod lifecycle;
mod resources;
mod targets;
mod tool;
mod tunnels;
mod upgrades;
mod upstreams;
mod websocket;
mod wire;
pub mod world;
