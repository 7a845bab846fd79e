use super::*;
use crate::clock::{Clock, ManualClock};
use crate::outbox::sinks::FileSink;
use crate::outbox::testing::{EventStore, Recorder, SOURCE, eventually, ids_in, sequences};
use crate::telemetry::metrics::SinkLabel;

struct Running {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    lag: Arc<Lag>,
    metrics: Metrics,
}

fn origin() -> Origin {
    Origin { source: SOURCE.into(), public_url: "http://api.test".into() }
}

fn start(store: &Arc<EventStore>, sink: SinkHandle) -> Running {
    let (stop, stopped) = watch::channel(false);
    let metrics = Metrics::unregistered();
    let lag = Lag::new(sink.name(), &metrics);
    let store = Arc::clone(store) as SharedStore;
    let relay = Relay::new(store, sink, origin(), metrics.clone(), Arc::clone(&lag), stopped);
    Running { stop, task: tokio::spawn(relay.run()), lag, metrics }
}

/// The sequences of one partition, as the sink got them.
fn got(recorder: &Recorder, partition: u16) -> Vec<String> {
    let commit_prefix = Partition(partition);
    let state = recorder.0.lock().expect("no panic");
    let of_partition = state.taken.iter().filter(|event| {
        let subject = event.subject.as_deref().unwrap_or_default();
        subject.starts_with(&format!("requests/req_{commit_prefix}_"))
    });
    of_partition.filter_map(|event| event.sequence.clone()).collect()
}

#[tokio::test]
async fn every_event_arrives_once_and_in_the_order_of_its_partition() {
    let (store, recorder) = (EventStore::new(), Recorder::default());
    store.append(0, 20);
    let running = start(&store, SinkHandle::start("r", recorder.clone()));
    for partition in [3, 1, 3] {
        store.append(partition, 10);
    }
    eventually("all arrived", || recorder.taken() >= 50).await;
    for (partition, count) in [(0, 20), (1, 10), (3, 20)] {
        assert_eq!(got(&recorder, partition), sequences(count));
    }
    running.stop.send_replace(true);
    running.task.await.expect("ends");
    assert_eq!(store.cursor_of("r", 3), 10);
    assert_eq!(recorder.taken(), 50);
}

#[tokio::test]
async fn a_new_sink_begins_with_what_a_trimmed_log_still_has() {
    let (store, recorder) = (EventStore::new(), Recorder::default());
    store.append(0, 20);
    store.trim(0, 7);
    let _running = start(&store, SinkHandle::start("new", recorder.clone()));
    eventually("it has come to the end", || store.cursor_of("new", 0) == 10).await;
    assert_eq!(got(&recorder, 0), sequences(20)[14..]);
}

#[tokio::test]
async fn a_sink_that_fails_gets_the_same_events_again_with_the_same_ids() {
    let (store, recorder) = (EventStore::new(), Recorder::default());
    recorder.set(|state| state.broken = true);
    store.append(0, 4);
    let _running = start(&store, SinkHandle::start("r", recorder.clone()));
    eventually("it was tried three times", || recorder.tries() >= 3).await;
    assert_eq!(store.cursor_of("r", 0), 0, "the cursor moves only after a delivery");
    recorder.set(|state| state.broken = false);
    eventually("the cursor moved", || store.cursor_of("r", 0) == 2).await;
    let ids = recorder.ids();
    let first = &ids[..4];
    assert!(ids.len() >= 16 && ids.chunks(4).all(|again| again == first), "{ids:?}");
}

#[tokio::test]
async fn what_another_process_delivers_is_left_to_it_and_taken_over_from_its_cursor() {
    let (store, recorder) = (EventStore::new(), Recorder::default());
    store.elsewhere.lock().expect("no panic").insert(Partition(1));
    store.append(0, 4);
    store.append(1, 4);
    let _running = start(&store, SinkHandle::start("r", recorder.clone()));
    eventually("its own arrived", || store.cursor_of("r", 0) == 2).await;
    assert_eq!(got(&recorder, 1), Vec::<String>::new());
    // The other one delivered the first commit, and died.
    store.set_cursor_of("r", 1, 1);
    store.elsewhere.lock().expect("no panic").clear();
    eventually("taken over", || store.cursor_of("r", 1) == 2).await;
    assert_eq!(got(&recorder, 1), sequences(4)[2..]);
    // Somebody else took the first partition meanwhile: its cursor is not moved any more.
    store.elsewhere.lock().expect("no panic").insert(Partition(0));
    store.append(0, 2);
    store.append(1, 2);
    eventually("the other goes on", || store.cursor_of("r", 1) == 3).await;
    assert_eq!(store.cursor_of("r", 0), 2);
}

#[tokio::test]
async fn a_relay_killed_between_delivery_and_cursor_delivers_again() {
    let (store, recorder) = (EventStore::new(), Recorder::default());
    *store.read_only.lock().expect("no panic") = true;
    store.append(2, 4);
    let running = start(&store, SinkHandle::start("r", recorder.clone()));
    eventually("delivered", || recorder.taken() == 4).await;
    running.task.abort();
    assert!(running.task.await.expect_err("was killed").is_cancelled());
    *store.read_only.lock().expect("no panic") = false;
    let _running = start(&store, SinkHandle::start("r", recorder.clone()));
    eventually("the cursor moved", || store.cursor_of("r", 2) == 2).await;
    let ids = recorder.ids();
    assert_eq!(ids.len(), 8);
    assert_eq!(ids[..4], ids[4..]);
}

#[tokio::test]
async fn a_cursor_that_cannot_be_written_does_not_repeat_events() {
    let (store, recorder) = (EventStore::new(), Recorder::default());
    *store.read_only.lock().expect("no panic") = true;
    store.append(0, 2);
    let _running = start(&store, SinkHandle::start("r", recorder.clone()));
    eventually("delivered", || recorder.taken() == 2).await;
    store.append(0, 2);
    eventually("the next one too", || recorder.taken() == 4).await;
    *store.read_only.lock().expect("no panic") = false;
    eventually("the cursor moved", || store.cursor_of("r", 0) == 2).await;
    assert_eq!(recorder.taken(), 4);
}

#[tokio::test]
async fn a_hung_sink_does_not_hold_up_another() {
    let (store, hung, other) = (EventStore::new(), Recorder::default(), Recorder::default());
    hung.set(|state| state.hung = true);
    let _first = start(&store, SinkHandle::start("hung", hung.clone()));
    let _second = start(&store, SinkHandle::start("other", other.clone()));
    for round in 1..=5 {
        store.append(0, 2);
        eventually("the other sink has it", || store.cursor_of("other", 0) == round).await;
    }
    assert_eq!((hung.taken(), store.cursor_of("hung", 0)), (0, 0));
    hung.set(|state| state.hung = false);
    eventually("the hung sink catches up", || store.cursor_of("hung", 0) == 5).await;
    assert_eq!(got(&hung, 0), sequences(10));
}

#[tokio::test]
async fn a_partition_that_cannot_be_read_does_not_hold_up_the_others() {
    let (store, recorder) = (EventStore::new(), Recorder::default());
    *store.unreadable.lock().expect("no panic") = Some(Partition(1));
    store.append(1, 2);
    let running = start(&store, SinkHandle::start("r", recorder.clone()));
    store.append(0, 2);
    eventually("the readable one arrived", || store.cursor_of("r", 0) == 1).await;
    store.append(0, 2);
    eventually("and its next event", || store.cursor_of("r", 0) == 2).await;
    assert_eq!(recorder.taken(), 4);
    let errors = crate::telemetry::metrics::KindLabel { kind: "rolled-back" };
    assert!(running.metrics.store_errors.get_or_create(&errors).get() > 0);
    *store.unreadable.lock().expect("no panic") = None;
    eventually("the other one arrived", || store.cursor_of("r", 1) == 1).await;
}

#[tokio::test]
async fn events_are_found_without_a_word_from_the_store() {
    let (store, recorder) = (EventStore::new(), Recorder::default());
    let _running = start(&store, SinkHandle::start("r", recorder.clone()));
    // Far more words than the channel holds, so that most are lost.
    for partition in [0, 1, 2, 3].repeat(10) {
        store.append(partition, 1);
    }
    eventually("all arrived", || recorder.taken() == store.count()).await;
}

#[tokio::test]
async fn the_age_of_the_oldest_event_grows_while_a_sink_is_stuck() {
    let (store, recorder) = (EventStore::new(), Recorder::default());
    recorder.set(|state| state.hung = true);
    store.append(0, 1);
    let running = start(&store, SinkHandle::start("r", recorder.clone()));
    eventually("the sink is asked", || recorder.tries() == 1).await;
    let clock = ManualClock::at(Timestamp::from_millis(31_000));
    let age = || {
        running.lag.show(clock.now());
        running.metrics.outbox_age.get_or_create(&SinkLabel { sink: "r".into() }).get()
    };
    assert!((age() - 30.0).abs() < 0.001);
    clock.advance(Duration::from_secs(60));
    assert!((age() - 90.0).abs() < 0.001);
    recorder.set(|state| state.hung = false);
    eventually("delivered", || age() == 0.0).await;
}

#[tokio::test]
async fn a_file_gets_every_event_through_crashes_at_any_point() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("audit.jsonl");
    let store = EventStore::new();
    for round in 0..20_u64 {
        // Whole commits: two events each.
        store.append(u16::try_from(round % 4).expect("small"), 6);
        let running = start(&store, SinkHandle::start("f", FileSink::new(path.clone())));
        // Killed wherever it happens to be.
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        running.task.abort();
        let _ = running.task.await;
        let torn = std::fs::OpenOptions::new().append(true).open(&path);
        let _ = torn.map(|mut file| std::io::Write::write_all(&mut file, b"{\"torn"));
    }
    let running = start(&store, SinkHandle::start("f", FileSink::new(path.clone())));
    running.stop.send_replace(true);
    running.task.await.expect("ends");
    let mut ids = ids_in(&path);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), store.count());
}
