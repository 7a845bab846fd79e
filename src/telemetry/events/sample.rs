//! Facts of the sampler.

use crate::store::StoreFault;
use crate::telemetry::metrics::{KindLabel, Metrics};

/// Pending requests or live grants could not be counted.
pub struct SampleFailed<'a> {
    pub fault: &'a StoreFault,
}

impl SampleFailed<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        metrics.store_errors.get_or_create(&KindLabel { kind: self.fault.kind() }).inc();
        tracing::warn!(fault = %self.fault, "requests and grants could not be counted");
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
