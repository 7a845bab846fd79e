//! The data plane over real sockets, with fakes behind its three ports and a recording tool. Every
//! test runs under the oracle of [`harness::Harness`].

mod admission;
mod balance;
mod conformance;
mod dns;
mod endings;
mod explaining;
mod floods;
mod framing;
mod grpc;
mod h2_client;
mod harness;
mod headers;
mod health;
mod http2;
mod http2_tool;
mod http2_tunnels;
mod large;
mod leases;
mod lifecycle;
mod names;
mod pacing;
mod pool;
mod resources;
mod schemes;
mod secure;
mod stalls;
mod targets;
mod tls;
mod tool;
mod trailers;
mod tunnels;
mod upgrades;
mod upstreams;
mod websocket;
mod wire;
pub mod world;
