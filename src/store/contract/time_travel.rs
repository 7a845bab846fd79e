//! A store that went back in time: a fail-over that lost commits, an old snapshot.

use crate::domain::grant::EndedWhy;
use crate::domain::ids::CommitId;
use crate::store::record::{MarkersRecord, head_text, parse_head, seal_json};
use crate::store::seal::Sealer;
use crate::store::{Committed, Head, LiveReader, Store, StoreFault, keys};

use super::fixtures::*;
use super::{World, key};

pub async fn an_older_head_closes_the_partition_until_its_epoch_is_raised<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    let old = world.get(&keys::head(place)).await.expect("a head");
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    let newest = world.get(&keys::head(place)).await.expect("a head");
    world.put(&keys::head(place), old).await;
    assert!(rolled_back(&process.read(&alice()).await));

    // It stays closed, also when the head comes back; for other partitions nothing changed.
    world.put(&keys::head(place), newest.clone()).await;
    assert!(rolled_back(&process.read(&alice()).await));
    assert!(rolled_back(&process.try_load(&alice()).await));
    assert!(rolled_back(&process.store.markers(place).await));
    assert!(process.read(&super::markers::alice_elsewhere()).await.is_ok());
    // A process that knew nothing of it cannot notice.
    assert_eq!(world.process().counting(&alice(), START).await, 1);

    let head = parse_head(&newest).expect("a head");
    raise_epoch(&world, Head { epoch: head.epoch + 1, ..head }).await;
    assert_eq!(process.counting(&alice(), START).await, 1);
}

/// What a reconciliation does: head and sealed markers get the same higher epoch.
async fn raise_epoch<W: World>(world: &W, head: Head) {
    let place = partition(&alice());
    let sealer = Sealer::new(&[key("k1", 1)]).expect("usable");
    let markers = crate::domain::markers::Markers::default();
    let record = MarkersRecord { epoch: head.epoch, markers };
    let value = seal_json(&sealer, &keys::markers(place), 0, &record).expect("sealed");
    world.put(&keys::markers(place), value).await;
    world.put(&keys::head(place), head_text(&head)).await;
}

pub async fn the_base_of_a_partition_is_believed_like_every_read<W: World>() {
    let world = W::fresh().await;
    let (process, other) = (world.process(), world.process());
    let place = partition(&alice());
    assert_eq!(process.reader.partition(alice().key()), place);
    let old = world.get(&keys::head(place)).await.expect("a head");
    let first = other.reader.base(place).await.expect("a base");
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    // By a process that did not commit, so that the log has to prove what it knew.
    let second = other.reader.base(place).await.expect("a base");
    assert!(first.head.seq < second.head.seq);
    let view = other.read(&alice()).await.expect("it reads");
    assert_eq!((view.head, &view.markers), (second.head, &second.markers));
    assert_eq!(view.seen().head, second.head);
    world.put(&keys::head(place), old).await;
    assert!(rolled_back(&other.reader.base(place).await));
    assert!(rolled_back(&other.read(&alice()).await));
    let markers = keys::markers(place);
    world.put(&markers, bytes::Bytes::from_static(b"forged")).await;
    assert!(invalid(&world.process().reader.base(place).await));
}

pub async fn another_head_at_the_same_place_closes_the_partition<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    let head = parse_head(&world.get(&keys::head(place)).await.expect("a head")).expect("one");
    let other = Head { id: CommitId([0xee; 16]), ..head };
    world.put(&keys::head(place), head_text(&other)).await;
    assert!(rolled_back(&process.read(&alice()).await));
}

/// Puts the store back to where it was before the last commit of alice.
pub async fn roll_back<W: World>(world: &W, head: bytes::Bytes, anchor: Option<bytes::Bytes>) {
    let place = partition(&alice());
    let anchor_key = keys::subject(place, alice().key());
    world.put(&keys::head(place), head).await;
    match anchor {
        Some(anchor) => world.put(&anchor_key, anchor).await,
        None => world.delete(&anchor_key).await,
    }
    world.delete(&keys::live(place, alice().key())).await;
}

pub async fn a_commit_of_another_gateway_after_a_roll_back_is_noticed<W: World>() {
    let world = W::fresh().await;
    let knew = world.process();
    let place = partition(&alice());
    let old = world.get(&keys::head(place)).await.expect("a head");
    knew.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    roll_back(&world, old, None).await;
    // A gateway that knew nothing goes on from the old head; seq is the same or higher then.
    for commits in 1..4 {
        world.process().write(&alice(), of_request(&request(&alice(), START))).await;
        assert!(rolled_back(&knew.read(&alice()).await), "after {commits} commits");
    }
}

pub async fn a_commit_into_a_store_gone_back_is_refused<W: World>() {
    let world = W::fresh().await;
    let (process, late) = (world.process(), world.process());
    let place = partition(&alice());
    let old = world.get(&keys::head(place)).await.expect("a head");
    let grant = grant(&alice(), START);
    process.write(&alice(), of_grants(&[&grant])).await;
    let loaded = late.load(&alice()).await;
    let anchor = world.get(&keys::subject(place, alice().key())).await;
    roll_back(&world, old, anchor).await;
    let revoked = ended(grant, EndedWhy::Revoked, START);
    let committed = late.store.commit(commit_on(&loaded, of_grants(&[&revoked]), START)).await;
    assert_eq!(committed, Err(StoreFault::RolledBack(place)));
}

pub async fn commits_of_another_gateway_are_no_roll_back<W: World>() {
    let world = W::fresh().await;
    let (one, two) = (world.process(), world.process());
    for round in 1..100 {
        let (writer, reader) = if round % 3 == 0 { (&one, &two) } else { (&two, &one) };
        writer.write(&alice(), of_request(&request(&alice(), START))).await;
        if round % 10 == 0 {
            let view = reader.read(&alice()).await.expect("no roll-back");
            assert_eq!(view.head.seq, round + 1);
        }
    }
    // Far behind: more commits than any memory of the last ones.
    assert!(one.read(&alice()).await.is_ok());
    assert!(two.read(&alice()).await.is_ok());
}

pub async fn an_answer_that_was_overtaken_is_no_roll_back<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let only = grant(&alice(), START);
    process.write(&alice(), of_grants(&[&only])).await;
    process.slow.hold_next();
    let subject = alice();
    let slow = process.read(&subject);
    tokio::pin!(slow);
    tokio::select! {
        biased;
        answer = &mut slow => panic!("it was not held: {answer:?}"),
        () = process.slow.held() => (),
    }
    // While the answer is on its way, this process commits and another core reads.
    let revoked = ended(only, EndedWhy::Revoked, START);
    process.write(&alice(), of_grants(&[&revoked])).await;
    assert_eq!(process.counting(&alice(), START).await, 0);
    process.slow.arrive();
    let overtaken = slow.await.expect("no roll-back");
    assert_eq!(overtaken.head.seq, 2);
    // Its late arrival takes nothing back.
    assert_eq!(process.counting(&alice(), START).await, 0);
    let loaded = process.load(&alice()).await;
    let transition = of_request(&request(&alice(), START));
    let committed = process.store.commit(commit_on(&loaded, transition, START)).await;
    assert!(matches!(committed, Ok(Committed::Done { seq: 4, .. })), "{committed:?}");
}

pub async fn a_missing_head_is_a_fault<W: World>() {
    let world = W::fresh().await;
    let place = partition(&alice());
    world.delete(&keys::head(place)).await;
    let missing = StoreFault::Missing { partition: place, what: "head" };
    let process = world.process();
    assert_eq!(process.read(&alice()).await.err(), Some(missing.clone()));
    assert_eq!(process.try_load(&alice()).await.err(), Some(missing));
    world.put(&keys::head(place), "1 2".into()).await;
    assert!(invalid(&process.read(&alice()).await));
}

pub async fn everything_is_there_after_all_processes_stopped<W: World>() {
    let world = W::fresh().await;
    let (kept, gone) = (grant(&alice(), START), grant(&alice(), START));
    let mut transition = of_grants(&[&kept, &gone]);
    transition.events = vec![activated(&kept)];
    let process = world.process();
    process.write(&alice(), transition).await;
    process.write(&alice(), of_grants(&[&ended(gone.clone(), EndedWhy::Revoked, START)])).await;
    drop(process);

    let world = world.reopened().await;
    let process = world.process();
    let view = process.read(&alice()).await.expect("it reads");
    assert_eq!(view.counting(TOOL, START).map(|grant| grant.id).collect::<Vec<_>>(), [kept.id]);
    let events = process.store.read_events(partition(&alice()), 0, 10).await.expect("events");
    assert_eq!(events.len(), 1);
    process.write(&alice(), of_grants(&[&ended(kept, EndedWhy::Released, START)])).await;
    assert_eq!(process.counting(&alice(), START).await, 0);
}
