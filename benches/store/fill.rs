//! Commits subjects with live grants, through the same door as the approvals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate::clock::{Clock, SystemClock};
use tidegate::domain::command::{Timer, TimerChange, Transition};
use tidegate::domain::event::{Event, EventKind, Resource, Snapshot};
use tidegate::domain::grant::Grant;
use tidegate::domain::ids::{GrantId, PartitionCount, RequestId};
use tidegate::domain::request::{Request, RequestStatus};
use tidegate::domain::subject::{Actor, Person, Subject};
use tidegate::domain::template::{Approvers, Requesters, Step, Template};
use tidegate::domain::time::Timestamp;
use tidegate::entropy;
use tidegate::store::{Commit, Committed, Load, SharedStore};
use tokio::task::JoinSet;

pub const GRANTS: usize = 5;
pub const TOOL: &str = "warehouse";
const LASTS: Duration = Duration::from_secs(8 * 3600);
/// Commits under way at a time.
const WORKERS: usize = 16;

pub fn subject(number: usize) -> Subject {
    Subject::new("https://idp.example.com", &format!("user-{number}@example.com"))
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

/// Subjects 0 to `count`, each with one approved request and [`GRANTS`] grants in one commit.
pub async fn subjects(store: &SharedStore, count: usize) {
    let template = Arc::new(template());
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (store, template) = (store.clone(), template.clone());
        workers.spawn(async move {
            for number in (worker..count).step_by(WORKERS) {
                one(&store, &subject(number), &template).await;
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("it fills");
    }
}

async fn one(store: &SharedStore, subject: &Subject, template: &Arc<Template>) {
    let load = Load { subject, request: None, grant: None, idempotency: None };
    let state = store.load(load).await.expect("it loads").state;
    let now = now();
    let commit = Commit {
        id: entropy::commit_id().expect("random bytes"),
        subject: subject.clone(),
        expected_version: state.version,
        generation: state.markers.generation,
        transition: approved(subject, template, now),
        fired: None,
        answer: None,
        traceparent: None,
        now,
    };
    let committed = store.commit(commit).await;
    assert!(matches!(committed, Ok(Committed::Done { .. })), "{committed:?}");
}

/// What the approval of one request for [`GRANTS`] roles leaves.
fn approved(subject: &Subject, template: &Arc<Template>, now: Timestamp) -> Transition {
    let partition = subject.key().partition(PartitionCount::DEFAULT);
    let id = RequestId { partition, random: entropy::bytes().expect("random bytes") };
    let grants: Vec<Grant> = (0..GRANTS).map(|role| grant(subject, id, role, now)).collect();
    let timer = |grant: &Grant| {
        let timer = Timer::ExpireGrant(grant.id);
        TimerChange::Set { timer, at: grant.expires_at }
    };
    Transition {
        requests: vec![request(subject, id, template, &grants, now)],
        events: grants.iter().map(activated).collect(),
        timers: grants.iter().map(timer).collect(),
        grants,
        ..Transition::default()
    }
}

fn grant(subject: &Subject, request: RequestId, role: usize, now: Timestamp) -> Grant {
    let random = entropy::bytes().expect("random bytes");
    Grant {
        id: GrantId { partition: request.partition, random },
        subject: subject.clone(),
        access: format!("{TOOL}:operator-{role}").parse().expect("an access"),
        template: "warehouse-operator".into(),
        request,
        approvers: vec!["bob@example.com".into()],
        approver_groups: Some(vec!["on-call-leads".into()]),
        generation: 0,
        granted_at: now,
        not_before: None,
        expires_at: now.plus(LASTS),
        narrowings: Vec::new(),
        ended: None,
        confirmed: true,
        terms: tidegate::domain::rules::Terms::default(),
        revision: 1,
    }
}

fn activated(grant: &Grant) -> Event {
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

fn request(
    subject: &Subject,
    id: RequestId,
    template: &Arc<Template>,
    grants: &[Grant],
    now: Timestamp,
) -> Request {
    let requester = Person { groups: vec!["engineering".into()], ..Person::named(subject.clone()) };
    Request {
        id,
        requester,
        on_behalf_by: None,
        template: template.clone(),
        duration: LASTS,
        justification: "INC-1234: the disk is full".to_owned(),
        fields: BTreeMap::new(),
        created_at: now,
        pending_until: now.plus(LASTS),
        generation: 0,
        approvals: Vec::new(),
        status: RequestStatus::Approved {
            at: now,
            grants: grants.iter().map(|grant| grant.id).collect(),
        },
        comments: Vec::new(),
        course: tidegate::domain::course::Course::default(),
        revision: 2,
    }
}

fn template() -> Template {
    let access = |role: usize| format!("{TOOL}:operator-{role}").parse().expect("an access");
    Template {
        name: "warehouse-operator".into(),
        title: "Operate the warehouse".into(),
        enabled: true,
        scopes: Vec::new(),
        accesses: (0..GRANTS).map(access).collect(),
        durations: vec![LASTS],
        default_duration: LASTS,
        pending_for: LASTS,
        requesters: Requesters::Anyone,
        require_justification: true,
        justification: None,
        fields: Vec::new(),
        steps: vec![Step { approvers: Approvers::Anyone, required: 1 }],
        self_approval: false,
        rules: tidegate::domain::rules::Rules::default(),
        made: None,
    }
}
