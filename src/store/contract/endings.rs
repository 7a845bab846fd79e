//! Which grants count, until when, and what remains of them.

use crate::domain::command::{Timer, Transition};
use crate::domain::grant::{EndedWhy, Grant};
use crate::store::{Committed, LiveReader, Store};

use super::World;
use super::fixtures::*;

/// Timers that are not due yet, and how many of them one commit sets.
const OUTSTANDING: u32 = 10_000;
const AT_ONCE: u32 = 500;

pub async fn a_grant_stops_counting_at_exactly_its_end<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let grant = grant(&alice(), START);
    process.write(&alice(), of_grants(&[&grant])).await;
    assert_eq!(process.counting(&alice(), grant.expires_at.minus(ONE_MS)).await, 1);
    assert_eq!(process.counting(&alice(), grant.expires_at).await, 0);
    // It stays in the value until its timer's commit.
    assert_eq!(process.read(&alice()).await.expect("it reads").grants().count(), 1);
}

pub async fn an_unconfirmed_grant_does_not_count<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let mut grant = grant(&alice(), START);
    grant.confirmed = false;
    process.write(&alice(), of_grants(&[&grant])).await;
    assert_eq!(process.counting(&alice(), START).await, 0);
    grant.confirmed = true;
    process.write(&alice(), of_grants(&[&grant])).await;
    assert_eq!(process.counting(&alice(), START).await, 1);
}

pub async fn a_scheduled_grant_counts_from_its_start<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let mut grant = grant(&alice(), START);
    let start = START.plus(HOUR / 2);
    grant.not_before = Some(start);
    process.write(&alice(), of_grants(&[&grant])).await;
    assert_eq!(process.counting(&alice(), start.minus(ONE_MS)).await, 0);
    assert_eq!(process.counting(&alice(), start).await, 1);
}

pub async fn a_revocation_leaves_a_tombstone_for_a_day<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let (one, two) = (grant(&alice(), START), grant(&alice(), START));
    process.write(&alice(), of_grants(&[&one, &two])).await;
    let revoked = ended(one, EndedWhy::Revoked, START);
    process.write(&alice(), of_grants(&[&revoked])).await;
    let later = START.plus(HOUR);
    process.write(&alice(), of_grants(&[&ended(two, EndedWhy::Expired, later)])).await;

    let tombstones = async |at| {
        world.clock().set(at);
        process.reader.tombstones(alice().key()).await.expect("they read")
    };
    let both = tombstones(later).await;
    assert_eq!(
        both.iter().map(|t| t.why).collect::<Vec<_>>(),
        [EndedWhy::Expired, EndedWhy::Revoked]
    );
    assert_eq!(both[1].grant, revoked.id);
    assert_eq!(&*both[1].tool, TOOL);
    assert_eq!(tombstones(START.plus(24 * HOUR)).await.len(), 1);
    assert!(tombstones(later.plus(24 * HOUR)).await.is_empty());
}

pub async fn ending_one_grant_leaves_the_others<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let (one, two) = (grant(&alice(), START), grant(&alice(), START));
    process.write(&alice(), of_grants(&[&one, &two])).await;
    let released = ended(one, EndedWhy::Released, START);
    process.write(&alice(), of_grants(&[&released])).await;
    let view = process.read(&alice()).await.expect("it reads");
    assert_eq!(view.counting(TOOL, START).map(|grant| grant.id).collect::<Vec<_>>(), [two.id]);
    let state = process.load(&alice()).await.state;
    assert_eq!(state.grants.keys().copied().collect::<Vec<_>>(), [two.id]);
    // A process that starts now sees the same.
    assert_eq!(world.process().counting(&alice(), START).await, 1);
}

pub async fn a_subject_holds_at_most_sixty_four_grants<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let grants: Vec<Grant> = (0..64).map(|_| grant(&alice(), START)).collect();
    process.write(&alice(), of_grants(&grants.iter().collect::<Vec<_>>())).await;
    assert_eq!(process.counting(&alice(), START).await, 64);
    let one_more = grant(&alice(), START);
    let loaded = process.load(&alice()).await;
    let committed = process.store.commit(commit_on(&loaded, of_grants(&[&one_more]), START)).await;
    assert!(invalid(&committed), "{committed:?}");
    assert_eq!(process.counting(&alice(), START).await, 64);
}

pub async fn grants_past_their_end_make_room<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let grants: Vec<Grant> = (0..64).map(|_| grant(&alice(), START)).collect();
    process.write(&alice(), of_grants(&grants.iter().collect::<Vec<_>>())).await;
    let later = START.plus(HOUR);
    let one_more = grant(&alice(), later);
    let loaded = process.load(&alice()).await;
    let committed = process.store.commit(commit_on(&loaded, of_grants(&[&one_more]), later)).await;
    assert!(matches!(committed, Ok(Committed::Done { .. })), "{committed:?}");
    assert_eq!(process.counting(&alice(), later).await, 1);
}

pub async fn a_timer_is_due_once_and_gone_when_it_fired<W: World>() {
    let world = W::fresh().await;
    let (process, other) = (world.process(), world.process());
    let grant = grant(&alice(), START);
    let timer = Timer::ExpireGrant(grant.id);
    let mut transition = of_grants(&[&grant]);
    transition.timers = set_timer(timer, grant.expires_at).timers;
    process.write(&alice(), transition).await;
    let due = async |now| process.due(now, None, 10).await.timers;
    assert!(due(grant.expires_at.minus(ONE_MS)).await.is_empty());
    let found = due(grant.expires_at).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].timer, &found[0].subject), (timer, &alice()));

    // Two processes fire it at once: one commit takes effect.
    let expired = ended(grant, EndedWhy::Expired, START.plus(HOUR));
    let mut effects = Vec::new();
    let (mine, theirs) = (process.load(&alice()).await, other.load(&alice()).await);
    for (process, loaded) in [(&process, mine), (&other, theirs)] {
        let mut commit = commit_on(&loaded, of_grants(&[&expired]), expired.expires_at);
        commit.fired = Some(timer);
        effects.push(process.store.commit(commit).await.expect("answered"));
    }
    assert!(matches!(effects[0], Committed::Done { .. }));
    assert_eq!(effects[1], Committed::VersionConflict);
    assert!(due(START.plus(HOUR * 10)).await.is_empty());
}

pub async fn a_timer_set_again_moves<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let timer = Timer::TimeOutRequest(request(&alice(), START).id);
    process.write(&alice(), set_timer(timer, START)).await;
    process.write(&alice(), set_timer(timer, START.plus(HOUR))).await;
    let due = async |now| process.due(now, None, 10).await.timers.len();
    assert_eq!(due(START).await, 0);
    assert_eq!(due(START.plus(HOUR)).await, 1);
    // Fired and set again by its own effect: it stays.
    let mut commit =
        commit_on(&process.load(&alice()).await, set_timer(timer, START.plus(HOUR * 2)), START);
    commit.fired = Some(timer);
    process.store.commit(commit).await.expect("committed");
    assert_eq!(due(START.plus(HOUR * 2)).await, 1);
    process.write(&alice(), removed(timer)).await;
    assert_eq!(due(START.plus(HOUR * 9)).await, 0);
}

pub async fn a_look_for_due_timers_reads_only_what_is_due<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let timer = || Timer::TimeOutRequest(request(&alice(), START).id);
    for _ in 0..OUTSTANDING / AT_ONCE {
        let later = (0..AT_ONCE).map(|n| set_timer(timer(), START.plus(HOUR + ONE_MS * n)));
        let mut all = Transition::default();
        later.for_each(|one| all.append(one));
        process.write(&alice(), all).await;
    }
    let just_before = START.plus(HOUR).minus(ONE_MS);
    let (due, read) = process.reads(process.due(just_before, None, 256)).await;
    assert_eq!((due.timers.len(), read), (0, 0));
    for n in 0..3 {
        process.write(&alice(), set_timer(timer(), START.plus(ONE_MS * n))).await;
    }
    let (due, read) = process.reads(process.due(just_before, None, 256)).await;
    assert_eq!((due.timers.len(), due.next.is_some()), (3, false));
    assert_eq!(read, 6, "each has a place in the set and a record");
    // With everything due a page is a page, wherever it begins.
    let end = START.plus(HOUR * 2);
    let (first, read) = process.reads(process.due(end, None, 4)).await;
    assert_eq!((first.timers.len(), read), (4, 8));
    let (second, read) = process.reads(process.due(end, first.next, 4)).await;
    assert_eq!((second.timers.len(), read), (4, 8));
}

fn removed(timer: Timer) -> Transition {
    let timers = vec![crate::domain::command::TimerChange::Remove { timer }];
    Transition { timers, ..Transition::default() }
}

pub async fn until_when_a_subject_is_supervised_is_kept_with_it<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let until = Some(START.plus(HOUR));
    assert_eq!(process.load(&alice()).await.state.supervised_until, None);
    let held = Transition { supervised_until: until, ..Transition::default() };
    process.write(&alice(), held).await;
    // By every process, whatever is committed later, and after all of them stopped.
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    assert_eq!(world.process().load(&alice()).await.state.supervised_until, until);
    drop(process);
    let world = world.reopened().await;
    let other = world.process();
    assert_eq!(other.load(&alice()).await.state.supervised_until, until);
    let later =
        Transition { supervised_until: Some(START.plus(HOUR * 2)), ..Transition::default() };
    other.write(&alice(), later).await;
    assert_eq!(other.load(&alice()).await.state.supervised_until, Some(START.plus(HOUR * 2)));
}
