//! The API on the real embedded store, called through its router.

mod confirming;
mod decisions;
mod documents;
mod escalating;
mod explaining;
mod extending;
mod faults;
mod flow;
mod harness;
mod inputs;
mod model;
mod reading;
mod sweeping;
mod timing;
