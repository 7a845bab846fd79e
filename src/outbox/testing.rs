//! What the outbox's tests share: events, records, a sink that can be told how to behave, and a
//! store of events in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use smallvec::SmallVec;
use tokio::sync::{Notify, broadcast};

use super::sink::{Delivered, Lines, Promise, Sink, SinkFault};
use crate::cloudevents::{CloudEvent, sequence};
use crate::domain::event::{Event, EventKind, Resource, Snapshot};
use crate::domain::grant::Grant;
use crate::domain::ids::{CommitId, GrantId, Partition, PartitionCount, RequestId};
use crate::domain::made::{MadeTemplates, MadeVersion};
use crate::domain::markers::Markers;
use crate::domain::request::Request;
use crate::domain::subject::{Actor, Subject, SubjectKey};
use crate::domain::time::Timestamp;
use crate::domain::uses::Use;
use crate::store::{
    Answer, Commit, Committed, Cursor, DeadLetters, DuePlace, DueTimers, KillOrder, Killed,
    KilledPlace, LetterChange, LettersChanged, ListQuery, Load, Loaded, Page, RetainPlace,
    Retained, Retention, Store, StoreFault, StoredEvent,
};
use crate::telemetry::decision::DecisionRecord;

pub const SOURCE: &str = "/tidegate/test";

pub fn record(id: &(impl ToString + ?Sized)) -> Arc<DecisionRecord> {
    Arc::new(DecisionRecord {
        id: id.to_string().into(),
        at: Timestamp::from_millis(1_000),
        allowed: true,
        reason: "allowed",
        detail: "".into(),
        tool: Some("notes".into()),
        method: "GET".into(),
        host: "notes.localhost".into(),
        target: "/".into(),
        upstream_path: None,
        subject: Some("alice".into()),
        issuer: Some("https://idp".into()),
        key: Some(SubjectKey::new("https://idp", "alice")),
        route: None,
        grants: SmallVec::new(),
        action: None,
        resource: None,
        object_id: None,
        scope: None,
        attributes: None,
        roles: SmallVec::new(),
        evaluated_policies: SmallVec::new(),
        rule: None,
        policy_scope: None,
        derived_roles: Vec::new(),
        default_effect: "deny",
        trace: None,
    })
}

/// Events whose ids are the numbers of `range`.
pub fn events(range: Range<u32>) -> Lines {
    let events: Vec<_> = range.map(|id| CloudEvent::of_decision(&record(&id), SOURCE)).collect();
    Lines::of(&events).expect("serialises")
}

fn read(lines: &Lines) -> impl Iterator<Item = CloudEvent> {
    let text = std::str::from_utf8(lines.as_ref()).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("an event"))
}

pub fn ids_in(path: &Path) -> Vec<String> {
    ids_of(&std::fs::read_to_string(path).unwrap_or_default())
}

/// The ids of the lines that are JSON; torn ones are skipped, as a reader has to.
pub fn ids_of(lines: &str) -> Vec<String> {
    let values = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    values.map(|value| value["id"].as_str().expect("an id").to_owned()).collect()
}

/// Waits until `condition` holds; fails the test after ten seconds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never came true: {what}");
}

/// A sink that remembers what it took. While `broken` it fails after it took the batch (as a sink
/// that crashes before it answers); while `hung` it does not answer.
#[derive(Clone, Default)]
pub struct Recorder(pub Arc<Mutex<RecorderState>>, Arc<Notify>);

#[derive(Default)]
pub struct RecorderState {
    pub taken: Vec<CloudEvent>,
    pub broken: bool,
    pub hung: bool,
    pub tries: usize,
}

impl Recorder {
    pub fn set(&self, change: impl FnOnce(&mut RecorderState)) {
        change(&mut self.0.lock().expect("no panic"));
        self.1.notify_waiters();
    }

    pub fn ids(&self) -> Vec<String> {
        self.0.lock().expect("no panic").taken.iter().map(|event| event.id.clone()).collect()
    }

    pub fn taken(&self) -> usize {
        self.0.lock().expect("no panic").taken.len()
    }

    pub fn tries(&self) -> usize {
        self.0.lock().expect("no panic").tries
    }
}

impl Sink for Recorder {
    fn deliver(&mut self, lines: Lines, _promise: Promise) -> Delivered<'_> {
        Box::pin(async move {
            self.set(|state| state.tries += 1);
            loop {
                let change = self.1.notified();
                if !self.0.lock().expect("no panic").hung {
                    break;
                }
                let _ = tokio::time::timeout(Duration::from_millis(5), change).await;
            }
            let mut state = self.0.lock().expect("no panic");
            state.taken.extend(read(&lines));
            if state.broken { Err(SinkFault::Stopped) } else { Ok(()) }
        })
    }
}

/// Only what the outbox asks of a store.
pub struct EventStore {
    events: Mutex<Vec<StoredEvent>>,
    cursors: Mutex<BTreeMap<(String, Partition), u64>>,
    /// A partition that cannot be read.
    pub unreadable: Mutex<Option<Partition>>,
    /// Whether cursors cannot be written and lists cannot be read.
    pub read_only: Mutex<bool>,
    /// Partitions that another process delivers.
    pub elsewhere: Mutex<BTreeSet<Partition>>,
    /// How often somebody asked for one of them.
    pub refused_claims: AtomicUsize,
    /// In the order of their ids.
    pub grants: Mutex<Vec<Grant>>,
    /// What was asked to go.
    pub retained: Mutex<Vec<(Partition, Retention)>>,
    /// A partition where more may go after every page.
    pub endless: Mutex<Option<Partition>>,
    letters: Mutex<BTreeMap<(String, Partition), DeadLetters>>,
    moved: broadcast::Sender<Partition>,
}

impl EventStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::default(),
            cursors: Mutex::default(),
            unreadable: Mutex::default(),
            read_only: Mutex::default(),
            elsewhere: Mutex::default(),
            refused_claims: AtomicUsize::default(),
            grants: Mutex::default(),
            retained: Mutex::default(),
            endless: Mutex::default(),
            letters: Mutex::default(),
            moved: broadcast::channel(4).0,
        })
    }

    /// Commits `count` events to a partition, two of them in each commit.
    pub fn append(&self, partition: u16, count: u64) {
        let partition = Partition(partition);
        let mut events = self.events.lock().expect("no panic");
        let done = events.iter().filter(|event| event.partition == partition).count();
        for number in u64::try_from(done).expect("few")..u64::try_from(done).expect("few") + count {
            events.push(stored(partition, number / 2 + 1, u16::try_from(number % 2).expect("0/1")));
        }
        let _ = self.moved.send(partition);
    }

    pub fn set_cursor_of(&self, sink: &str, partition: u16, seq: u64) {
        let mut cursors = self.cursors.lock().expect("no panic");
        cursors.insert((sink.to_owned(), Partition(partition)), seq);
    }

    /// Takes away what a partition has up to and with `seq`.
    pub fn trim(&self, partition: u16, seq: u64) {
        let mut events = self.events.lock().expect("no panic");
        events.retain(|event| event.partition.0 != partition || event.seq > seq);
    }

    pub fn cursor_of(&self, sink: &str, partition: u16) -> u64 {
        let key = (sink.to_owned(), Partition(partition));
        self.cursors.lock().expect("no panic").get(&key).copied().unwrap_or(0)
    }

    pub fn count(&self) -> usize {
        self.events.lock().expect("no panic").len()
    }
}

fn stored(partition: Partition, seq: u64, index: u16) -> StoredEvent {
    let resource = Resource::Request(RequestId { partition, random: [1; 16] });
    let after = Snapshot::Grant {
        status: "active".into(),
        access: "notes:viewer".into(),
        template: "reader".into(),
        expires_at: Timestamp::from_millis(1),
        approvers: vec![],
    };
    let mut commit = [0; 16];
    commit[..2].copy_from_slice(&partition.0.to_be_bytes());
    commit[8..].copy_from_slice(&seq.to_be_bytes());
    StoredEvent {
        partition,
        seq,
        index,
        commit: CommitId(commit),
        subject: Subject::new("https://idp", "alice"),
        traceparent: None,
        event: Event {
            kind: EventKind::RequestSubmitted,
            resource,
            correlation: None,
            actor: Actor::System,
            at: Timestamp::from_millis(1_000),
            reason: None,
            before: None,
            after,
            notify: Vec::new(),
        },
    }
}

/// The sequences that `partition` must arrive with, in order.
pub fn sequences(count: u64) -> Vec<String> {
    (0..count)
        .map(|number| sequence(number / 2 + 1, u16::try_from(number % 2).expect("0/1")))
        .collect()
}

fn unused<'a, T>() -> Answer<'a, T> {
    Box::pin(async { Err(StoreFault::Unreachable("not asked by the outbox".into())) })
}

impl Store for EventStore {
    fn partitions(&self) -> PartitionCount {
        PartitionCount::new(4).expect("4")
    }

    fn read_events(
        &self,
        partition: Partition,
        after: u64,
        limit: usize,
    ) -> Answer<'_, Vec<StoredEvent>> {
        Box::pin(async move {
            if *self.unreadable.lock().expect("no panic") == Some(partition) {
                return Err(StoreFault::RolledBack(partition));
            }
            let events = self.events.lock().expect("no panic");
            let mut of_partition =
                events.iter().filter(|e| e.partition == partition && e.seq > after).peekable();
            let first = of_partition.peek().map_or(after, |first| first.seq - 1);
            let last = first + u64::try_from(limit.min(3)).expect("small");
            Ok(of_partition.take_while(|e| e.seq <= last).cloned().collect())
        })
    }

    fn cursor<'a>(&'a self, sink: &'a str, partition: Partition) -> Answer<'a, u64> {
        Box::pin(async move { Ok(self.cursor_of(sink, partition.0)) })
    }

    fn claim<'a>(&'a self, _sink: &'a str, partition: Partition) -> Answer<'a, bool> {
        Box::pin(async move {
            let is_elsewhere = self.elsewhere.lock().expect("no panic").contains(&partition);
            self.refused_claims.fetch_add(usize::from(is_elsewhere), Ordering::SeqCst);
            Ok(!is_elsewhere)
        })
    }

    fn set_cursor<'a>(&'a self, sink: &'a str, partition: Partition, seq: u64) -> Answer<'a, bool> {
        Box::pin(async move {
            if *self.read_only.lock().expect("no panic") {
                return Err(StoreFault::Deadline);
            }
            if self.elsewhere.lock().expect("no panic").contains(&partition) {
                return Ok(false);
            }
            self.cursors.lock().expect("no panic").insert((sink.to_owned(), partition), seq);
            Ok(true)
        })
    }

    fn retain(&self, partition: Partition, retention: Retention) -> Answer<'_, Retained> {
        Box::pin(async move {
            self.retained.lock().expect("no panic").push((partition, retention));
            if *self.unreadable.lock().expect("no panic") == Some(partition) {
                return Err(StoreFault::RolledBack(partition));
            }
            let after = match retention.from {
                Some(RetainPlace::Log { after }) => after,
                _ => 0,
            };
            let endless = *self.endless.lock().expect("no panic") == Some(partition);
            let next = endless.then_some(RetainPlace::Log { after: after + 1 });
            Ok(Retained { next, ..Retained::default() })
        })
    }

    fn moved(&self) -> broadcast::Receiver<Partition> {
        self.moved.subscribe()
    }

    fn load<'a>(&'a self, _load: Load<'a>) -> Answer<'a, Loaded> {
        unused()
    }
    fn commit(&self, _commit: Commit) -> Answer<'_, Committed> {
        unused()
    }
    fn request(&self, _id: RequestId) -> Answer<'_, Option<Request>> {
        unused()
    }
    fn grant(&self, _id: GrantId) -> Answer<'_, Option<Grant>> {
        unused()
    }
    fn list_requests<'a>(&'a self, _query: &'a ListQuery) -> Answer<'a, Page<Request>> {
        unused()
    }
    fn list_grants<'a>(&'a self, query: &'a ListQuery) -> Answer<'a, Page<Grant>> {
        Box::pin(async move {
            if *self.read_only.lock().expect("no panic") {
                return Err(StoreFault::Deadline);
            }
            let after = query.cursor.map(|cursor| cursor.id);
            let grants = self.grants.lock().expect("no panic");
            let rest = grants.iter().filter(|g| after.is_none_or(|after| g.id.random > after));
            let items: Vec<Grant> = rest.take(query.limit).cloned().collect();
            let next = items.last().filter(|_| items.len() == query.limit);
            let next = next.map(|last| Cursor { at: last.granted_at, id: last.id.random });
            Ok(Page { items, next })
        })
    }
    fn markers(&self, _partition: Partition) -> Answer<'_, Arc<Markers>> {
        unused()
    }
    fn kill(
        &self,
        _partition: Partition,
        _kill: KillOrder,
    ) -> Answer<'_, crate::store::Durability> {
        unused()
    }
    fn due_timers(
        &self,
        _partition: Partition,
        _now: Timestamp,
        _after: Option<DuePlace>,
        _limit: usize,
    ) -> Answer<'_, DueTimers> {
        unused()
    }
    fn killed(&self, _partition: Partition, _from: Option<KilledPlace>) -> Answer<'_, Killed> {
        unused()
    }
    fn templates(&self, _known: Option<MadeVersion>) -> Answer<'_, Option<MadeTemplates>> {
        unused()
    }
    fn add_uses<'a>(&'a self, _: Partition, _: &'a [(GrantId, Use)]) -> Answer<'a, ()> {
        unused()
    }
    fn uses<'a>(&'a self, _: Partition, _: &'a [GrantId]) -> Answer<'a, BTreeMap<GrantId, Use>> {
        unused()
    }
    fn draw<'a>(&'a self, _name: &'a str) -> Answer<'a, u64> {
        unused()
    }
    fn can_lose_commits(&self) -> bool {
        unreachable!("the outbox commits nothing")
    }
    fn settle(&self, _partition: Partition) -> Answer<'_, crate::store::Durability> {
        unreachable!("the outbox commits nothing")
    }
    fn probe(&self) -> Answer<'_, ()> {
        unused()
    }
    fn dead_letters<'a>(&'a self, sink: &'a str, partition: Partition) -> Answer<'a, DeadLetters> {
        let key = (sink.to_owned(), partition);
        let letters = self.letters.lock().expect("no panic").get(&key).cloned();
        Box::pin(async move { Ok(letters.unwrap_or_default()) })
    }
    fn change_dead_letters<'a>(
        &'a self,
        sink: &'a str,
        partition: Partition,
        change: LetterChange,
    ) -> Answer<'a, LettersChanged> {
        Box::pin(async move {
            if *self.read_only.lock().expect("no panic") {
                return Err(StoreFault::Deadline);
            }
            let mut letters = self.letters.lock().expect("no panic");
            Ok(letters.entry((sink.to_owned(), partition)).or_default().change(&change))
        })
    }
}
