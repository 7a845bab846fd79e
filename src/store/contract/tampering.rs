//! Somebody who can write to the store but has no key.

use bytes::Bytes;

use crate::domain::command::Timer;
use crate::domain::grant::EndedWhy;
use crate::domain::request::RequestStatus;
use crate::store::seal::Sealer;
use crate::store::{Load, Store, keys};

use super::fixtures::*;
use super::{World, key};

fn live(subject: &crate::domain::subject::Subject) -> keys::Key {
    keys::live(partition(subject), subject.key())
}

pub async fn an_old_live_value_put_back_is_noticed<W: World>() {
    let world = W::fresh().await;
    let (process, reader) = (world.process(), world.process());
    let (one, two) = (grant(&alice(), START), grant(&alice(), START));
    process.write(&alice(), of_grants(&[&one, &two])).await;
    let old = world.get(&live(&alice())).await.expect("a value");
    process.write(&alice(), of_grants(&[&ended(one, EndedWhy::Revoked, START)])).await;
    assert_eq!(reader.counting(&alice(), START).await, 1);
    world.put(&live(&alice()), old).await;
    // Both the process that wrote the newer version and the one that only read it.
    assert!(rolled_back(&process.read(&alice()).await));
    assert!(rolled_back(&reader.read(&alice()).await));
}

pub async fn the_value_of_a_revoked_grant_put_back_is_noticed<W: World>() {
    let world = W::fresh().await;
    let (process, reader) = (world.process(), world.process());
    let only = grant(&alice(), START);
    process.write(&alice(), of_grants(&[&only])).await;
    let old = world.get(&live(&alice())).await.expect("a value");
    process.write(&alice(), of_grants(&[&ended(only, EndedWhy::Revoked, START)])).await;
    assert_eq!(reader.counting(&alice(), START).await, 0);
    world.put(&live(&alice()), old).await;
    assert!(rolled_back(&process.read(&alice()).await));
    assert!(rolled_back(&reader.read(&alice()).await));
}

pub async fn a_value_copied_to_another_subject_is_invalid<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    let value = world.get(&live(&alice())).await.expect("a value");
    let mallory = super::markers::alice_elsewhere();
    world.put(&live(&mallory), value).await;
    assert!(invalid(&process.read(&mallory).await));
}

pub async fn an_edited_cut_or_garbage_value_is_invalid<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    let value = world.get(&live(&alice())).await.expect("a value");
    for place in (0..value.len()).step_by(7) {
        let mut edited = value.to_vec();
        edited[place] ^= 0x80;
        world.put(&live(&alice()), edited.into()).await;
        assert!(invalid(&process.read(&alice()).await), "byte {place}");
        world.put(&live(&alice()), value.slice(..place)).await;
        assert!(invalid(&process.read(&alice()).await), "cut at {place}");
    }
    world.put(&live(&alice()), value).await;
    assert_eq!(process.counting(&alice(), START).await, 1);
}

pub async fn a_well_sealed_value_in_no_known_format_is_invalid<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let sealer = Sealer::new(&[key("k1", 1)]).expect("usable");
    for content in [&b"\x02\x00"[..], b"\x01\x01", b"\x01\x00\x00", b"", b"{}"] {
        let version = START.millis();
        world.put(&live(&alice()), sealer.seal(&live(&alice()), version, content)).await;
        assert!(invalid(&process.read(&alice()).await), "{content:?}");
    }
}

pub async fn a_wrong_seal_key_reads_nothing<W: World>() {
    let world = W::fresh().await;
    world.process().write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    for keys in [[key("k1", 9)], [key("k2", 1)]] {
        let stranger = world.process_with(&keys);
        assert!(invalid(&stranger.read(&alice()).await));
        assert!(invalid(&stranger.try_load(&alice()).await));
    }
}

pub async fn a_rotated_key_still_verifies<W: World>() {
    let world = W::fresh().await;
    let (one, two) = (grant(&alice(), START), grant(&alice(), START));
    world.process().write(&alice(), of_grants(&[&one])).await;
    let rotated = world.process_with(&[key("k2", 2), key("k1", 1)]);
    assert_eq!(rotated.counting(&alice(), START).await, 1);
    rotated.write(&alice(), of_grants(&[&two])).await;
    assert_eq!(rotated.counting(&alice(), START).await, 2);
    let behind = world.process_with(&[key("k1", 1), key("k2", 2)]);
    assert_eq!(behind.counting(&alice(), START).await, 2);
    // What the new key sealed, a process without it does not believe.
    assert!(invalid(&world.process().read(&alice()).await));
}

pub async fn a_deleted_live_value_is_no_grant<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    world.delete(&live(&alice())).await;
    assert_eq!(process.counting(&alice(), START).await, 0);
    // The next commit makes it whole again.
    process.write(&alice(), of_request(&request(&alice(), START))).await;
    assert_eq!(process.counting(&alice(), START).await, 1);
}

pub async fn an_older_request_put_back_is_noticed_by_every_process<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let mut asked = request(&alice(), START);
    let record = keys::request(asked.id);
    process.write(&alice(), of_request(&asked)).await;
    let first = world.get(&record).await.expect("a record");
    asked.revision = 2;
    process.write(&alice(), of_request(&asked)).await;
    world.put(&record, first.clone()).await;
    assert!(invalid(&world.process().try_load(&alice()).await));

    // Also when it was decided since: a pending one is always listed by its subject.
    asked.status =
        RequestStatus::Cancelled { at: START, by: "alice".into(), reason: String::new() };
    let second = world.process();
    world.put(&record, Bytes::new()).await;
    assert!(invalid(&second.try_load(&alice()).await));
    world.delete(&record).await;
    assert!(invalid(&second.try_load(&alice()).await));
    let other = request(&alice_two(), START);
    second.write(&alice_two(), of_request(&other)).await;
    let pending = world.get(&keys::request(other.id)).await.expect("a record");
    let mut decided = other.clone();
    decided.status = asked.status;
    second.write(&alice_two(), of_request(&decided)).await;
    world.put(&keys::request(other.id), pending).await;
    let subject = alice_two();
    let named = Load { request: Some(other.id), ..load_of(&subject) };
    assert!(invalid(&world.process().store.load(named).await));
}

fn alice_two() -> crate::domain::subject::Subject {
    crate::domain::subject::Subject::new("https://idp.example.com", "alice-two")
}

pub async fn an_edited_timer_is_left_out_and_holds_up_nothing<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let timers: Vec<Timer> =
        (0..3).map(|_| Timer::TimeOutRequest(request(&alice(), START).id)).collect();
    for timer in &timers {
        process.write(&alice(), set_timer(*timer, START)).await;
    }
    let record = keys::timer(partition(&alice()), &keys::timer_member(&timers[0]));
    let other = keys::timer(partition(&alice()), &keys::timer_member(&timers[1]));
    world.put(&record, world.get(&other).await.expect("a record")).await;
    let due = process.store.due_timers(partition(&alice()), START, None, 10).await.expect("timers");
    assert_eq!(due.broken.len(), 1);
    assert_eq!(due.timers.iter().map(|due| due.timer).collect::<Vec<_>>(), timers[1..]);
}

pub async fn more_broken_timers_than_a_page_hold_up_nothing<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    for n in 0..4 {
        let timer = Timer::TimeOutRequest(request(&alice(), START).id);
        process.write(&alice(), set_timer(timer, START.plus(ONE_MS * n))).await;
        if n < 3 {
            let record = keys::timer(partition(&alice()), &keys::timer_member(&timer));
            world.put(&record, "garbage".into()).await;
        }
    }
    let (mut after, mut broken, mut due) = (None, 0, 0);
    for _ in 0..4 {
        let page = process.due(START.plus(HOUR), after, 2).await;
        broken += page.broken.len();
        due += page.timers.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(after.is_none(), "the pages end");
    assert_eq!((broken, due), (3, 1));
}

/// Beside what it cannot trust, the walk finds the rest.
pub async fn an_edited_grant_holds_up_no_sweep<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    let (edited, whole) = (grant(&alice(), START), grant(&alice(), START));
    process.write(&alice(), of_grants(&[&edited, &whole])).await;
    process.store.kill(place, super::markers::everything()).await.expect("killed");
    world.put(&keys::grant(edited.id), "garbage".into()).await;
    let page = process.store.killed(place, None).await.expect("a page");
    assert_eq!((page.subjects, page.broken.len()), (vec![alice()], 1));
}

pub async fn an_edited_request_is_a_fault_in_every_way_to_read_it<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let asked = request(&alice(), START);
    process.write(&alice(), of_request(&asked)).await;
    let record = keys::request(asked.id);
    let mut edited = world.get(&record).await.expect("a record").to_vec();
    let last = edited.len() - 2;
    edited[last] ^= 1;
    world.put(&record, edited.into()).await;
    let query = super::lists::query();
    assert!(invalid(&process.store.request(asked.id).await));
    assert!(invalid(&process.store.list_requests(&query).await));
    assert!(invalid(&process.try_load(&alice()).await));
    // What the data plane reads is another record, and still stands.
    assert!(process.read(&alice()).await.is_ok());
}

pub async fn edited_events_are_a_fault<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    let grant = grant(&alice(), START);
    let mut transition = of_grants(&[&grant]);
    transition.events = vec![activated(&grant), activated(&grant)];
    process.write(&alice(), transition).await;
    let spoils: [fn(&mut Vec<Bytes>); 6] = [
        |events| drop(events.pop()),
        |events| events.reverse(),
        |events| events.extend(events.first().cloned()),
        |events| events.iter_mut().for_each(|event| *event = event.slice(..event.len() / 2)),
        |events| events.iter_mut().for_each(|event| *event = event.slice(..event.len().min(9))),
        |events| {
            for event in events {
                let mut edited = event.to_vec();
                edited[0] ^= 1;
                *event = edited.into();
            }
        },
    ];
    for spoil in spoils {
        process.spoil_events(spoil);
        assert!(invalid(&process.store.read_events(place, 0, 10).await));
    }
    process.spoil_events(|_| ());
    assert_eq!(process.store.read_events(place, 0, 10).await.expect("events").len(), 2);
}
