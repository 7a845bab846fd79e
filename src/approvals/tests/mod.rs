//! The API on the real embedded store, called through its router.

mod decisions;
mod documents;
mod harness;
mod inputs;
mod reading;
mod timing;
