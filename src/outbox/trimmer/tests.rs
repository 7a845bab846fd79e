use super::*;
use crate::clock::ManualClock;
use crate::domain::time::Timestamp;
use crate::outbox::testing::{EventStore, eventually};
use crate::store::{DeadLetter, EventPlace, LetterWhy, Store};
use crate::telemetry::metrics::{DeliveryLabels, KindLabel};

const RETENTION: Duration = Duration::from_secs(86_400);
const NOW: Timestamp = Timestamp::from_millis(1_795_339_800_000);

struct Running {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    metrics: Metrics,
}

fn start(store: &Arc<EventStore>, sinks: &[&str]) -> Running {
    let (stop, stopped) = watch::channel(false);
    let metrics = Metrics::unregistered();
    let trimmer = Trimmer {
        store: store.clone(),
        sinks: sinks.iter().map(|name| Arc::from(*name)).collect(),
        with_letters: sinks.iter().map(|name| Arc::from(*name)).collect(),
        retention: RETENTION,
        round: Duration::from_millis(40),
        clock: ManualClock::at(NOW),
        metrics: metrics.clone(),
        stop: stopped,
        places: BTreeMap::new(),
    };
    Running { stop, task: tokio::spawn(trimmer.run()), metrics }
}

/// Waits until the store was asked so often, and gives what it was asked.
async fn asked(store: &EventStore, times: usize) -> Vec<(Partition, Retention)> {
    let asked = || store.retained.lock().expect("no panic").clone();
    eventually("it was asked", || asked().len() >= times).await;
    asked()
}

#[tokio::test]
async fn every_partition_is_visited_in_turn_below_its_slowest_sink() {
    let store = EventStore::new();
    for (sink, seq) in [("fast", 9), ("slow", 4), ("no longer configured", 1)] {
        store.set_cursor(sink, Partition(2), seq).await.expect("kept");
    }
    let running = start(&store, &["fast", "slow"]);
    let asked = asked(&store, 5).await;
    let visited: Vec<u16> = asked.iter().map(|(partition, _)| partition.0).collect();
    assert_eq!(visited[..5], [0, 1, 2, 3, 0]);
    let (_, retention) = asked[2];
    assert_eq!((retention.delivered, retention.before), (4, NOW.minus(RETENTION)));
    assert_eq!(asked[0].1.delivered, 0, "a sink that has taken nothing holds everything");
    running.stop.send_replace(true);
    running.task.await.expect("ends");
}

#[tokio::test]
async fn without_sinks_only_the_retention_counts() {
    let store = EventStore::new();
    let _running = start(&store, &[]);
    assert_eq!(asked(&store, 1).await[0].1.delivered, u64::MAX);
}

#[tokio::test]
async fn a_partition_with_much_to_do_does_not_hold_up_the_others_and_goes_on_later() {
    let store = EventStore::new();
    store.endless.lock().expect("no panic").replace(Partition(0));
    let _running = start(&store, &[]);
    let asked = asked(&store, PAGES + 4).await;
    let others: Vec<u16> = asked[PAGES..PAGES + 3].iter().map(|(p, _)| p.0).collect();
    assert_eq!(others, [1, 2, 3]);
    let (partition, again) = asked[PAGES + 3];
    let goes_on = Some(u64::try_from(PAGES).expect("few"));
    let from = again.from.map(|place| match place {
        RetainPlace::Log { after } => after,
        other => panic!("another place: {other:?}"),
    });
    assert_eq!((partition, from), (Partition(0), goes_on));
}

#[tokio::test]
async fn a_partition_that_cannot_be_read_is_counted_once_and_holds_up_nothing() {
    let store = EventStore::new();
    store.unreadable.lock().expect("no panic").replace(Partition(1));
    let running = start(&store, &[]);
    let metrics = running.metrics.clone();
    let asked = asked(&store, 4).await;
    assert_eq!(asked[3].0, Partition(3));
    running.task.abort();
    let _ended = running.task.await;
    let failed = store.retained.lock().expect("no panic");
    let failed = failed.iter().filter(|(partition, _)| *partition == Partition(1)).count();
    let errors = KindLabel { kind: "rolled-back" };
    assert_eq!(
        metrics.store_errors.get_or_create(&errors).get(),
        u64::try_from(failed).expect("few")
    );
}

#[tokio::test]
async fn dead_letters_hold_the_log_until_they_are_older_than_the_retention() {
    let store = EventStore::new();
    let letter = |seq: u64, died: Timestamp| DeadLetter {
        place: EventPlace { seq, index: 0 },
        id: format!("e{seq}"),
        event_type: String::new(),
        at: died,
        died,
        tries: 5,
        why: LetterWhy::TimedOut,
        status: None,
        replay: false,
    };
    store.set_cursor_of("webhook", 0, 9);
    let old = NOW.minus(RETENTION + Duration::from_millis(1));
    for (seq, died) in [(2, old), (5, NOW.minus(RETENTION)), (7, NOW)] {
        let change = LetterChange::Put { letter: letter(seq, died), most: 10 };
        store.change_dead_letters("webhook", Partition(0), change).await.expect("changes");
    }
    let running = start(&store, &["webhook"]);
    assert_eq!(asked(&store, 1).await[0].1.delivered, 4);
    let left = store.dead_letters("webhook", Partition(0)).await.expect("reads");
    assert_eq!(left.0.iter().map(|it| it.place.seq).collect::<Vec<_>>(), [5, 7]);
    let labels = DeliveryLabels { sink: "webhook".into(), outcome: "expired" };
    assert_eq!(running.metrics.dead_letters.get_or_create(&labels).get(), 1);
}
