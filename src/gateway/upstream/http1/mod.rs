//! A client of HTTP/1.1 (RFC 9112) that has no task: whoever waits for the answer drives the
//! connection. Only an upload that goes on behind the head of its response gets a task of its own.
//!
//! A tool may say anything. What can be read in two ways is no response, what is too much is cut off,
//! and nothing that was left over is ever anybody else's response.

mod beside;
mod chunks;
mod connection;
mod decoder;
mod error;
mod fields;
#[cfg(test)]
mod fields_tests;
mod head;
mod queue;
mod request;
mod switched;
#[cfg(test)]
mod tests;
mod upload;
mod wire;

pub use chunks::Chunks;
pub use connection::Connection;
pub use decoder::{Decoder, Step};
pub use error::Error;
pub use queue::Queue;
pub use request::{add_field, number};
pub use switched::Switched;
