//! The embedded engine as the gateway asks it.

mod decisions;
mod examples;
mod gate;
mod loading;
mod shadow;
mod shipped;
