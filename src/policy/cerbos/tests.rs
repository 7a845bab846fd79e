//! Answers that are none.
