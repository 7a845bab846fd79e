//! What `/debug/authz` shows: one named section for each part that has something to say.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::{Map, Value};

/// A part of the answer. Nothing secret may be in it.
#[derive(Clone)]
pub struct DebugSection {
    pub name: &'static str,
    show: Arc<dyn Fn() -> Value + Send + Sync>,
}

impl DebugSection {
    /// `show` is called for every answer.
    pub fn new(name: &'static str, show: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        Self { name, show: Arc::new(show) }
    }
}

/// All sections by name; one that fails is `null`.
#[must_use]
pub fn gather(sections: &[DebugSection]) -> Value {
    let shown = sections.iter().map(|section| {
        let value = catch_unwind(AssertUnwindSafe(|| (section.show)()));
        (section.name.to_owned(), value.unwrap_or_default())
    });
    Value::Object(shown.collect::<Map<_, _>>())
}
