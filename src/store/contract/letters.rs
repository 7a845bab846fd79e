//! What a sink could not be told.

use tokio::task::JoinSet;

use crate::store::letters::{DeadLetter, DeadLetters, EventPlace, LetterChange, LetterWhy};
use crate::store::{Store, StoreFault, keys};

use super::World;
use super::fixtures::*;

const SINK: &str = "webhook:siem";

fn letter(seq: u64) -> DeadLetter {
    DeadLetter {
        place: EventPlace { seq, index: 1 },
        id: format!("event-{seq}"),
        event_type: "dev.tidegate.grant.activated.v1".into(),
        at: START,
        died: START.plus(HOUR),
        tries: 5,
        why: LetterWhy::Failed,
        status: Some(503),
        replay: false,
    }
}

fn put(seq: u64) -> LetterChange {
    LetterChange::Put { letter: letter(seq), most: 100 }
}

pub async fn dead_letters_are_found_again_by_every_process<W: World>() {
    let world = W::fresh().await;
    let place = partition(&alice());
    let (one, other) = (world.process(), world.process());
    assert_eq!(one.store.dead_letters(SINK, place).await, Ok(DeadLetters::default()));
    for seq in [7, 3] {
        let changed = one.store.change_dead_letters(SINK, place, put(seq)).await.expect("changes");
        assert_eq!((changed.count, changed.dropped), (1, 0));
    }
    assert_eq!(other.store.dead_letters("webhook:other", place).await, Ok(DeadLetters::default()));
    let replay = LetterChange::Replay { id: Some("event-7".into()) };
    assert_eq!(other.store.change_dead_letters(SINK, place, replay).await.expect("marks").count, 1);
    let found = one.store.dead_letters(SINK, place).await.expect("reads");
    let marks: Vec<(u64, bool)> = found.0.iter().map(|it| (it.place.seq, it.replay)).collect();
    assert_eq!(marks, [(3, false), (7, true)]);
    let delivered = LetterChange::Remove(EventPlace { seq: 7, index: 1 });
    one.store.change_dead_letters(SINK, place, delivered).await.expect("removes");
    assert_eq!(other.store.dead_letters(SINK, place).await, Ok(DeadLetters(vec![letter(3)])));
    drop((one, other));
    let world = world.reopened().await;
    let again = world.process();
    assert_eq!(again.store.dead_letters(SINK, place).await, Ok(DeadLetters(vec![letter(3)])));
}

pub async fn changes_of_dead_letters_at_once_are_all_kept<W: World>() {
    let world = W::fresh().await;
    let place = partition(&alice());
    let mut under_way = JoinSet::new();
    for first in [1, 2] {
        let process = world.process();
        under_way.spawn_local(async move {
            for seq in (first..40).step_by(2) {
                let changed = process.store.change_dead_letters(SINK, place, put(seq)).await;
                assert_eq!(changed.expect("changes").count, 1);
            }
        });
    }
    while let Some(done) = under_way.join_next().await {
        done.expect("no panic");
    }
    let found = world.process().store.dead_letters(SINK, place).await.expect("reads");
    let seqs: Vec<u64> = found.0.iter().map(|letter| letter.place.seq).collect();
    assert_eq!(seqs, (1..40).collect::<Vec<u64>>());
}

pub async fn edited_dead_letters_are_a_fault<W: World>() {
    let world = W::fresh().await;
    let place = partition(&alice());
    let process = world.process();
    process.store.change_dead_letters(SINK, place, put(1)).await.expect("changes");
    let key = keys::letters(place, SINK);
    let value = world.get(&key).await.expect("letters");
    let other = keys::letters(place, "webhook:other");
    world.put(&other, value.clone()).await;
    let mut edited = value.to_vec();
    *edited.last_mut().expect("not empty") ^= 1;
    world.put(&key, edited.into()).await;
    for sink in [SINK, "webhook:other"] {
        let read = process.store.dead_letters(sink, place).await;
        assert!(matches!(read, Err(StoreFault::InvalidRecord { .. })), "{read:?}");
        let changed = process.store.change_dead_letters(sink, place, put(2)).await;
        assert!(matches!(changed, Err(StoreFault::InvalidRecord { .. })), "{changed:?}");
    }
}
