//! The directory: whom to tell.

use std::time::Duration;

use crate::telemetry::metrics::{DirectoryLabel, Metrics};

/// A source of the directory was read, or asked. Told when it begins to fail, and when it is over.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryRead<'a> {
    /// `file`, `http`.
    pub source: &'static str,
    pub failure: Option<&'a str>,
    pub was_failing: bool,
}

impl DirectoryRead<'_> {
    pub fn emit(self, metrics: &Metrics) {
        let Self { source, failure, was_failing } = self;
        let failures = metrics.directory_failures.get_or_create(&DirectoryLabel { source });
        if failure.is_some() {
            failures.inc();
        }
        match failure {
            Some(why) if !was_failing => {
                tracing::warn!(source, why, "the directory stays as it was: it cannot be read");
            }
            None if was_failing => tracing::info!(source, "the directory can be read again"),
            Some(_) | None => (),
        }
    }
}

/// How old what a source said is.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryAged {
    pub source: &'static str,
    pub age: Duration,
}

impl DirectoryAged {
    pub fn emit(self, metrics: &Metrics) {
        let label = DirectoryLabel { source: self.source };
        metrics.directory_age.get_or_create(&label).set(self.age.as_secs_f64());
    }
}
