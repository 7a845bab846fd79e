use super::*;
use crate::clock::ManualClock;
use crate::config::{OnFull, SinkConfig};
use crate::domain::time::Timestamp;
use testing::{EventStore, Recorder, SOURCE, eventually, ids_in, record};

fn config(sinks: Vec<SinkConfig>) -> AuditConfig {
    AuditConfig { retention: Duration::from_secs(1), on_full: OnFull::Refuse, sinks }
}

fn parts<'a>(
    config: &'a AuditConfig,
    store: &Arc<EventStore>,
    metrics: &'a Metrics,
) -> OutboxParts<'a> {
    let clock = ManualClock::at(Timestamp::from_millis(2_000));
    OutboxParts {
        config,
        source: SOURCE.into(),
        public_url: "http://api.test".into(),
        store: store.clone(),
        metrics,
        clock,
        cores: 1,
    }
}

#[tokio::test]
async fn one_file_gets_transitions_and_decisions_and_the_end_waits_for_both() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("audit.jsonl");
    let file = SinkConfig::File { path: path.clone() };
    // Named twice, it is still one sink.
    let config = config(vec![file.clone(), file]);
    let (store, metrics) = (EventStore::new(), Metrics::unregistered());
    let outbox = Outbox::start(parts(&config, &store, &metrics)).expect("starts");
    assert_eq!(outbox.health().check(), Ok(()));
    store.append(0, 7);
    outbox.decision_log().record(0, &record("d1")).expect("has room");
    assert_eq!(outbox.shutdown(Duration::from_secs(10)).await, 0);
    let ids = ids_in(&path);
    assert_eq!(ids.len(), 8, "{ids:?}");
    assert!(ids.contains(&"d1".to_owned()));
    assert_eq!(store.cursor_of(&format!("file:{}", path.display()), 0), 4);
}

#[tokio::test]
async fn a_sink_that_hangs_does_not_hold_up_the_end_and_what_it_missed_is_counted() {
    let (store, metrics, recorder) =
        (EventStore::new(), Metrics::unregistered(), Recorder::default());
    recorder.set(|state| state.hung = true);
    let config = config(vec![]);
    let sinks = vec![SinkHandle::start("hung", recorder)];
    let outbox = Outbox::over(parts(&config, &store, &metrics), sinks, &[], CAPACITY);
    outbox.decision_log().record(0, &record("d1")).expect("has room");
    assert_eq!(outbox.shutdown(Duration::from_millis(200)).await, 1);
}

#[tokio::test]
async fn a_full_log_makes_the_outbox_unhealthy_until_it_has_room() {
    let (store, metrics, recorder) =
        (EventStore::new(), Metrics::unregistered(), Recorder::default());
    recorder.set(|state| state.broken = true);
    let config = config(vec![]);
    let sinks = vec![SinkHandle::start("broken", recorder.clone())];
    let outbox = Outbox::over(parts(&config, &store, &metrics), sinks, &[], 1);
    outbox.decision_log().record(0, &record("d1")).expect("has room");
    assert!(outbox.health().check().expect_err("full").contains("decision log is full"));
    recorder.set(|state| state.broken = false);
    let health = outbox.health();
    eventually("healthy again", || health.check().is_ok()).await;
}

#[tokio::test]
async fn a_full_disk_refuses_requests_when_the_buffer_is_full_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("audit.jsonl");
    std::os::unix::fs::symlink("/dev/full", &path).expect("links");
    let (store, metrics) = (EventStore::new(), Metrics::unregistered());
    let config = config(vec![]);
    let sinks = vec![BatchSink::File(path.clone()).start()];
    let outbox = Outbox::over(parts(&config, &store, &metrics), sinks, &[], 10);
    let log = outbox.decision_log();
    store.append(0, 4);
    let accepted = (0..20_u32).filter(|id| log.record(0, &record(&id)).is_ok()).count();
    assert_eq!(accepted, 10);
    assert!(outbox.health().check().is_err());
    std::fs::remove_file(&path).expect("makes room");
    let health = outbox.health();
    eventually("there is room again", || health.check().is_ok()).await;
    log.record(0, &record("after")).expect("has room");
    assert_eq!(outbox.shutdown(Duration::from_secs(10)).await, 0);
    assert_eq!(ids_in(&path).len(), 4 + 10 + 1);
}

#[tokio::test]
async fn a_sink_whose_task_has_died_makes_the_outbox_unhealthy() {
    struct Defect;
    impl Sink for Defect {
        fn deliver(&mut self, _lines: Lines, _promise: Promise) -> Delivered<'_> {
            panic!("a defect in a sink");
        }
    }
    let (store, metrics) = (EventStore::new(), Metrics::unregistered());
    let config = config(vec![]);
    let sinks = vec![SinkHandle::start("defect", Defect)];
    let outbox = Outbox::over(parts(&config, &store, &metrics), sinks, &[], CAPACITY);
    outbox.decision_log().record(0, &record("d1")).expect("has room");
    let health = outbox.health();
    eventually("noticed", || health.check().is_err()).await;
    assert_eq!(health.check(), Err("the sink defect has stopped".to_owned()));
}
