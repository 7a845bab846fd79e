//! Retention: what goes, and what never does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::domain::command::Transition;
use crate::domain::course::{Review, Reviewed, Way};
use crate::domain::grant::{EndedWhy, Grant};
use crate::domain::ids::CommitId;
use crate::domain::request::{Request, RequestStatus};
use crate::domain::time::Timestamp;
use crate::store::backend::{Backend, Expect, KEPT_ENTRIES, Outcome, WriteSet};
use crate::store::record::parse_head;
use crate::store::{
    Committed, ListQuery, Load, Retained, Retention, Store, StoreFault, StoredEvent, keys,
};

use super::fixtures::*;
use super::lists::query;
use super::{Process, World};

const DAY: Duration = Duration::from_secs(86_400);
/// Later than everything that these tests call old.
const LONG_AFTER: Timestamp = Timestamp::from_millis(START.millis() + 200 * 86_400_000);
/// How many commits without events are under way at once.
const AT_ONCE: usize = 32;

impl<W: World> Process<W> {
    async fn write_at(&self, transition: Transition, at: Timestamp) {
        let loaded = self.load(&alice()).await;
        let committed = self.store.commit(commit_on(&loaded, transition, at)).await;
        assert!(matches!(committed, Ok(Committed::Done { .. })), "{committed:?}");
    }

    /// One commit with one event of that time.
    async fn happened(&self, at: Timestamp) {
        let events = vec![activated(&grant(&alice(), at))];
        self.write_at(Transition { events, ..Transition::default() }, at).await;
    }

    /// Everything that retention does to alice's partition.
    async fn retain(&self, before: Timestamp, delivered: u64) -> Result<Retained, StoreFault> {
        let (mut all, mut from) = (Retained::default(), None);
        loop {
            let retention = Retention { before, delivered, from };
            let page = self.store.retain(partition(&alice()), retention).await?;
            all.entries += page.entries;
            all.grants += page.grants;
            all.requests += page.requests;
            all.broken.extend(page.broken);
            from = page.next;
            if from.is_none() {
                return Ok(all);
            }
        }
    }

    async fn events(&self) -> Vec<StoredEvent> {
        self.store.read_events(partition(&alice()), 0, 10_000).await.expect("events")
    }
}

/// Commits without events, as a kill makes them: as many as every log keeps.
async fn fill<W: World>(world: &W) {
    let (backend, place) = (Arc::new(world.backend()), partition(&alice()));
    let head = world.get(&keys::head(place)).await.expect("a head");
    let head = parse_head(&head).expect("a head");
    let filler = move || WriteSet {
        partition: place,
        commit: CommitId(unique()),
        expect: Expect { head, generation: 0, version: None },
        new_version: 0,
        remember_until: START,
        only_ends: false,
        puts: Vec::new(),
        deletes: Vec::new(),
        sets: Vec::new(),
        events: Vec::new(),
    };
    let mut under_way = JoinSet::new();
    for _ in 0..KEPT_ENTRIES {
        if under_way.len() >= AT_ONCE {
            check(under_way.join_next().await);
        }
        let backend = backend.clone();
        under_way.spawn(async move { backend.commit(filler()).await });
    }
    while let Some(done) = under_way.join_next().await {
        check(Some(done));
    }
}

fn check(done: Option<Result<Result<Outcome, StoreFault>, tokio::task::JoinError>>) {
    let done = done.expect("one was under way").expect("no panic");
    assert!(matches!(done, Ok(Outcome::Done { .. })), "{done:?}");
}

/// The sequence numbers that the log has.
async fn log<W: World>(world: &W) -> Vec<u64> {
    let entries = world.backend().log(partition(&alice()), 0, 10_000).await.expect("a log");
    entries.iter().map(|entry| entry.seq).collect()
}

pub async fn the_log_loses_what_is_old_and_taken_by_every_sink<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    for _ in 0..4 {
        process.happened(START).await;
    }
    process.happened(START.plus(10 * DAY)).await;
    fill(&world).await;
    let before = START.plus(DAY);
    let done = process.retain(before, 3).await.expect("it answers");
    assert_eq!((done.entries, log(&world).await[0]), (3, 4), "nobody has taken more");
    let done = process.retain(before, u64::MAX).await.expect("it answers");
    assert_eq!((done.entries, log(&world).await[0]), (2, 6), "the rest is young");
    let done = process.retain(before, u64::MAX).await.expect("it answers");
    assert!(done.is_nothing() && done.broken.is_empty(), "{done:?}");
    // A sink that is configured now begins with what there is.
    let left = process.events().await;
    assert_eq!(left.iter().map(|event| event.seq).collect::<Vec<_>>(), [6]);
    // So does whoever had come to a place that is gone.
    let rest = process.store.read_events(partition(&alice()), 2, 10).await.expect("events");
    assert_eq!(rest.iter().map(|event| event.seq).collect::<Vec<_>>(), [6]);
}

pub async fn the_newest_entries_stay_however_old_they_are<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    for _ in 0..3 {
        process.happened(START).await;
    }
    let done = process.retain(LONG_AFTER, u64::MAX).await.expect("it answers");
    assert!(done.is_nothing());
    assert_eq!(log(&world).await, [1, 2, 3, 4]);
    fill(&world).await;
    world.backend().trim(partition(&alice()), u64::MAX).await.expect("trimmed");
    let kept = log(&world).await;
    assert_eq!((kept[0], kept.len()), (5, usize::try_from(KEPT_ENTRIES).expect("few")));
}

pub async fn a_trim_is_no_roll_back_and_hides_none<W: World>() {
    let world = W::fresh().await;
    let (process, other) = (world.process(), world.process());
    process.happened(START).await;
    process.happened(START).await;
    fill(&world).await;
    let place = partition(&alice());
    assert!(other.read(&alice()).await.is_ok());
    let old = world.get(&keys::head(place)).await.expect("a head");
    process.happened(START).await;
    let done = process.retain(LONG_AFTER, u64::MAX).await.expect("it answers");
    assert!(done.entries > 0);
    // One is a commit behind, the other knows the newest.
    assert!(other.read(&alice()).await.is_ok());
    assert!(process.read(&alice()).await.is_ok());
    world.put(&keys::head(place), old).await;
    assert!(rolled_back(&other.read(&alice()).await));
    assert!(rolled_back(&process.retain(LONG_AFTER, u64::MAX).await), "it is left as it is");
}

pub async fn trimming_never_takes_what_is_young_or_undelivered<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let mut drawn = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move |below: u64| {
        drawn ^= drawn << 13;
        drawn ^= drawn >> 7;
        drawn ^= drawn << 17;
        drawn % below
    };
    // Clocks of gateways differ a little: the times are not quite in order.
    let mut recorded = BTreeMap::new();
    for seq in 2..40_u64 {
        let at = START.plus(DAY * u32::try_from(seq + draw(6)).expect("small"));
        if draw(4) == 0 {
            process.write_at(Transition::default(), at).await;
        } else {
            process.happened(at).await;
            recorded.insert(seq, at);
        }
    }
    fill(&world).await;
    let (mut gone_before, mut delivered, mut day) = (0, 0, 0);
    while day < 60 {
        delivered += draw(8);
        day += u32::try_from(draw(8)).expect("small");
        let before = START.plus(DAY * day);
        process.retain(before, delivered).await.expect("it answers");
        let first = log(&world).await[0];
        let gone = recorded.range(..first);
        for (seq, at) in gone.clone() {
            assert!(*seq <= delivered && *at < before, "{seq} of {at:?} before {before:?}");
        }
        let may_go = recorded.iter().take_while(|(seq, at)| **seq <= delivered && **at < before);
        assert_eq!(gone.count().max(gone_before), may_go.count().max(gone_before));
        gone_before = recorded.range(..first).count();
    }
    assert!(gone_before > 10, "{gone_before}");
}

pub async fn an_edited_entry_does_not_keep_the_log_for_ever<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    for _ in 0..3 {
        process.happened(START).await;
    }
    fill(&world).await;
    process.spoil_events(|events| {
        // The first one only: its seal does not fit any more.
        if let Some(event) = events.first_mut().filter(|_| spoils_first()) {
            *event = vec![0; event.len()].into();
        }
    });
    let done = process.retain(LONG_AFTER, u64::MAX).await.expect("it answers");
    assert_eq!((done.entries, done.broken.len()), (4, 1), "{done:?}");
    assert_eq!(log(&world).await[0], 5);
}

/// `true` the first time that this thread asks.
fn spoils_first() -> bool {
    thread_local!(static SPOILT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
    !SPOILT.replace(true)
}

fn cancelled(mut request: Request, at: Timestamp) -> Request {
    request.status = RequestStatus::Cancelled { at, by: "alice".into(), reason: String::new() };
    request
}

fn of(requests: &[&Request], grants: &[&Grant]) -> Transition {
    let requests = requests.iter().copied().cloned().collect();
    Transition { requests, ..of_grants(grants) }
}

async fn listed<W: World>(process: &Process<W>) -> (usize, usize) {
    let mut counts = Vec::new();
    for subject in [None, Some(alice())] {
        let query = super::lists::query();
        let query = crate::store::ListQuery { subject, now: LONG_AFTER, ..query };
        let requests = process.store.list_requests(&query).await.expect("a page").items.len();
        let grants = process.store.list_grants(&query).await.expect("a page").items.len();
        counts.push((requests, grants));
    }
    assert_eq!(counts[0], counts[1], "both kinds of sets say the same");
    counts[0]
}

pub async fn what_is_over_for_long_is_forgotten_and_nothing_else<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let (pending, over) = (request(&alice(), START), request(&alice(), START));
    let (open, gone) = (grant(&alice(), START), grant(&alice(), START));
    let lately = request(&alice(), START);
    process.write(&alice(), of(&[&pending, &over, &lately], &[&open, &gone])).await;
    let over = cancelled(over, START.plus(HOUR));
    let lately = cancelled(lately, START.plus(10 * DAY));
    let gone = ended(gone, EndedWhy::Revoked, START.plus(ONE_MS));
    process.write(&alice(), of(&[&over, &lately], &[&gone])).await;
    let version = process.load(&alice()).await.state.version;

    // The revoked grant was to last until then: it is over when its own end has passed, too.
    let done = process.retain(START.plus(HOUR), u64::MAX).await.expect("it answers");
    assert_eq!((done.requests, done.grants), (0, 0));
    let done = process.retain(START.plus(HOUR).plus(ONE_MS), u64::MAX).await.expect("it answers");
    assert_eq!((done.requests, done.grants), (1, 1), "{done:?}");
    assert_eq!(process.store.request(over.id).await, Ok(None));
    assert_eq!(process.store.grant(gone.id).await, Ok(None));
    assert_eq!(listed(&process).await, (2, 1));

    // Long after, what is open is there still, and so is the subject.
    let done = process.retain(LONG_AFTER, u64::MAX).await.expect("it answers");
    assert_eq!((done.requests, done.grants), (1, 0));
    let state = process.load(&alice()).await.state;
    assert_eq!(state.requests.keys().copied().collect::<Vec<_>>(), [pending.id]);
    assert_eq!(state.grants.keys().copied().collect::<Vec<_>>(), [open.id]);
    assert_eq!(state.version, version);
    assert_eq!(listed(&process).await, (1, 1));
    let subject = alice();
    let named = Load { request: Some(over.id), grant: Some(gone.id), ..load_of(&subject) };
    assert_eq!(process.store.load(named).await.expect("it loads").state.requests.len(), 1);
}

pub async fn a_request_that_owes_a_review_is_never_forgotten<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let owed = Review { due_at: START.plus(HOUR), reviewed: None, overdue: true };
    let mut asked = request(&alice(), START);
    asked.status = RequestStatus::Approved { at: START, grants: Vec::new() };
    asked.course.way = Way::BreakGlass { review: owed.clone() };
    process.write(&alice(), of(&[&asked], &[])).await;
    let done = process.retain(LONG_AFTER, u64::MAX).await.expect("it answers");
    assert_eq!((done.requests, done.broken.len()), (0, 0), "{done:?}");
    // It is loaded with its subject, and no pending one.
    let state = process.load(&alice()).await.state;
    assert_eq!(state.requests.get(&asked.id), Some(&asked));
    let status = |status: &str| ListQuery { status: Some(status.to_owned()), ..query() };
    let pending = status("pending");
    assert_eq!(process.store.list_requests(&pending).await.expect("a page").items, []);
    let approved = status("approved");
    assert_eq!(process.store.list_requests(&approved).await.expect("a page").items.len(), 1);

    let (by, at) = (person(&alice()), START.plus(HOUR));
    let reviewed = Some(Reviewed { by, at, comment: String::new() });
    asked.course.way = Way::BreakGlass { review: Review { reviewed, ..owed } };
    process.write(&alice(), of(&[&asked], &[])).await;
    assert!(process.load(&alice()).await.state.requests.is_empty());
    let done = process.retain(LONG_AFTER, u64::MAX).await.expect("it answers");
    assert_eq!((done.requests, done.broken.len()), (1, 0), "{done:?}");
}

pub async fn a_request_stays_as_long_as_its_grants<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let mut asked = request(&alice(), START);
    let granted = grant(&alice(), START);
    asked.status = RequestStatus::Approved { at: START, grants: vec![granted.id] };
    process.write(&alice(), of(&[&asked], &[&granted])).await;
    let done = process.retain(LONG_AFTER, u64::MAX).await.expect("it answers");
    assert_eq!((done.requests, done.grants), (0, 0), "the grant was never marked as ended");
    let over = ended(granted, EndedWhy::Expired, START.plus(HOUR));
    process.write(&alice(), of_grants(&[&over])).await;
    let done = process.retain(LONG_AFTER, u64::MAX).await.expect("it answers");
    assert_eq!((done.requests, done.grants), (1, 1));
    assert_eq!(listed(&process).await, (0, 0));
}

pub async fn an_edited_record_is_not_forgotten_and_holds_up_nothing<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let (one, two) = (grant(&alice(), START), grant(&alice(), START));
    process.write(&alice(), of_grants(&[&one, &two])).await;
    let over = |grant: &Grant| ended(grant.clone(), EndedWhy::Revoked, START);
    process.write(&alice(), of_grants(&[&over(&one), &over(&two)])).await;
    let key = keys::grant(one.id);
    let value = world.get(&key).await.expect("a record");
    let mut edited = value.to_vec();
    *edited.last_mut().expect("bytes") ^= 1;
    world.put(&key, edited.into()).await;
    let done = process.retain(LONG_AFTER, u64::MAX).await.expect("it answers");
    assert_eq!((done.grants, done.broken.len()), (1, 1), "{done:?}");
    assert!(world.get(&key).await.is_some());
    assert_eq!(process.store.grant(two.id).await, Ok(None));
}

pub async fn more_than_a_page_is_forgotten_page_by_page<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let open = grant(&alice(), START);
    let over: Vec<Grant> =
        (0..150).map(|_| ended(grant(&alice(), START), EndedWhy::Released, START)).collect();
    let over: Vec<&Grant> = over.iter().collect();
    process.write(&alice(), of_grants(&over)).await;
    process.write(&alice(), of_grants(&[&open])).await;
    let done = process.retain(LONG_AFTER, u64::MAX).await.expect("it answers");
    assert_eq!(done.grants, 150);
    assert_eq!(listed(&process).await, (0, 1));
}
