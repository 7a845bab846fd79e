//! What is given up, kept, and sent again.

use super::*;

const SINK: &str = "webhook:siem";

async fn letters(store: &Arc<EventStore>) -> Vec<DeadLetter> {
    store.dead_letters(SINK, Partition(0)).await.expect("reads").0
}

async fn replay(store: &Arc<EventStore>, id: Option<String>) -> usize {
    let change = LetterChange::Replay { id };
    store.change_dead_letters(SINK, Partition(0), change).await.expect("marks").count
}

#[tokio::test]
async fn what_an_endpoint_refuses_three_times_is_a_dead_letter_and_the_next_goes_on() {
    for status in [410, 422] {
        let mut first = None;
        let receiver = Receiver::start(move |call| {
            let first = first.get_or_insert_with(|| call.id());
            Reply::Status(if *first == call.id() { status } else { 200 })
        });
        let (receiver, store) = (receiver.await, EventStore::new());
        let scene = Scene::start(&store, &[config("siem", &receiver)]);
        store.append(0, 3);
        scene.pass_until("the rest arrived", || store.cursor_of(SINK, 0) == 2).await;
        assert_eq!((scene.calls("siem", "refused"), scene.calls("siem", "delivered")), (3, 2));
        let letters = letters(&store).await;
        let [letter] = letters.as_slice() else { panic!("{letters:?}") };
        assert_eq!((letter.id.clone(), letter.tries), (receiver.ids()[0].clone(), 3));
        assert_eq!((letter.why, letter.status), (LetterWhy::Refused, Some(status)));
        assert_eq!(
            (letter.at, letter.event_type.as_str()),
            (HAPPENED, "dev.tidegate.request.submitted.v1")
        );
        assert_eq!(scene.letters_counted("siem", "kept"), 1);
    }
}

#[tokio::test]
async fn an_endpoint_that_is_away_for_longer_than_it_is_tried_leaves_dead_letters() {
    let receiver = Receiver::start(|_| Reply::Status(503)).await;
    let store = EventStore::new();
    let scene = Scene::start(&store, &[config("siem", &receiver)]);
    store.append(0, 4);
    scene.pass_until("the first is given up", || store.cursor_of(SINK, 0) >= 1).await;
    assert!(scene.clock_passed() >= DAY, "{:?}", scene.clock_passed());
    scene.pass_until("all are given up", || store.cursor_of(SINK, 0) == 2).await;
    let letters = letters(&store).await;
    assert_eq!(letters.len(), 4);
    assert!(letters.iter().all(|it| it.tries >= 5 && it.why == LetterWhy::Failed), "{letters:?}");
    // Those behind the first were old already when it was their turn.
    assert_eq!(letters[3].tries, 5);
}

#[tokio::test]
async fn a_dead_letter_that_somebody_asks_for_is_sent_again_once() {
    let receiver = Receiver::start(|_| Reply::Status(400)).await;
    let store = EventStore::new();
    let scene = Scene::start(&store, &[config("siem", &receiver)]);
    store.append(0, 3);
    scene.pass_until("all are given up", || store.cursor_of(SINK, 0) == 2).await;
    let dead = letters(&store).await;
    assert_eq!((dead.len(), receiver.count()), (3, 9));
    // It fails again: one call, and it is a letter as before, with one more try.
    assert_eq!(replay(&store, Some(dead[1].id.clone())).await, 1);
    eventually("it was tried", || receiver.count() == 10).await;
    eventually("it is a letter again", || scene.calls("siem", "refused") == 10).await;
    let again = until_unmarked(&store).await;
    assert_eq!((again.len(), again[1].tries, again[1].replay), (3, 4, false));
    // Everything, and it is taken.
    receiver.behave(|_| Reply::Status(200));
    assert_eq!(replay(&store, None).await, 3);
    eventually("all arrived", || scene.letters_counted("siem", "replayed") == 3).await;
    assert!(until_unmarked(&store).await.is_empty());
    let ids: Vec<String> = receiver.ids().split_off(10);
    assert_eq!(ids, dead.iter().map(|letter| letter.id.clone()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_process_that_stops_leaves_what_is_to_be_sent_again_to_the_next() {
    let receiver = Receiver::start(|_| Reply::Status(400)).await;
    let store = EventStore::new();
    let scene = Scene::start(&store, &[config("siem", &receiver)]);
    store.append(0, 20);
    scene.pass_until("all are given up", || store.cursor_of(SINK, 0) == 10).await;
    receiver.behave(|_| Reply::Late(200));
    replay(&store, None).await;
    eventually("one is under way", || receiver.count() == 61).await;
    receiver.go_on();
    assert_eq!(scene.outbox.shutdown(Duration::from_secs(10)).await, 0);
    assert!(receiver.count() < 80, "{}", receiver.count());
    let marked = letters(&store).await.iter().filter(|letter| letter.replay).count();
    assert_eq!(marked, 80 - receiver.count());
    let next = Scene::start(&store, &[config("siem", &receiver)]);
    eventually("the rest is sent", || receiver.count() == 80).await;
    assert!(until_unmarked(&store).await.is_empty());
    next.outbox.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_lane_that_was_lost_and_comes_back_sends_nothing_again_that_another_process_settled() {
    let receiver = Receiver::start(|_| Reply::Status(400)).await;
    let store = EventStore::new();
    let scene = Scene::start(&store, &[config("siem", &receiver)]);
    store.append(0, 3);
    scene.pass_until("all are given up", || store.cursor_of(SINK, 0) == 2).await;
    let dead = letters(&store).await;
    receiver.behave(|_| Reply::Late(200));
    assert_eq!(replay(&store, None).await, 3);
    eventually("the first is under way", || receiver.count() == 10).await;
    // Meanwhile another process takes the partition, and settles all of them.
    store.elsewhere.lock().expect("no panic").insert(Partition(0));
    for letter in &dead {
        let change = LetterChange::Remove(letter.place);
        store.change_dead_letters(SINK, Partition(0), change).await.expect("removed");
    }
    let refused = || store.refused_claims.load(std::sync::atomic::Ordering::SeqCst);
    eventually("it looks whether it may go on", || refused() > 0).await;
    store.elsewhere.lock().expect("no panic").clear();
    receiver.behave(|_| Reply::Status(200));
    receiver.go_on();
    // The first of them joins a commit that is through.
    store.append(0, 21);
    eventually("what is new arrived", || receiver.count() >= 30).await;
    let again: Vec<String> = receiver.ids().split_off(10);
    assert!(dead.iter().all(|letter| !again.contains(&letter.id)), "{again:?}");
    assert!(letters(&store).await.is_empty());
}

#[tokio::test]
async fn a_letter_whose_event_is_gone_goes_with_it() {
    let receiver = Receiver::start(|_| Reply::Status(400)).await;
    let store = EventStore::new();
    let scene = Scene::start(&store, &[config("siem", &receiver)]);
    store.append(0, 2);
    scene.pass_until("all are given up", || store.cursor_of(SINK, 0) == 1).await;
    store.trim(0, 1);
    assert_eq!(replay(&store, None).await, 2);
    eventually("they are gone", || scene.letters_counted("siem", "gone") == 2).await;
    assert!(until_unmarked(&store).await.is_empty());
    assert_eq!(receiver.count(), 6);
}

#[tokio::test]
async fn an_event_is_not_passed_over_while_its_letter_cannot_be_written() {
    let receiver = Receiver::start(|_| Reply::Status(410)).await;
    let store = EventStore::new();
    *store.read_only.lock().expect("no panic") = true;
    let scene = Scene::start(&store, &[config("siem", &receiver)]);
    store.append(0, 1);
    scene.pass_until("it is tried beyond its time", || receiver.count() >= 5).await;
    assert!(receiver.ids().iter().all(|id| *id == receiver.ids()[0]));
    assert_eq!(store.cursor_of(SINK, 0), 0);
    *store.read_only.lock().expect("no panic") = false;
    scene.pass_until("it is given up", || store.cursor_of(SINK, 0) == 1).await;
    assert_eq!(letters(&store).await.len(), 1);
}

impl Scene {
    fn clock_passed(&self) -> Duration {
        use crate::clock::Clock;
        self.clock.now().since(HAPPENED)
    }
}

async fn until_unmarked(store: &Arc<EventStore>) -> Vec<DeadLetter> {
    for _ in 0..2000 {
        let found = letters(store).await;
        if found.iter().all(|letter| !letter.replay) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("still marked");
}
