//! The embedded engine as the gateway asks it.

mod decisions;
mod loading;
mod shipped;
