//! Catalog, directory, policies and keys were read anew.

use std::sync::Arc;

/// What was good is in force; what has problems stays as it was.
#[derive(Clone, Copy, Debug)]
pub struct Reloaded<'a> {
    pub problems: &'a [String],
}

impl Reloaded<'_> {
    pub fn emit(self) {
        for problem in self.problems {
            tracing::error!(%problem, "not reloaded");
        }
        if self.problems.is_empty() {
            tracing::info!("catalog, policies and keys were read anew");
        } else {
            tracing::error!(count = self.problems.len(), "what has problems stays as it was");
        }
    }
}

/// A file came before templates that were made over the API, or went from before them: what can be
/// asked for changed although nobody called the API.
#[derive(Clone, Copy, Debug)]
pub struct TemplatesTurned<'a> {
    pub hidden: &'a [Arc<str>],
    pub back: &'a [Arc<str>],
}

impl TemplatesTurned<'_> {
    pub fn emit(self) {
        for template in self.hidden {
            tracing::warn!(%template, "a file hides a template that was made over the API");
        }
        for template in self.back {
            tracing::warn!(%template, "a template that was made over the API is in use again: its file is gone");
        }
    }
}
