//! The API on the real embedded store, called through its router.

mod at_once;
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
mod letters;
mod model;
mod notices;
mod reading;
mod rules;
mod sweeping;
mod templates;
mod timing;
