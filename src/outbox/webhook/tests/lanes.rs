//! Endpoints that work, fail, hang and come back.

use super::*;

#[tokio::test]
async fn every_event_is_a_signed_call_of_its_own_in_order_per_partition() {
    let receiver = Receiver::start(|_| Reply::Status(204)).await;
    let store = EventStore::new();
    store.append(0, 6);
    let scene = Scene::start(&store, &[config("siem", &receiver)]);
    store.append(3, 5);
    eventually("all arrived", || receiver.count() == 11).await;
    let calls = receiver.calls();
    assert_eq!(order(&calls), BTreeMap::from([(0, sequences(6)), (3, sequences(5))]));
    for call in &calls {
        assert!(call.head.starts_with("POST /in HTTP/1.1"), "{}", call.head);
        assert_eq!(call.header("content-type"), "application/cloudevents+json");
        assert_eq!(call.header("webhook-timestamp"), "1");
        assert_eq!(call.event["id"], call.id());
        assert_eq!(call.event["specversion"], "1.0");
        assert!(call.is_signed_by(&SECRET) && call.is_signed_by(&OLD_SECRET));
        assert!(!call.is_signed_by(&[9; 32]));
    }
    eventually("the cursors moved", || store.cursor_of("webhook:siem", 0) == 3).await;
    eventually("the cursors moved", || store.cursor_of("webhook:siem", 3) == 3).await;
    assert_eq!(scene.calls("siem", "delivered"), 11);
    assert_eq!(scene.outbox.shutdown(Duration::from_secs(10)).await, 0);
}

#[tokio::test]
async fn a_failing_event_holds_up_its_own_partition_and_keeps_its_id() {
    let receiver =
        Receiver::start(|call| Reply::Status(if call.partition() == 1 { 500 } else { 200 }));
    let (receiver, store) = (receiver.await, EventStore::new());
    let scene = Scene::start(&store, &[config("siem", &receiver)]);
    for partition in 0..4 {
        store.append(partition, 4);
    }
    let of = |partition| receiver.calls().into_iter().filter(move |it| it.partition() == partition);
    eventually("the others arrived", || [0, 2, 3].iter().all(|it| of(*it).count() == 4)).await;
    scene.pass_until("it is tried again and again", || of(1).count() >= 5).await;
    let ids: BTreeSet<String> = of(1).map(|call| call.id()).collect();
    assert_eq!((ids.len(), store.cursor_of("webhook:siem", 1)), (1, 0));
    // Each try is signed with its own time.
    let times: BTreeSet<String> =
        of(1).map(|call| call.header("webhook-timestamp").to_owned()).collect();
    assert!(times.len() > 1 && of(1).all(|call| call.is_signed_by(&SECRET)), "{times:?}");
    receiver.behave(|_| Reply::Status(200));
    scene.pass_until("the rest arrived", || store.cursor_of("webhook:siem", 1) == 2).await;
    assert_eq!(order(&receiver.calls())[&1], sequences(4));
    assert!(letters_of(&store, "webhook:siem", 1).await.is_empty());
}

#[tokio::test]
async fn an_endpoint_that_is_down_hangs_or_breaks_off_holds_up_no_other() {
    let good = Receiver::start(|_| Reply::Status(200)).await;
    let hanging = Receiver::start(|_| Reply::Hang).await;
    let closing = Receiver::start(|_| Reply::Close).await;
    let mut down = good.clone();
    down.url = "http://127.0.0.1:1/".into();
    let slow = WebhookConfig { timeout: Duration::from_millis(100), ..config("hangs", &hanging) };
    let store = EventStore::new();
    let hooks = [slow, config("closes", &closing), config("down", &down), config("good", &good)];
    let scene = Scene::start(&store, &hooks);
    for partition in 0..4 {
        store.append(partition, 10);
    }
    eventually("the good one has all", || good.count() == 40).await;
    for (sink, outcome) in [("hangs", "timed-out"), ("closes", "broken"), ("down", "unreachable")] {
        scene.pass_until(outcome, || scene.calls(sink, outcome) >= 8).await;
        assert_eq!(scene.calls(sink, "delivered"), 0);
        assert_eq!(store.cursor_of(&format!("webhook:{sink}"), 0), 0);
    }
    let passed = scene.age("hangs");
    eventually("the age of the oldest is shown", || scene.age("hangs") > passed.max(30.0)).await;
    assert!(scene.age("good") < 1.0);
    hanging.behave(|_| Reply::Status(200));
    scene.pass_until("it came back", || scene.calls("hangs", "delivered") == 40).await;
    let of_hangs: BTreeMap<u16, Vec<String>> = order(&hanging.calls());
    assert!(of_hangs.values().all(|found| *found == sequences(10)), "{of_hangs:?}");
}

#[tokio::test]
async fn an_answer_after_the_time_out_is_a_duplicate_with_the_same_id() {
    let receiver = Receiver::start(|_| Reply::Late(200)).await;
    let store = EventStore::new();
    let hook = WebhookConfig { timeout: Duration::from_millis(100), ..config("siem", &receiver) };
    let scene = Scene::start(&store, &[hook]);
    store.append(2, 1);
    eventually("it timed out", || scene.calls("siem", "timed-out") == 1).await;
    receiver.go_on();
    scene.pass_until("it arrived", || scene.calls("siem", "delivered") == 1).await;
    let ids = receiver.ids();
    assert!(ids.len() >= 2 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn an_endpoint_that_asks_for_time_is_left_alone_for_so_long() {
    let receiver = Receiver::start(|_| Reply::With(429, "retry-after: 300")).await;
    let store = EventStore::new();
    let scene = Scene::start(&store, &[config("siem", &receiver)]);
    store.append(0, 1);
    eventually("it was called", || scene.calls("siem", "failed") == 1).await;
    receiver.behave(|_| Reply::Status(200));
    for _ in 0..29 {
        scene.pass(Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    assert_eq!(receiver.count(), 1);
    scene.pass(Duration::from_secs(11));
    eventually("it arrived", || scene.calls("siem", "delivered") == 1).await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Receiver::start(|_| Reply::Status(200)).await;
    let location: &'static str = format!("location: {}", other.url).leak();
    let receiver = Receiver::start(move |_| Reply::With(307, location)).await;
    let store = EventStore::new();
    let scene = Scene::start(&store, &[config("siem", &receiver)]);
    store.append(0, 1);
    scene.pass_until("it is tried again", || scene.calls("siem", "failed") >= 3).await;
    assert_eq!(other.count(), 0);
}

#[tokio::test]
async fn so_many_calls_are_under_way_as_configured_and_each_is_another_partition() {
    let receiver = Receiver::start(|_| Reply::Late(200)).await;
    let store = EventStore::new();
    let hook = WebhookConfig { max_in_flight: 2, ..config("siem", &receiver) };
    let _scene = Scene::start(&store, &[hook]);
    for partition in 0..4 {
        store.append(partition, 3);
    }
    eventually("two are under way", || receiver.count() == 2).await;
    let partitions: BTreeSet<u16> = receiver.calls().iter().map(Call::partition).collect();
    assert_eq!(partitions.len(), 2);
    receiver.go_on();
    eventually("all arrived", || receiver.count() == 12).await;
    assert_eq!(receiver.most_under_way(), 2);
}

#[tokio::test]
async fn a_process_that_ends_in_the_middle_loses_nothing_and_repeats_with_the_same_ids() {
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let store = EventStore::new();
    // The cursor cannot be written: what is delivered is not remembered.
    *store.read_only.lock().expect("no panic") = true;
    let first = Scene::start(&store, &[config("siem", &receiver)]);
    store.append(0, 4);
    eventually("some arrived", || receiver.count() >= 2).await;
    first.outbox.shutdown(Duration::ZERO).await;
    let before = receiver.ids();
    *store.read_only.lock().expect("no panic") = false;
    store.append(0, 4);
    let second = Scene::start(&store, &[config("siem", &receiver)]);
    eventually("all arrived", || store.cursor_of("webhook:siem", 0) == 4).await;
    second.outbox.shutdown(Duration::from_secs(10)).await;
    let ids = receiver.ids();
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert!(distinct.len() == 8 && ids.len() >= 8 + before.len(), "{ids:?}");
    assert_eq!(order(&receiver.calls())[&0], sequences(8));
    // Nothing is sent a third time.
    let count = receiver.count();
    let third = Scene::start(&store, &[config("siem", &receiver)]);
    third.outbox.shutdown(Duration::from_secs(10)).await;
    assert_eq!(receiver.count(), count);
}

#[tokio::test]
async fn a_partition_that_another_process_delivers_is_left_to_it() {
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let store = EventStore::new();
    store.elsewhere.lock().expect("no panic").insert(Partition(1));
    let scene = Scene::start(&store, &[config("siem", &receiver)]);
    store.append(1, 2);
    store.append(2, 2);
    eventually("its own arrived", || receiver.count() == 2).await;
    scene.outbox.shutdown(Duration::from_secs(10)).await;
    assert!(receiver.calls().iter().all(|call| call.partition() == 2));
    assert_eq!(store.cursor_of("webhook:siem", 1), 0);
}

#[tokio::test]
async fn what_the_filter_leaves_out_moves_the_cursor_without_a_call() {
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let store = EventStore::new();
    let only = |types: &str, subjects: Option<&str>, name| WebhookConfig {
        types: Some(vec![Glob::new(types)]),
        subjects: subjects.map(|it| vec![Glob::new(it)]),
        ..config(name, &receiver)
    };
    // Everything that happens is a submission by alice.
    let hooks = [
        only("grant.*", None, "grants"),
        only("*", Some("bo*"), "of-bob"),
        only("request.submitted", Some("al*"), "of-alice"),
    ];
    let _scene = Scene::start(&store, &hooks);
    store.append(0, 100);
    for sink in ["webhook:grants", "webhook:of-bob", "webhook:of-alice"] {
        eventually(sink, || store.cursor_of(sink, 0) == 50).await;
    }
    assert_eq!(receiver.count(), 100);
}

#[tokio::test]
async fn decisions_come_only_where_they_are_named_and_a_slow_webhook_refuses_no_request() {
    let hanging = Receiver::start(|_| Reply::Hang).await;
    let good = Receiver::start(|_| Reply::Status(200)).await;
    let named = |receiver: &Receiver, name| WebhookConfig {
        types: Some(vec![Glob::new("decision.*")]),
        ..config(name, receiver)
    };
    let store = EventStore::new();
    let hooks = [named(&hanging, "hangs"), named(&good, "good"), config("transitions", &good)];
    let scene = Scene::start(&store, &hooks);
    let log = scene.outbox.decision_log();
    log.record(0, &record("d1")).expect("has room");
    eventually("it arrived", || good.ids() == ["d1"]).await;
    for round in 0..40 {
        for id in 0..2500_u32 {
            log.record(0, &record(&(round * 2500 + id))).expect("a slow webhook takes no room");
        }
        eventually("the buffer is empty", || scene.outbox.log.waiting() == 0).await;
    }
    assert_eq!(scene.outbox.health().check(), Ok(()));
    eventually("what did not fit is counted", || scene.metrics.decisions_dropped.get() > 0).await;
    assert_eq!(scene.calls("transitions", "delivered"), 0);
}

async fn letters_of(store: &Arc<EventStore>, sink: &str, partition: u16) -> Vec<DeadLetter> {
    store.dead_letters(sink, Partition(partition)).await.expect("reads").0
}
