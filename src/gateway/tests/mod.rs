//! The data plane over real sockets, with fakes behind its three ports and a recording tool. Every
//! test runs under the oracle of [`harness::Harness`].

mod admission;
mod explaining;
mod floods;
mod framing;
mod h2_client;
mod harness;
mod headers;
mod http2;
mod large;
mod lifecycle;
mod resources;
mod secure;
mod targets;
mod tls;
mod tool;
mod trailers;
mod upstreams;
mod wire;
pub mod world;
