//! Facts of the sampler.

use crate::store::StoreFault;
use crate::telemetry::events::store_failed;
use crate::telemetry::metrics::Metrics;

/// Pending requests or live grants could not be counted.
pub struct SampleFailed<'a> {
    pub fault: &'a StoreFault,
}

impl SampleFailed<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        let Some(untold) = store_failed(metrics, self.fault, "sample") else { return };
        tracing::warn!(fault = %self.fault, untold, "requests and grants could not be counted");
    }
}

/// There are more than are counted.
pub struct SampleCut {
    pub limit: usize,
}

impl SampleCut {
    pub fn emit(&self) {
        tracing::info!(limit = self.limit, "more requests or grants than are counted for a gauge");
    }
}
