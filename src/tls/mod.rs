//! TLS from PEM files, for whoever dials and whoever listens: one place that decides which library,
//! which versions, and what a file has to hold.

mod client;
mod files;
pub mod server;

pub use client::{Trust, client};
pub use files::UnusableTls;
pub use server::{H2, HTTP_1_1, ListenersTls, ServerTls, SharedTls, open};
