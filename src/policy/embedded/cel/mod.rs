//! CEL as cel-go evaluates it in the PDP: parsed by the `cel` crate, checked and evaluated here.
//!
//! The order of work: `parse` reads the source, `lower` (with `names`, `calls`, `macros` and
//! `unify`) types it and makes nodes, `misread` refuses what the PDP gets wrong, `fold` evaluates
//! the constant parts, `evaluate` (with `loops` and `lookup`) walks the nodes. `standard` and
//! `libraries` hold the functions. Nothing here imports from the rest of the engine.

mod arithmetic;
mod budget;
mod calls;
pub mod compare;
mod conversions;
mod dates;
mod declarations;
mod environment;
mod error;
mod evaluate;
mod failure;
mod fold;
mod formats;
mod inputs;
mod json;
mod libraries;
pub mod library;
mod lookup;
mod loops;
mod lower;
mod macros;
mod map;
mod misread;
mod names;
mod node;
mod optionals;
mod parse;
mod program;
mod re2;
mod regexes;
mod standard;
mod syntax;
pub mod text;
mod timestamp;
mod types;
mod unify;
mod value;

#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use declarations::{Declarations, Input};
pub use environment::Environment;
pub use error::{CompileError, EvalError, Severity};
pub use failure::Known;
pub use inputs::{Inputs, NoVariables, Part, Principal, Request, Resource, Variables};
pub use map::Map;
pub use program::{Program, Reads};
pub use timestamp::{Civil, Timestamp};
pub use types::{Message, Type};
pub use value::{Opaque, Value};
