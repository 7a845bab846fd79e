//! WebSocket tunnels (RFC 6455): the handshake on both sides, and what passes after it.
//!
//! A request is only marked as one that may become a tunnel; it is admitted, recorded and forwarded
//! as any other. Nothing is a tunnel before the tool has switched, with the answer that belongs to
//! the client's key. From then on frames are followed, not read: they tell where one of ours may
//! stand.

mod close;
mod copy;
mod extended;
mod frames;
mod handshake;
mod opening;
mod origin;
mod run;
#[cfg(test)]
mod tests;

pub use extended::into_handshake;
pub use handshake::{Agreed, Handshake, mark};
pub use opening::Opening;
pub use origin::check_origin;
