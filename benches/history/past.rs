//! A past: decided requests of many subjects, committed through the same door as the approvals, many
//! of one subject at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate::clock::{Clock, SystemClock};
use tidegate::domain::command::Transition;
use tidegate::domain::course::Course;
use tidegate::domain::event::{Event, EventKind, Resource, Snapshot};
use tidegate::domain::ids::{PartitionCount, RequestId};
use tidegate::domain::request::{Request, RequestStatus};
use tidegate::domain::rules::Rules;
use tidegate::domain::subject::{Actor, Person, Subject};
use tidegate::domain::template::{Approvers, Requesters, Step, Template};
use tidegate::domain::time::Timestamp;
use tidegate::entropy;
use tidegate::store::{Commit, Committed, Load, SharedStore};
use tokio::task::JoinSet;

/// Requests of one subject, and of one commit.
pub const EACH: usize = 50;
const HOUR: Duration = Duration::from_secs(3600);
const WORKERS: usize = 16;

/// `count` requests, rounded up to whole subjects, each denied long ago.
pub async fn write(store: &SharedStore, count: usize) {
    let template = Arc::new(template());
    let subjects = count.div_ceil(EACH);
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (store, template) = (store.clone(), template.clone());
        workers.spawn(async move {
            for number in (worker..subjects).step_by(WORKERS) {
                let name = format!("past-{number}@example.com");
                one(&store, &Subject::new("https://idp.example.com", &name), &template).await;
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("it is written");
    }
}

async fn one(store: &SharedStore, subject: &Subject, template: &Arc<Template>) {
    let load = Load { subject, request: None, grant: None, idempotency: None };
    let state = store.load(load).await.expect("it loads").state;
    let now = SystemClock.now();
    let then = now.minus(HOUR * 24);
    let partition = subject.key().partition(PartitionCount::DEFAULT);
    let requests: Vec<Request> =
        (0..EACH).map(|_| denied(subject, partition, template, then)).collect();
    let commit = Commit {
        id: entropy::commit_id().expect("random bytes"),
        subject: subject.clone(),
        expected_version: state.version,
        generation: state.markers.generation,
        transition: Transition {
            events: requests.iter().map(told).collect(),
            requests,
            ..Transition::default()
        },
        fired: None,
        answer: None,
        traceparent: None,
        now,
    };
    let committed = store.commit(commit).await;
    assert!(matches!(committed, Ok(Committed::Done { .. })), "{committed:?}");
}

fn denied(
    subject: &Subject,
    partition: tidegate::domain::ids::Partition,
    template: &Arc<Template>,
    at: Timestamp,
) -> Request {
    let person = |subject: Subject, group: &str| Person {
        groups: vec![group.into()],
        ..Person::named(subject)
    };
    let lead = person(Subject::new("https://idp.example.com", "bob@example.com"), "leads");
    Request {
        id: RequestId { partition, random: entropy::bytes().expect("random bytes") },
        requester: person(subject.clone(), "engineering"),
        on_behalf_by: None,
        template: template.clone(),
        duration: HOUR,
        justification: "INC-1234: the disk is full".to_owned(),
        fields: BTreeMap::new(),
        created_at: at,
        pending_until: at.plus(HOUR),
        generation: 0,
        approvals: Vec::new(),
        status: RequestStatus::Denied { at, by: lead, step: 1, reason: "not now".to_owned() },
        comments: Vec::new(),
        course: Course::default(),
        revision: 2,
    }
}

fn told(request: &Request) -> Event {
    Event {
        kind: EventKind::RequestDenied,
        resource: Resource::Request(request.id),
        correlation: Some(request.id),
        actor: Actor::System,
        at: request.created_at,
        reason: Some("not now".to_owned()),
        before: None,
        after: Snapshot::of_request(request),
        notify: Vec::new(),
    }
}

fn template() -> Template {
    Template {
        name: "reader".into(),
        title: "Look into the warehouse".into(),
        enabled: true,
        scopes: Vec::new(),
        accesses: vec!["warehouse:viewer".parse().expect("an access")],
        durations: vec![HOUR],
        default_duration: HOUR,
        pending_for: HOUR,
        requesters: Requesters::Anyone,
        require_justification: true,
        justification: None,
        fields: Vec::new(),
        steps: vec![Step { approvers: Approvers::Groups(vec!["leads".into()]), required: 1 }],
        self_approval: false,
        rules: Rules::default(),
        made: None,
    }
}
