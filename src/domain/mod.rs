//! The pure core: requests, grants, templates and events as plain data, and one function,
//! [`apply`](apply::apply), that says what a command does to a subject.
//!
//! Nothing here is asynchronous, reads a clock, draws a random number, logs or does I/O. Time and
//! fresh identifiers are arguments, so that every store behaves the same and a test can hold the
//! clock in its hand.

pub mod access;
pub mod apply;
pub mod command;
pub mod course;
pub mod event;
pub mod grant;
pub mod hash;
pub mod hierarchy;
pub mod ids;
pub mod iso8601;
pub mod made;
pub mod markers;
pub mod notices;
pub mod people;
pub mod refused;
pub mod request;
pub mod rules;
pub mod subject;
pub mod template;
pub mod time;
pub mod uses;
