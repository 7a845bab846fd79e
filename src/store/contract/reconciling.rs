//! Reconciliation: what processes remember survives a store that forgot it.

use std::time::Duration;

use bytes::Bytes;

use crate::domain::event::EventKind;
use crate::domain::grant::{EndedWhy, Grant};
use crate::domain::ids::{CommitId, OrderId, Partition};
use crate::domain::markers::{KillOrder, KillTarget};
use crate::store::backend::{Backend, Rebase};
use crate::store::keys::{self, Key};
use crate::store::reconcile::message::Question;
use crate::store::reconcile::{Answers, Asking, Outcome, Reason, Reconciler, Repaired};
use crate::store::record::parse_head;
use crate::store::seal::Sealer;
use crate::store::{Committed, Durability, Store, StoreFault};

use super::fixtures::*;
use super::{Process, World, key};

/// What `one` and `two` tell `asker`.
async fn ask<W: World>(asker: &Process<W>, one: &Process<W>, two: &Process<W>) -> Answers {
    let asking = Asking { wait: Duration::from_secs(20), enough: Some(2) };
    let answers = tokio::select! {
        biased;
        ended = one.store.answer("one") => panic!("it does not end: {ended:?}"),
        ended = two.store.answer("two") => panic!("it does not end: {ended:?}"),
        answers = asker.store.ask(asking) => answers.expect("a channel"),
    };
    assert_eq!(answers.gateways.len(), 2);
    assert_eq!(answers.incomplete, Vec::<String>::new());
    answers
}

/// The one partition that was repaired; of all others there was nothing to do.
fn only_repaired(outcomes: Vec<Outcome>) -> Repaired {
    let is_fine = |outcome: &Outcome| matches!(outcome, Outcome::Fine(_));
    let mut others = outcomes.into_iter().filter(|outcome| !is_fine(outcome));
    let only = others.next();
    assert_eq!(others.next(), None);
    match only {
        Some(Outcome::Repaired(repaired)) => repaired,
        other => panic!("not repaired: {other:?}"),
    }
}

/// Everything of alice that a commit writes under a key, to put it back later.
async fn picture<W: World>(world: &W, grant: &Grant) -> Vec<(Key, Option<Bytes>)> {
    let (place, subject) = (partition(&alice()), alice().key());
    let keys = [
        keys::head(place),
        keys::markers(place),
        keys::subject(place, subject),
        keys::live(place, subject),
        keys::ended(place, subject),
        keys::grant(grant.id),
    ];
    let mut picture = Vec::new();
    for key in keys {
        picture.push((key, world.get(&key).await));
    }
    picture
}

async fn put_back<W: World>(world: &W, picture: Vec<(Key, Option<Bytes>)>) {
    for (key, value) in picture {
        match value {
            Some(value) => world.put(&key, value).await,
            None => world.delete(&key).await,
        }
    }
}

fn revoked(grant: &Grant) -> Grant {
    let mut grant = ended(grant.clone(), EndedWhy::Revoked, START);
    grant.ended.as_mut().expect("ended").reason = "left".to_owned();
    grant
}

/// A gateway that revoked, and a store that was put back to before.
async fn forgotten<W: World>(world: &W) -> (Process<W>, Grant) {
    let knew = world.process();
    let grant = grant(&alice(), START);
    knew.write(&alice(), of_grants(&[&grant])).await;
    let before = picture(world, &grant).await;
    knew.write(&alice(), of_grants(&[&revoked(&grant)])).await;
    put_back(world, before).await;
    assert!(rolled_back(&knew.read(&alice()).await));
    (knew, grant)
}

pub async fn what_was_revoked_before_a_roll_back_stays_revoked<W: World>() {
    let world = W::fresh().await;
    let (knew, grant) = forgotten(&world).await;
    let (newcomer, asker) = (world.process(), world.process());
    // Who knew nothing cannot notice, and is brought along.
    assert_eq!(newcomer.counting(&alice(), START).await, 1);

    let answers = ask(&asker, &knew, &newcomer).await;
    let repairing = asker.store.repair(&answers);
    tokio::pin!(repairing);
    let subject = alice();
    let outcomes = loop {
        // At no moment in between is anything allowed.
        match knew.read(&subject).await {
            Ok(view) => assert_eq!(view.counting(TOOL, START).count(), 0),
            Err(fault) => assert_eq!(fault, StoreFault::RolledBack(partition(&subject))),
        }
        tokio::select! {
            biased;
            outcomes = &mut repairing => break outcomes.expect("it reads"),
            () = tokio::task::yield_now() => (),
        }
    };
    let repaired = only_repaired(outcomes);
    assert_eq!(repaired.why, [Reason::Closed("one".into()), Reason::Revived(1)]);
    assert_eq!((repaired.ended.as_slice(), repaired.epoch), (&[grant.id][..], 2));

    for process in [&knew, &newcomer, &world.process()] {
        assert_eq!(process.counting(&alice(), START).await, 0);
        let head = process.read(&alice()).await.expect("open").head;
        assert_eq!((head.epoch, head.seq), (2, repaired.seq));
        let stored = process.store.grant(grant.id).await.expect("it reads").expect("it is there");
        assert_eq!(stored.ended, revoked(&grant).ended);
    }
    let events = newcomer.store.read_events(partition(&alice()), 0, 100).await.expect("events");
    let last = &events.last().expect("an event").event;
    assert_eq!(last.kind, EventKind::GrantRevoked);
    assert_eq!(last.reason.as_deref(), Some("ended again by reconcile: left"));
    // Life goes on, and a second reconciliation has nothing to do.
    knew.write(&alice(), of_grants(&[&super::fixtures::grant(&alice(), START)])).await;
    assert_eq!(newcomer.counting(&alice(), START).await, 1);
    let outcomes = asker.store.repair(&ask(&asker, &knew, &newcomer).await).await.expect("reads");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Fine(_))), "{outcomes:?}");
}

pub async fn revocations_are_made_again_also_where_head_and_markers_are_gone<W: World>() {
    let world = W::fresh().await;
    let (knew, grant) = forgotten(&world).await;
    let place = partition(&alice());
    world.delete(&keys::head(place)).await;
    world.delete(&keys::markers(place)).await;
    let (other, asker) = (world.process(), world.process());
    let answers = ask(&asker, &knew, &other).await;
    let repaired = only_repaired(asker.store.repair(&answers).await.expect("it reads"));
    assert_eq!(repaired.ended, [grant.id]);
    assert_eq!((repaired.kills, repaired.suspended), (0, 0));
    for process in [&knew, &other, &world.process()] {
        assert_eq!(process.counting(&alice(), START).await, 0);
        assert!(!process.read(&alice()).await.expect("open").is_suspended());
    }
}

pub async fn an_empty_store_takes_up_where_the_gateways_remember_it<W: World>() {
    let world = W::fresh().await;
    let (knew, other, asker) = (world.process(), world.process(), world.process());
    let grant = grant(&alice(), START);
    knew.write(&alice(), of_grants(&[&grant])).await;
    let last = knew.read(&alice()).await.expect("it reads").head;
    world.delete(&keys::meta()).await;
    for (key, _) in picture(&world, &grant).await {
        world.delete(&key).await;
    }
    assert!(knew.read(&alice()).await.is_err());
    let answers = ask(&asker, &knew, &other).await;
    let repaired = only_repaired(asker.store.repair(&answers).await.expect("it reads"));
    assert_eq!(repaired.epoch, last.epoch + 1);
    assert!(repaired.seq > last.seq);
    assert!(world.get(&keys::meta()).await.is_some());
    assert_eq!(knew.counting(&alice(), START).await, 0);
    knew.write(&alice(), of_grants(&[&super::fixtures::grant(&alice(), START)])).await;
    assert_eq!(other.counting(&alice(), START).await, 1);
}

pub async fn a_kill_that_the_store_forgot_binds_again<W: World>() {
    let world = W::fresh().await;
    let (knew, other, asker) = (world.process(), world.process(), world.process());
    let grant = grant(&alice(), START);
    other.write(&alice(), of_grants(&[&grant])).await;
    let before = picture(&world, &grant).await;
    let order = KillOrder {
        id: OrderId([1; 16]),
        target: KillTarget::Tool(TOOL.into()),
        at: START,
        by: alice(),
        reason: "incident".into(),
    };
    // Who threw it has not read it since.
    knew.store.kill(partition(&alice()), order).await.expect("killed");
    put_back(&world, before).await;
    assert_eq!(other.counting(&alice(), START).await, 1);
    let answers = ask(&asker, &knew, &other).await;
    let repaired = only_repaired(asker.store.repair(&answers).await.expect("it reads"));
    assert_eq!(repaired.why, [Reason::Forgotten("one".into())]);
    assert_eq!(repaired.kills, 1);
    for process in [&knew, &other] {
        assert_eq!(process.counting(&alice(), START).await, 0);
        assert_eq!(process.generation(&alice()).await, 2);
    }
}

pub async fn markers_that_nobody_remembers_end_everything<W: World>() {
    let world = W::fresh().await;
    let grant = grant(&alice(), START);
    world.process().write(&alice(), of_grants(&[&grant])).await;
    let place = partition(&alice());
    world.put(&keys::markers(place), Bytes::from_static(b"garbage")).await;
    let asker = world.process();
    let outcomes = asker.store.repair(&Answers::default()).await.expect("it reads");
    assert_eq!(only_repaired(outcomes).why, [Reason::NoBase]);
    assert_eq!(world.process().counting(&alice(), START).await, 0);
    let mut new = super::fixtures::grant(&alice(), START);
    new.generation = world.process().generation(&alice()).await;
    world.process().write(&alice(), of_grants(&[&new])).await;
    assert_eq!(world.process().counting(&alice(), START).await, 1);
}

pub async fn an_old_live_value_does_not_come_back_with_a_new_epoch<W: World>() {
    let world = W::fresh().await;
    let (knew, other, asker) = (world.process(), world.process(), world.process());
    let grant = grant(&alice(), START);
    knew.write(&alice(), of_grants(&[&grant])).await;
    let live = keys::live(partition(&alice()), alice().key());
    let old = world.get(&live).await.expect("a value");
    knew.write(&alice(), of_grants(&[&revoked(&grant)])).await;
    world.put(&live, old).await;
    assert!(rolled_back(&knew.read(&alice()).await));
    let answers = ask(&asker, &knew, &other).await;
    only_repaired(asker.store.repair(&answers).await.expect("it reads"));
    for process in [&knew, &other] {
        assert_eq!(process.counting(&alice(), START).await, 0);
    }
}

pub async fn forged_and_replayed_answers_are_not_heard<W: World>() {
    let world = W::fresh().await;
    let (knew, asker) = (world.process(), world.process());
    knew.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    // Everything that went over the channel while somebody asked.
    let mut channel = asker.store.backend.announcements();
    let _answers = ask(&asker, &knew, &world.process()).await;
    let mut recorded = Vec::new();
    while let Ok(message) = channel.try_recv() {
        recorded.push(message);
    }
    assert!(recorded.len() >= 3, "a question and two answers");
    // One with another key asks and answers, too.
    let stranger = world.process_with(&[key("k1", 9)]);
    let asking = Asking { wait: Duration::from_millis(200), enough: Some(1) };
    let strange = Question { nonce: [7; 16], at: START };
    let strange = strange.sealed(&Sealer::new(&[key("k1", 9)]).expect("usable")).expect("sealed");
    let attack = async {
        for message in recorded.into_iter().chain([strange, Bytes::new(), Bytes::from_static(b"!")])
        {
            asker.store.backend.announce(message).await.expect("announced");
        }
        std::future::pending::<()>().await;
    };
    let answers = tokio::select! {
        biased;
        ended = stranger.store.answer("stranger") => panic!("it does not end: {ended:?}"),
        answers = asker.store.ask(asking) => answers.expect("a channel"),
        () = attack => panic!("it does not end"),
    };
    assert!(answers.gateways.is_empty() && answers.incomplete.is_empty(), "{answers:?}");
}

pub async fn a_new_base_needs_the_head_that_was_found<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    let found = world.get(&keys::head(place)).await;
    let markers = world.get(&keys::markers(place)).await.expect("markers");
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    let rebase = |found: Option<Bytes>, seq_above| Rebase {
        partition: place,
        found,
        epoch: 2,
        seq_above,
        commit: CommitId(unique()),
        markers: markers.clone(),
    };
    let backend = &process.store.backend;
    assert_eq!(backend.rebase(rebase(found, 9)).await, Ok(None));
    assert_eq!(backend.rebase(rebase(None, 9)).await, Ok(None));
    let found = world.get(&keys::head(place)).await;
    let mut moved = process.store.moved();
    assert_eq!(backend.rebase(rebase(found, 9)).await, Ok(Some(9)));
    assert_eq!(moved.recv().await, Ok(place));
    let head = world.get(&keys::head(place)).await;
    let parsed = parse_head(head.as_ref().expect("a head")).expect("a head");
    assert_eq!((parsed.epoch, parsed.seq), (2, 9));
    assert_eq!(backend.commit_at(place, 9).await, Ok(Some(parsed.id)));
    // Never below what the log has.
    assert_eq!(backend.rebase(rebase(head, 1)).await, Ok(Some(10)));
    assert_eq!(backend.put_meta(Bytes::from_static(b"other")).await, Ok(()));
    assert_ne!(world.get(&keys::meta()).await.as_deref(), Some(&b"other"[..]));
}

pub async fn a_retry_says_confirmed_only_when_its_commit_is_kept<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    process.may_lose_commits();
    let loaded = process.load(&alice()).await;
    assert!(loaded.state.confirms_later);
    let commit = commit_on(&loaded, of_request(&request(&alice(), START)), START);
    process.lose_next_reply();
    assert_eq!(process.store.commit(commit.clone()).await, Err(StoreFault::Deadline));
    process.settles(false);
    let unconfirmed =
        |done| matches!(done, Ok(Committed::Done { durability: Durability::Unconfirmed, .. }));
    assert!(unconfirmed(process.store.commit(commit.clone()).await));
    process.settles(true);
    assert!(!unconfirmed(process.store.commit(commit).await));
    assert_eq!(process.store.settle(Partition(0)).await, Ok(Durability::Confirmed));
}
