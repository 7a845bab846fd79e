//! The API on the real embedded store, called through its router.

mod at_once;
mod confirming;
mod decisions;
mod documents;
mod explaining;
mod faults;
mod harness;
mod inputs;
mod model;
mod reading;
mod rules;
mod sweeping;
mod timing;
