//! Facts about the sources of resource attributes.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use crate::telemetry::metrics::{Metrics, SourceLabels};
use crate::telemetry::seldom::Seldom;

static FAILURES: Seldom = Seldom::new();
static TOLD_NAMES: AtomicBool = AtomicBool::new(false);

/// A source was asked for a resource.
#[derive(Clone, Copy, Debug)]
pub struct SourceAsked<'a> {
    /// `static`, `http`, `redis`.
    pub kind: &'static str,
    /// The kind of the resource.
    pub resource: &'a str,
    pub outcome: Outcome<'a>,
    /// It said something of the request itself, which was left out.
    pub has_request_names: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    Found,
    NotFound,
    /// Answered from what was remembered.
    Cached,
    /// And why.
    Unreachable(&'a str),
}

impl SourceAsked<'_> {
    pub fn emit(self, metrics: &Metrics) {
        let (provider_kind, outcome) = (self.kind, self.outcome.label());
        metrics.provider_requests.get_or_create(&SourceLabels { provider_kind, outcome }).inc();
        if let Outcome::Unreachable(why) = self.outcome
            && let Some(untold) = FAILURES.tell(("source", self.kind), 10, Instant::now())
        {
            tracing::warn!(
                source = self.kind,
                resource = self.resource,
                why,
                untold,
                "the attributes of a resource cannot be read: refused"
            );
        }
        if self.has_request_names && !TOLD_NAMES.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                source = self.kind,
                resource = self.resource,
                "a source says tool, method, path or host: the request's own are used (told once)"
            );
        }
    }
}

impl Outcome<'_> {
    const fn label(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not-found",
            Self::Cached => "cached",
            Self::Unreachable(_) => "unreachable",
        }
    }
}
