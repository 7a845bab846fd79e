//! The facts. Each part of the program adds its own file; a fact's `emit` is the only place that
//! counts, logs and traces it.

use tokio::time::Instant;

use super::metrics::{KindLabel, Metrics};
use super::seldom::Seldom;
use crate::store::StoreFault;

pub mod approvals;
pub mod directory;
pub mod gateway;
pub mod identity;
pub mod outbox;
pub mod policy;
pub mod reload;
pub mod resources;
pub mod sample;
pub mod tunnel;
pub mod upstreams;

/// An outage has a fault for every partition and round.
static STORE_FAULTS: Seldom = Seldom::new();

/// Counts a fault of the store. `Some` when it is to be logged, with how many like it were not.
fn store_failed(metrics: &Metrics, fault: &StoreFault, during: &'static str) -> Option<u64> {
    let kind = fault.kind();
    metrics.store_errors.get_or_create(&KindLabel { kind }).inc();
    // Each record that cannot be trusted is worth a line of its own, as long as they are few.
    let most = if matches!(fault, StoreFault::InvalidRecord { .. }) { 100 } else { 10 };
    STORE_FAULTS.tell((during, kind), most, Instant::now())
}
