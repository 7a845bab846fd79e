//! Keys that tokens are verified with.

use std::sync::Arc;

use crate::domain::time::Timestamp;
use crate::telemetry::metrics::{FetchLabels, IssuerLabel, KeyLabels, Metrics};

/// An issuer was asked for its keys.
#[derive(Clone, Copy, Debug)]
pub struct KeysFetched<'a> {
    pub issuer: &'a Arc<str>,
    /// `None` when it answered as it should.
    pub failure: Option<&'static str>,
}

impl KeysFetched<'_> {
    pub fn emit(self, metrics: &Metrics) {
        let outcome = self.failure.unwrap_or("ok");
        let label = FetchLabels { issuer: Arc::clone(self.issuer), outcome };
        metrics.jwks_fetches.get_or_create(&label).inc();
    }
}

/// A key set is in force.
#[derive(Clone, Copy, Debug)]
pub struct KeysRead<'a> {
    pub issuer: &'a Arc<str>,
    pub read_at: Timestamp,
    pub usable: usize,
    pub dropped: usize,
}

impl KeysRead<'_> {
    pub fn emit(self, metrics: &Metrics) {
        let issuer = || Arc::clone(self.issuer);
        #[expect(clippy::cast_precision_loss, reason = "seconds of this era fit 53 bits")]
        let seconds = self.read_at.millis() as f64 / 1000.0;
        metrics.jwks_refreshed.get_or_create(&IssuerLabel { issuer: issuer() }).set(seconds);
        for (state, count) in [("usable", self.usable), ("dropped", self.dropped)] {
            let label = KeyLabels { issuer: issuer(), state };
            metrics.jwks_keys.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
