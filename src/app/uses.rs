//! Hands on to the store how often grants were used. What is lost of it in a crash, or while the store
//! does not answer for long, is not counted; no request waits for any of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::domain::ids::{GrantId, Partition};
use crate::domain::uses::Use;
use crate::gateway::Uses;
use crate::store::SharedStore;
use crate::telemetry::events::approvals::StoreFailed;
use crate::telemetry::metrics::Metrics;

const EVERY: Duration = Duration::from_secs(3);

/// While the store does not answer, uses of more grants than these are forgotten.
const MOST_KEPT: usize = 65_536;

/// Runs until `stop` turns true (or its sender is gone), and once more then.
pub async fn run(
    uses: Arc<Uses>,
    store: SharedStore,
    metrics: Metrics,
    mut stop: watch::Receiver<bool>,
) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = BTreeMap::new();
    loop {
        let is_last = tokio::select! {
            _ = stop.wait_for(|stopping| *stopping) => true,
            _ = tick.tick() => false,
        };
        add(&mut kept, uses.take());
        kept = hand_on(&store, &metrics, kept).await;
        if is_last {
            return;
        }
    }
}

fn add(kept: &mut BTreeMap<GrantId, Use>, more: Vec<(GrantId, Use)>) {
    for (grant, used) in more {
        if let Some(before) = kept.get_mut(&grant) {
            *before = before.and(used);
        } else if kept.len() < MOST_KEPT {
            kept.insert(grant, used);
        }
    }
}

/// What the store did not take. A partition that fails leaves the others to the next time, too:
/// they would wait for the same store. A reply that was lost counts twice.
async fn hand_on(
    store: &SharedStore,
    metrics: &Metrics,
    mut kept: BTreeMap<GrantId, Use>,
) -> BTreeMap<GrantId, Use> {
    let mut partitions: BTreeMap<Partition, Vec<(GrantId, Use)>> = BTreeMap::new();
    for (grant, used) in &kept {
        partitions.entry(grant.partition).or_default().push((*grant, *used));
    }
    for (partition, uses) in partitions {
        if let Err(fault) = store.add_uses(partition, &uses).await {
            StoreFailed { metrics, fault: &fault, during: "uses" }.emit();
            continue;
        }
        for (grant, _) in uses {
            kept.remove(&grant);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::config::SealKey;
    use crate::domain::ids::PartitionCount;
    use crate::domain::time::Timestamp;
    use crate::store::embedded::Embedded;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn id(partition: u16) -> GrantId {
        GrantId { partition: Partition(partition), random: [7; 16] }
    }

    #[tokio::test]
    async fn what_was_counted_is_in_the_store_when_the_process_has_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = [SealKey { id: "k1".into(), bytes: vec![7; 32].into() }];
        let clock = ManualClock::at(START);
        let store = Embedded::open(folder.path(), &keys, PartitionCount::DEFAULT, clock);
        let store = store.expect("a store").store();
        let (stop, stopping) = watch::channel(false);
        let uses = Arc::new(Uses::new(1));
        let task = run(uses.clone(), store.clone(), Metrics::unregistered(), stopping);
        let task = tokio::spawn(task);
        uses.count(0, &[id(1), id(2)], START);
        uses.count(0, &[id(2)], START);
        stop.send_replace(true);
        task.await.expect("no panic");
        for (grant, count) in [(id(1), 1), (id(2), 2)] {
            let found = store.uses(grant.partition, &[grant]).await.expect("it reads");
            assert_eq!(found.get(&grant).map(|used| used.count), Some(count));
        }
    }

    #[test]
    fn what_the_store_does_not_take_is_bounded() {
        let mut kept = BTreeMap::new();
        let many = |n: u32| {
            let random = u128::from(n).to_be_bytes();
            (GrantId { partition: Partition(1), random }, Use::once(START))
        };
        add(&mut kept, (0..100_000).map(many).collect());
        add(&mut kept, vec![many(0)]);
        assert_eq!((kept.len(), kept[&many(0).0].count), (MOST_KEPT, 2));
    }
}
