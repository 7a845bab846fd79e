//! Catalog, directory, policies and keys were read anew.

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
