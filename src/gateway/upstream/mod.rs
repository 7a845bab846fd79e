//! Connections to tools. What all cores know of a tool's backends ([`Upstreams`]), and what each core
//! keeps for itself ([`Pool`]): connections, loads, the budget of retries.
//!
//! A connection of HTTP/1.1 is lent to one exchange and comes back only when the response was read to
//! its end and the request was sent to its end. Whatever ends an exchange otherwise drops it. A
//! connection of HTTP/2 is shared by exchanges, each on a stream of its own.

mod backend;
mod budget;
mod choose;
mod dial;
mod failed;
mod health;
mod http1;
mod idle;
mod lent;
mod link;
mod names;
mod pool;
mod resolver;
mod shared;
mod tls;
mod upstreams;

use std::sync::Arc;

pub use choose::tries;
pub use failed::Failed;
pub use http1::{Chunks, Decoder, Error as Http1Error, Queue, Step, Switched, add_field, number};
pub use lent::Lent;
pub use pool::{Pool, ToolPool};
pub use upstreams::{Place, Upstreams};

/// Follows the names and the health of all backends, beside the cores. Never ends.
pub async fn watch(tools: Vec<Arc<Upstreams>>) {
    tokio::join!(health::watch(tools.clone()), names::watch(tools));
}
