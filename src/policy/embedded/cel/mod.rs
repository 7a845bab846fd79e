//! CEL as cel-go evaluates it in the PDP: parsed by the `cel` crate, checked and evaluated here.

pub mod budget;
pub mod compare;
pub mod error;
mod json;
mod libraries;
pub mod library;
pub mod map;
mod re2;
mod regexes;
mod sets;
pub mod text;
pub mod timestamp;
pub mod types;
pub mod value;

pub use budget::Budget;
pub use error::{CompileError, EvalError};
pub use map::Map;
pub use timestamp::Timestamp;
pub use types::Type;
pub use value::Value;
