//! Tests from outside: the structure of the code, and the whole program over real sockets.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "a test that is surprised should stop"
)]

mod admin_listener;
mod bad_configuration;
mod command_line;
mod directory;
mod faults;
mod gateway;
mod harness;
mod hostile;
mod io_uring;
mod metrics;
mod notices;
#[cfg(feature = "cerbos")]
mod pdp;
mod policy_command;
mod resources;
mod store_command;
mod story;
mod tidy;
mod traces;
