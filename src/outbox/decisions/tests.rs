use std::time::Instant;

use super::*;
use crate::outbox::testing::{Recorder, SOURCE, eventually, record};

struct Running {
    log: Arc<BufferedDecisionLog>,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    metrics: Metrics,
}

fn start(on_full: OnFull, capacity: usize, recorders: &[&Recorder]) -> Running {
    let (stop, stopped) = watch::channel(false);
    let metrics = Metrics::unregistered();
    let context = LogContext {
        source: SOURCE.into(),
        metrics: metrics.clone(),
        on_full,
        capacity,
        cores: 2,
        stop: stopped,
    };
    let sinks: Vec<(SinkHandle, Arc<Lag>)> = recorders
        .iter()
        .enumerate()
        .map(|(number, recorder)| {
            let sink = SinkHandle::start(&number.to_string(), (*recorder).clone());
            let lag = Lag::new(sink.name(), &metrics);
            (sink, lag)
        })
        .collect();
    let (log, tasks) = BufferedDecisionLog::start(&context, &sinks, &[]);
    Running { log, stop, tasks, metrics }
}

#[tokio::test]
async fn a_record_reaches_its_sink_within_the_promised_time() {
    let recorder = Recorder::default();
    let running = start(OnFull::Refuse, CAPACITY, &[&recorder]);
    for id in 0..10_u32 {
        let before = Instant::now();
        running.log.record(0, &record(&id)).expect("has room");
        eventually("it arrived", || recorder.taken() > usize::try_from(id).expect("small")).await;
        // 100 ms are promised; four times that for a busy machine.
        assert!(before.elapsed() < Duration::from_millis(400), "{:?}", before.elapsed());
    }
}

#[tokio::test]
async fn records_arrive_once_and_in_order() {
    let recorder = Recorder::default();
    let running = start(OnFull::Refuse, CAPACITY, &[&recorder]);
    let ids: Vec<String> = (0..10_000_u32).map(|id| id.to_string()).collect();
    for id in &ids {
        running.log.record(0, &record(id)).expect("has room");
    }
    eventually("all arrived", || recorder.taken() == ids.len()).await;
    assert_eq!(recorder.ids(), ids);
    eventually("all room is free", || running.log.waiting() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_cores_record_at_once_each_record_arrives_once_and_a_cores_records_in_order() {
    let recorder = Recorder::default();
    let running = start(OnFull::Refuse, CAPACITY, &[&recorder]);
    // One more than was said at the start: it is heard all the same.
    let cores = [0, 1, 2].map(|core| {
        let log = Arc::clone(&running.log);
        std::thread::spawn(move || {
            for id in 0..5000 {
                log.record(core, &record(&format!("{core}-{id}"))).expect("has room");
            }
        })
    });
    for core in cores {
        core.join().expect("ends");
    }
    eventually("all arrived", || recorder.taken() >= 15_000).await;
    let ids = recorder.ids();
    for core in 0..3 {
        let of_core: Vec<_> = ids.iter().filter(|id| id.starts_with(&format!("{core}-"))).collect();
        assert!((0..5000).map(|id| format!("{core}-{id}")).eq(of_core.into_iter().cloned()));
    }
    eventually("all room is free", || running.log.waiting() == 0).await;
}

#[tokio::test]
async fn a_record_wakes_an_idle_log_whichever_core_made_it() {
    let recorder = Recorder::default();
    let running = start(OnFull::Refuse, CAPACITY, &[&recorder]);
    for (taken, core) in [(1, 0), (2, 1), (3, 1), (4, 0), (5, 7)] {
        running.log.record(core, &record(&taken)).expect("has room");
        eventually("it arrived", || recorder.taken() == taken).await;
        eventually("nothing waits", || running.log.waiting() == 0).await;
    }
}

#[tokio::test]
async fn records_of_several_cores_arrive_in_the_order_in_which_they_were_made() {
    let recorder = Recorder::default();
    let running = start(OnFull::Refuse, CAPACITY, &[&recorder]);
    let ids: Vec<String> = (0..5000_u32).map(|id| id.to_string()).collect();
    for (number, id) in ids.iter().enumerate() {
        running.log.record((number * 7 / 3) % 3, &record(id)).expect("has room");
    }
    eventually("all arrived", || recorder.taken() == ids.len()).await;
    assert_eq!(recorder.ids(), ids);
}

#[tokio::test]
async fn the_bound_is_one_for_all_cores() {
    let recorder = Recorder::default();
    recorder.set(|state| state.broken = true);
    let running = start(OnFull::Refuse, 100, &[&recorder]);
    // The first has most of it: room is not shared out.
    let accepted = (0..150).filter(|id| {
        let core = usize::from(id % 10 == 0);
        running.log.record(core, &record(id)).is_ok()
    });
    assert_eq!(accepted.count(), 100);
    assert!(running.log.refuses());
}

#[tokio::test]
async fn with_refuse_a_full_log_refuses_until_the_sink_has_taken_what_it_holds() {
    let recorder = Recorder::default();
    recorder.set(|state| state.broken = true);
    let running = start(OnFull::Refuse, 100, &[&recorder]);
    let accepted = (0..150_u32).filter(|id| running.log.record(0, &record(&id)).is_ok()).count();
    assert_eq!(accepted, 100);
    assert!(running.log.refuses());
    eventually("the sink was tried", || recorder.tries() >= 3).await;
    assert_eq!(running.log.record(0, &record("more")), Err(DecisionLogFull));
    assert_eq!(running.metrics.decisions_dropped.get(), 0);
    recorder.set(|state| {
        state.broken = false;
        state.taken.clear();
    });
    eventually("there is room again", || !running.log.refuses()).await;
    running.log.record(0, &record("later")).expect("has room");
    eventually("it arrived", || recorder.ids().last().is_some_and(|id| id == "later")).await;
    assert_eq!(recorder.taken(), 101, "what was accepted arrives, what was refused does not");
}

#[tokio::test]
async fn with_drop_a_full_log_counts_what_it_loses_and_refuses_nobody() {
    let recorder = Recorder::default();
    recorder.set(|state| state.hung = true);
    let running = start(OnFull::Drop, 100, &[&recorder]);
    for id in 0..150_u32 {
        running.log.record(0, &record(&id)).expect("is never refused");
    }
    assert_eq!(running.metrics.decisions_dropped.get(), 50);
    assert!(!running.log.refuses());
}

#[tokio::test]
async fn with_drop_a_hung_sink_costs_another_sink_nothing() {
    let (hung, other) = (Recorder::default(), Recorder::default());
    hung.set(|state| state.hung = true);
    let running = start(OnFull::Drop, 100, &[&hung, &other]);
    for round in 1..=10_usize {
        for id in 0..50_u32 {
            running.log.record(0, &record(&id)).expect("is never refused");
        }
        eventually("the other sink has them", || other.taken() == round * 50).await;
    }
    assert_eq!(hung.taken(), 0);
    // 100 wait for the hung sink; the other 400 it never sees, and they are counted.
    assert_eq!(running.metrics.decisions_dropped.get(), 400);
}

#[tokio::test]
async fn stopping_delivers_what_was_recorded_and_refuses_what_comes_later() {
    let recorder = Recorder::default();
    let running = start(OnFull::Refuse, CAPACITY, &[&recorder]);
    for id in 0..5000_u32 {
        running.log.record(0, &record(&id)).expect("has room");
    }
    running.stop.send_replace(true);
    for task in running.tasks {
        task.await.expect("ends");
    }
    assert_eq!(recorder.taken(), 5000);
    assert_eq!(running.log.record(0, &record("late")), Err(DecisionLogFull));
    assert_eq!(running.log.waiting(), 0);
}

#[tokio::test]
async fn a_log_whose_collector_ended_refuses_what_nobody_would_take() {
    let recorder = Recorder::default();
    let running = start(OnFull::Refuse, CAPACITY, &[&recorder]);
    running.log.record(0, &record(&1)).expect("has room");
    let collector = running.tasks.into_iter().next_back().expect("the collector");
    collector.abort();
    assert!(collector.await.expect_err("was aborted").is_cancelled());
    assert_eq!(running.log.record(0, &record(&2)), Err(DecisionLogFull));
}

#[tokio::test]
async fn a_record_is_written_down_at_once_and_the_log_keeps_nothing_of_it() {
    let recorder = Recorder::default();
    recorder.set(|state| state.hung = true);
    let running = start(OnFull::Refuse, CAPACITY, &[&recorder]);
    let record = record("d1");
    running.log.record(0, &record).expect("has room");
    assert_eq!(Arc::strong_count(&record), 1);
    drop(record);
    recorder.set(|state| state.hung = false);
    eventually("it arrived", || recorder.ids() == ["d1"]).await;
}

#[tokio::test]
async fn long_records_fill_the_log_before_there_are_as_many_as_it_takes() {
    let recorder = Recorder::default();
    recorder.set(|state| state.broken = true);
    let running = start(OnFull::Refuse, 100, &[&recorder]);
    let path = "/".repeat(slots::BYTES_EACH);
    let long = Arc::new(DecisionRecord { target: path.into(), ..(*record("long")).clone() });
    let accepted = (0..150).filter(|_| running.log.record(0, &long).is_ok()).count();
    assert!((50..100).contains(&accepted), "{accepted}");
    assert!(!running.log.refuses(), "a short one has room");
}

#[tokio::test]
async fn without_sinks_records_are_discarded_and_nobody_is_refused() {
    let running = start(OnFull::Refuse, 1, &[]);
    for id in 0..10_u32 {
        running.log.record(0, &record(&id)).expect("is never refused");
    }
    assert_eq!((running.log.waiting(), running.tasks.len()), (0, 0));
}

fn cut(id: u32) -> Arc<LeaseCut> {
    let record = record(&id);
    let open = Duration::from_secs(1);
    Arc::new(LeaseCut { grants: Vec::new(), cause: "revoked", at: record.at, open, record })
}

#[tokio::test]
async fn a_cut_goes_the_way_of_decisions_and_is_dropped_and_counted_when_that_is_full() {
    let recorder = Recorder::default();
    let running = start(OnFull::Refuse, 10, &[&recorder]);
    running.log.record(1, &record(&1)).expect("has room");
    running.log.cut(cut(1));
    eventually("both arrived", || recorder.taken() == 2).await;
    assert_eq!(recorder.ids(), ["1", "1-cut"]);
    eventually("all room is free", || running.log.waiting() == 0).await;
    recorder.set(|state| state.broken = true);
    (0..25).for_each(|id| running.log.cut(cut(id)));
    assert_eq!(running.metrics.decisions_dropped.get(), 15);
}
