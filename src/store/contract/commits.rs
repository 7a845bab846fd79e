//! Commit and load: what is written reads back, once.

use crate::domain::command::{Timer, Transition};
use crate::domain::ids::CommitId;
use crate::domain::request::RequestStatus;
use crate::domain::subject::Subject;
use crate::store::{
    Commit, Committed, Durability, IdempotencyKey, Load, Store, StoredAnswer, keys,
};

use super::World;
use super::fixtures::*;

pub async fn what_was_committed_reads_back<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let (request, grant) = (request(&alice(), START), grant(&alice(), START));
    let mut transition = of_request(&request);
    transition.grants = vec![grant.clone()];
    process.write(&alice(), transition).await;

    let state = process.load(&alice()).await.state;
    assert_eq!(state.requests.get(&request.id), Some(&request));
    assert_eq!(state.grants.get(&grant.id), Some(&grant));
    assert_eq!(process.store.request(request.id).await, Ok(Some(request)));
    assert_eq!(process.store.grant(grant.id).await, Ok(Some(grant.clone())));
    let view = process.read(&alice()).await.expect("it reads");
    let read = view.grants().next().expect("one grant");
    assert_eq!((read.id, read.tool, read.role), (grant.id, TOOL, "operator"));
    assert_eq!((view.version, view.head.seq), (state.version, 2));
    let stranger = Subject::new("https://idp.example.com", "mallory");
    assert_eq!(process.read(&stranger).await.expect("it reads").grants().count(), 0);
}

pub async fn a_first_version_is_the_time_and_the_next_is_one_more<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    assert_eq!(process.load(&alice()).await.state.version, 0);
    process.write(&alice(), of_request(&request(&alice(), START))).await;
    assert_eq!(process.load(&alice()).await.state.version, START.millis());
    process.write(&alice(), of_request(&request(&alice(), START))).await;
    assert_eq!(process.load(&alice()).await.state.version, START.millis() + 1);
}

pub async fn a_commit_on_an_old_version_changes_nothing<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let old = process.load(&alice()).await;
    process.write(&alice(), of_request(&request(&alice(), START))).await;
    let before = process.load(&alice()).await.state;
    let late = request(&alice(), START);
    for _ in 0..2 {
        let committed = process.store.commit(commit_on(&old, of_request(&late), START)).await;
        assert_eq!(committed, Ok(Committed::VersionConflict));
    }
    let after = process.load(&alice()).await.state;
    assert_eq!((after.version, after.requests), (before.version, before.requests));
    assert_eq!(process.store.request(late.id).await, Ok(None));
}

pub async fn the_same_commit_id_is_written_once<W: World>() {
    let world = W::fresh().await;
    let (process, other) = (world.process(), world.process());
    let commit = event_commit(&process.load(&alice()).await);
    let first = process.store.commit(commit.clone()).await;
    assert!(matches!(first, Ok(Committed::Done { seq: 2, .. })), "{first:?}");
    assert_eq!(process.store.commit(commit.clone()).await, first);
    assert_eq!(other.store.commit(commit).await, first);
    let events = process.store.read_events(partition(&alice()), 0, 10).await.expect("events");
    assert_eq!(events.len(), 2);
}

/// A commit with a grant and two events.
fn event_commit(loaded: &crate::store::Loaded) -> Commit {
    let grant = grant(&alice(), START);
    let mut transition = of_grants(&[&grant]);
    transition.events = vec![activated(&grant), activated(&grant)];
    commit_on(loaded, transition, START)
}

pub async fn a_lost_reply_is_answered_by_the_retry<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let commit = event_commit(&process.load(&alice()).await);
    process.lose_next_reply();
    assert!(process.store.commit(commit.clone()).await.is_err());
    let (version, seq, durability) = (START.millis(), 2, Durability::Confirmed);
    let retried = process.store.commit(commit).await;
    assert_eq!(retried, Ok(Committed::Done { version, seq, durability }));
    assert_eq!(process.counting(&alice(), START).await, 1);
}

pub async fn a_retry_finds_its_answer_when_everything_has_moved_since<W: World>() {
    let world = W::fresh().await;
    let (process, other) = (world.process(), world.process());
    let commit = event_commit(&process.load(&alice()).await);
    process.lose_next_reply();
    assert!(process.store.commit(commit.clone()).await.is_err());
    other.write(&alice(), of_request(&request(&alice(), START))).await;
    let order = super::markers::order(crate::domain::markers::KillTarget::Everything);
    other.store.kill(partition(&alice()), order).await.expect("killed");
    let retried = process.store.commit(commit).await;
    assert!(matches!(retried, Ok(Committed::Done { seq: 2, .. })), "{retried:?}");
}

pub async fn a_retry_that_finds_its_commit_notices_when_it_is_lost<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let old = world.get(&keys::head(partition(&alice()))).await.expect("a head");
    let commit = event_commit(&process.load(&alice()).await);
    process.lose_next_reply();
    assert!(process.store.commit(commit.clone()).await.is_err());
    assert!(process.store.commit(commit).await.is_ok());
    super::time_travel::roll_back(&world, old, None).await;
    assert!(rolled_back(&process.read(&alice()).await));
}

pub async fn an_idempotency_answer_holds_for_a_day<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let key = IdempotencyKey([7; 32]);
    let answer = StoredAnswer {
        fingerprint: [1; 32],
        status: 201,
        body: "{}".to_owned(),
        etag: Some("\"1\"".to_owned()),
        location: None,
    };
    let loaded = process.load(&alice()).await;
    let mut commit = commit_on(&loaded, of_request(&request(&alice(), START)), START);
    commit.answer = Some((key, answer.clone()));
    process.store.commit(commit).await.expect("committed");
    let subject = alice();
    let load = Load { idempotency: Some(&key), ..load_of(&subject) };
    let answer_at = async |at| {
        world.clock().set(at);
        process.store.load(load.clone()).await.expect("it loads").answer
    };
    assert_eq!(answer_at(START).await, Some(answer.clone()));
    assert_eq!(answer_at(START.plus(24 * HOUR).minus(ONE_MS)).await, Some(answer));
    assert_eq!(answer_at(START.plus(24 * HOUR)).await, None);
    let other = Load { idempotency: Some(&IdempotencyKey([8; 32])), ..load_of(&subject) };
    world.clock().set(START);
    assert_eq!(process.store.load(other).await.expect("it loads").answer, None);
}

pub async fn a_commit_for_a_record_of_another_subject_is_refused<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let mut foreign = grant(&alice(), START);
    foreign.subject = Subject::new("https://idp.example.com", "mallory");
    let loaded = process.load(&alice()).await;
    let committed = process.store.commit(commit_on(&loaded, of_grants(&[&foreign]), START)).await;
    assert!(invalid(&committed), "{committed:?}");
    assert_eq!(process.store.grant(foreign.id).await, Ok(None));
}

pub async fn events_come_in_order_and_whole<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    for _ in 0..3 {
        let mut commit = event_commit(&process.load(&alice()).await);
        commit.traceparent = Some("00-1-2-01".into());
        process.store.commit(commit).await.expect("committed");
        let order = super::markers::order(crate::domain::markers::KillTarget::Everything);
        process.store.kill(place, order).await.expect("killed");
    }
    let all = process.store.read_events(place, 0, 100).await.expect("events");
    let places: Vec<(u64, u16)> = all.iter().map(|event| (event.seq, event.index)).collect();
    assert_eq!(places, [(2, 0), (2, 1), (4, 0), (4, 1), (6, 0), (6, 1)]);
    assert!(all.iter().all(|event| event.subject == alice() && event.partition == place));
    assert_eq!(all[0].traceparent.as_deref(), Some("00-1-2-01"));
    // A limit never cuts a commit, and commits without events are no end.
    let few = process.store.read_events(place, 2, 1).await.expect("events");
    assert_eq!(few.iter().map(|event| event.seq).collect::<Vec<_>>(), [4, 4]);
    assert!(process.store.read_events(place, 6, 1).await.expect("events").is_empty());
}

pub async fn a_sink_finds_its_place_again<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    assert_eq!(process.store.cursor("file:./audit.jsonl", place).await, Ok(0));
    assert!(process.store.claim("file:./audit.jsonl", place).await.expect("asked"));
    assert!(process.store.set_cursor("file:./audit.jsonl", place, 7).await.expect("set"));
    assert_eq!(process.store.cursor("file:./audit.jsonl", place).await, Ok(7));
    assert_eq!(process.store.cursor("stdout", place).await, Ok(0));
}

pub async fn every_commit_tells_which_partition_moved<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let mut moved = process.store.moved();
    process.write(&alice(), of_request(&request(&alice(), START))).await;
    assert_eq!(moved.recv().await, Ok(partition(&alice())));
    process.store.probe().await.expect("it answers");
}

pub async fn a_named_record_is_loaded_also_when_it_is_over<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let mut asked = request(&alice(), START);
    let timer = Timer::TimeOutRequest(asked.id);
    let mut transition = of_request(&asked);
    transition.timers = set_timer(timer, START).timers;
    process.write(&alice(), transition).await;
    asked.status = RequestStatus::Expired { at: START };
    process.write(&alice(), of_request(&asked)).await;
    assert!(process.load(&alice()).await.state.requests.is_empty());
    let subject = alice();
    let named = Load { request: Some(asked.id), ..load_of(&subject) };
    let state = process.store.load(named.clone()).await.expect("it loads").state;
    assert_eq!(state.requests.get(&asked.id), Some(&asked));
    // Nobody finds it under another subject.
    let mallory = Subject::new("https://idp.example.com", "mallory");
    let theirs = Load { subject: &mallory, ..named };
    let state = process.store.load(theirs).await.expect("it loads").state;
    assert!(state.requests.is_empty());
    let nothing = commit_on(&process.load(&alice()).await, Transition::default(), START);
    let repeated = Commit { id: CommitId(unique()), ..nothing };
    assert!(matches!(process.store.commit(repeated).await, Ok(Committed::Done { .. })));
}

pub async fn a_sequence_grows_by_one_for_all_processes<W: World>() {
    let world = W::fresh().await;
    let (one, two) = (world.process().store, world.process().store);
    let mut drawn = Vec::new();
    for store in [&one, &two, &one] {
        drawn.push(store.draw("notify:reader").await.expect("drawn"));
    }
    assert_eq!(drawn, [1, 2, 3]);
    assert_eq!(two.draw("notify:writer").await.expect("drawn"), 1);
    // Whoever can write to the store can send notices to somebody else, and nothing more.
    world.put(&keys::turn("notify:reader"), "many".into()).await;
    assert!(one.draw("notify:reader").await.is_err());
}
