//! Subjects, requests and grants to commit, and the shortest ways to do so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::command::{Timer, TimerChange, Transition};
use crate::domain::event::{Event, EventKind, Resource, Snapshot};
use crate::domain::grant::{Ended, EndedWhy, Grant};
use crate::domain::ids::{CommitId, GrantId, Partition, RequestId};
use crate::domain::markers::Generation;
use crate::domain::request::{Request, RequestStatus};
use crate::domain::subject::{Actor, Person, Subject};
use crate::domain::template::{Approvers, Requesters, Step, Template};
use crate::domain::time::Timestamp;
use crate::store::{
    Commit, Committed, DuePlace, DueTimers, LiveReader, LiveView, Load, Loaded, Store, StoreFault,
};

use super::{PARTITIONS, Process, World};

pub const TOOL: &str = "warehouse";
pub const START: Timestamp = Timestamp::from_millis(1_795_339_800_000);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const ONE_MS: Duration = Duration::from_millis(1);

static DRAWN: AtomicU64 = AtomicU64::new(1);

/// Sixteen bytes that no other call gives.
pub fn unique() -> [u8; 16] {
    u128::from(DRAWN.fetch_add(1, Ordering::SeqCst)).to_be_bytes()
}

pub fn alice() -> Subject {
    Subject::new("https://idp.example.com", "alice")
}

pub fn partition(subject: &Subject) -> Partition {
    subject.key().partition(PARTITIONS)
}

pub fn person(subject: &Subject) -> Person {
    Person::named(subject.clone())
}

pub fn template() -> Template {
    Template {
        name: "warehouse-operator".into(),
        title: "Operate the warehouse".into(),
        enabled: true,
        scopes: Vec::new(),
        accesses: vec!["warehouse:operator".parse().expect("an access")],
        durations: vec![HOUR],
        default_duration: HOUR,
        pending_for: HOUR,
        requesters: Requesters::Anyone,
        require_justification: false,
        justification: None,
        fields: Vec::new(),
        steps: vec![Step { approvers: Approvers::Anyone, required: 1 }],
        self_approval: false,
        rules: crate::domain::rules::Rules::default(),
        made: None,
    }
}

pub fn request(subject: &Subject, at: Timestamp) -> Request {
    Request {
        id: RequestId { partition: partition(subject), random: unique() },
        requester: person(subject),
        on_behalf_by: None,
        template: Arc::new(template()),
        duration: HOUR,
        justification: "INC-1".to_owned(),
        fields: BTreeMap::new(),
        created_at: at,
        pending_until: at.plus(HOUR),
        generation: 0,
        approvals: Vec::new(),
        status: RequestStatus::Pending,
        comments: Vec::new(),
        course: crate::domain::course::Course::default(),
        revision: 1,
    }
}

pub fn grant(subject: &Subject, at: Timestamp) -> Grant {
    let partition = partition(subject);
    Grant {
        id: GrantId { partition, random: unique() },
        subject: subject.clone(),
        access: "warehouse:operator".parse().expect("an access"),
        template: "warehouse-operator".into(),
        request: RequestId { partition, random: unique() },
        approvers: vec!["bob".into()],
        approver_groups: None,
        generation: 0,
        granted_at: at,
        not_before: None,
        expires_at: at.plus(HOUR),
        narrowings: Vec::new(),
        ended: None,
        confirmed: true,
        terms: crate::domain::rules::Terms::default(),
        revision: 1,
    }
}

pub fn ended(mut grant: Grant, why: EndedWhy, at: Timestamp) -> Grant {
    grant.ended = Some(Ended { at, why, by: "bob".into(), reason: String::new() });
    grant
}

pub fn of_grants(grants: &[&Grant]) -> Transition {
    Transition { grants: grants.iter().copied().cloned().collect(), ..Transition::default() }
}

pub fn of_request(request: &Request) -> Transition {
    Transition { requests: vec![request.clone()], ..Transition::default() }
}

pub fn set_timer(timer: Timer, at: Timestamp) -> Transition {
    Transition { timers: vec![TimerChange::Set { timer, at }], ..Transition::default() }
}

pub fn activated(grant: &Grant) -> Event {
    Event {
        kind: EventKind::GrantActivated,
        resource: Resource::Grant(grant.id),
        correlation: Some(grant.request),
        actor: Actor::System,
        at: grant.granted_at,
        reason: None,
        before: None,
        after: Snapshot::of_grant(grant, grant.granted_at),
        notify: Vec::new(),
    }
}

/// A commit by somebody who has just loaded `loaded`.
pub fn commit_on(loaded: &Loaded, transition: Transition, now: Timestamp) -> Commit {
    Commit {
        id: CommitId(unique()),
        subject: loaded.state.subject.clone(),
        expected_version: loaded.state.version,
        generation: loaded.state.markers.generation,
        transition,
        fired: None,
        answer: None,
        traceparent: None,
        now,
    }
}

impl<W: World> Process<W> {
    pub async fn load(&self, subject: &Subject) -> Loaded {
        self.try_load(subject).await.expect("it loads")
    }

    pub async fn try_load(&self, subject: &Subject) -> Result<Loaded, StoreFault> {
        self.store.load(load_of(subject)).await
    }

    /// Loads and commits; it has to be done.
    pub async fn write(&self, subject: &Subject, transition: Transition) {
        let loaded = self.load(subject).await;
        let committed = self.store.commit(commit_on(&loaded, transition, START)).await;
        assert!(matches!(committed, Ok(Committed::Done { .. })), "{committed:?}");
    }

    pub async fn read(&self, subject: &Subject) -> Result<LiveView, StoreFault> {
        self.reader.read(subject.key()).await
    }

    /// How many grants for the tool count.
    pub async fn counting(&self, subject: &Subject, now: Timestamp) -> usize {
        self.read(subject).await.expect("it reads").counting(TOOL, now).count()
    }

    pub async fn due(&self, now: Timestamp, after: Option<DuePlace>, limit: usize) -> DueTimers {
        let due = self.store.due_timers(partition(&alice()), now, after, limit).await;
        due.expect("timers")
    }

    pub async fn generation(&self, subject: &Subject) -> Generation {
        let markers = self.store.markers(partition(subject)).await;
        markers.expect("they are there").generation
    }
}

pub fn load_of(subject: &Subject) -> Load<'_> {
    Load { subject, request: None, grant: None, idempotency: None }
}

pub fn rolled_back<T: std::fmt::Debug>(answer: &Result<T, StoreFault>) -> bool {
    matches!(answer, Err(StoreFault::RolledBack(_)))
}

pub fn invalid<T: std::fmt::Debug>(answer: &Result<T, StoreFault>) -> bool {
    matches!(answer, Err(StoreFault::InvalidRecord { .. }))
}
