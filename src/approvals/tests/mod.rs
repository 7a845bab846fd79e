//! The API on the real embedded store, called through its router.

mod confirming;
mod decisions;
mod documents;
mod explaining;
mod faults;
mod harness;
mod inputs;
mod letters;
mod model;
mod reading;
mod sweeping;
mod timing;
