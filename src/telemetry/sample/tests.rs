use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::clock::ManualClock;
use crate::domain::ids::{GrantId, Partition, RequestId};
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;
use crate::outbox::testing::{EventStore, eventually};

fn grant(number: u16, tool: &str) -> Grant {
    let mut random = [0; 16];
    random[..2].copy_from_slice(&number.to_be_bytes());
    Grant {
        id: GrantId { partition: Partition(0), random },
        subject: Subject::new("https://idp", "alice"),
        access: format!("{tool}:viewer").parse().expect("an access"),
        template: "reader".into(),
        request: RequestId { partition: Partition(0), random },
        approvers: vec![],
        approver_groups: None,
        generation: 0,
        granted_at: Timestamp::from_millis(1),
        not_before: None,
        expires_at: Timestamp::from_millis(10_000),
        narrowings: vec![],
        ended: None,
        confirmed: true,
        terms: crate::domain::rules::Terms::default(),
        revision: 0,
    }
}

fn sampler(store: Arc<EventStore>) -> Sampler {
    let clock = ManualClock::at(Timestamp::from_millis(5_000));
    let metrics = Metrics::unregistered();
    Sampler { store, clock, metrics, pending: Counts::new(), active: Counts::new() }
}

fn active(sampler: &Sampler, tool: &str) -> i64 {
    sampler.metrics.active_grants.get_or_create(&ToolLabel { tool: tool.into() }).get()
}

#[tokio::test]
async fn live_grants_are_counted_by_tool_over_all_pages() {
    let store = EventStore::new();
    let grants = (0..450).map(|n| grant(n, if n % 3 == 0 { "notes" } else { "warehouse" }));
    *store.grants.lock().expect("no panic") = grants.collect();
    let mut sampler = sampler(Arc::clone(&store));
    sampler.look().await;
    assert_eq!((active(&sampler, "notes"), active(&sampler, "warehouse")), (150, 300));
    store.grants.lock().expect("no panic").retain(|grant| &*grant.access.tool == "notes");
    sampler.look().await;
    assert_eq!((active(&sampler, "notes"), active(&sampler, "warehouse")), (150, 0));
}

#[tokio::test]
async fn a_store_that_cannot_be_asked_leaves_the_gauges_and_is_counted() {
    let store = EventStore::new();
    *store.grants.lock().expect("no panic") = vec![grant(1, "notes")];
    let mut sampler = sampler(Arc::clone(&store));
    sampler.look().await;
    *store.read_only.lock().expect("no panic") = true;
    sampler.look().await;
    assert_eq!(active(&sampler, "notes"), 1);
    let deadline = crate::telemetry::metrics::KindLabel { kind: "deadline" };
    assert!(sampler.metrics.store_errors.get_or_create(&deadline).get() > 0);
}

#[test]
fn a_name_that_is_gone_shows_zero() {
    let mut shown = Counts::new();
    let gauges: Mutex<BTreeMap<Arc<str>, i64>> = Mutex::default();
    let set = |name, count| {
        gauges.lock().expect("no panic").insert(name, count);
    };
    show(&mut shown, Counts::from([("a".into(), 2), ("b".into(), 1)]), set);
    show(&mut shown, Counts::from([("b".into(), 3)]), set);
    let expected = BTreeMap::from([("a".into(), 0), ("b".into(), 3)]);
    assert_eq!(*gauges.lock().expect("no panic"), expected);
}

#[tokio::test]
async fn the_clock_skew_is_the_last_that_was_measured() {
    let (metrics, measured) = (Metrics::unregistered(), Arc::new(AtomicI64::new(-250)));
    let read = Arc::clone(&measured);
    let skew = move || Some(read.load(Ordering::SeqCst));
    let following = tokio::spawn(follow_skew(Box::new(skew), metrics.clone()));
    eventually("it is shown", || (metrics.clock_skew.get() + 0.25).abs() < 1e-9).await;
    measured.store(3_600_000, Ordering::SeqCst);
    eventually("it is shown anew", || (metrics.clock_skew.get() - 3600.0).abs() < 1e-9).await;
    following.abort();
    assert!((seconds(i64::MIN + 1) + seconds(i64::MAX)).abs() < 1e-9, "far off is no overflow");
}
