use super::*;
use crate::clock::ManualClock;
use crate::config::SealKey;
use crate::domain::access::Narrowing;
use crate::domain::command::Transition;
use crate::domain::ids::{CommitId, OrderId, PartitionCount, RequestId};
use crate::domain::markers::{KillOrder, KillTarget};
use crate::store::embedded::Embedded;
use crate::store::{Commit, Committed};

const NOW: Timestamp = Timestamp::from_millis(1_795_339_800_000);
const HOUR: Duration = Duration::from_secs(3600);

fn alice() -> Subject {
    Subject::new("https://idp.example.com", "alice")
}

fn stores(directory: &std::path::Path) -> Stores {
    let key = SealKey { id: "k1".into(), bytes: [1; 32].into() };
    let opened = Embedded::open(directory, &[key], PartitionCount::DEFAULT, ManualClock::at(NOW));
    Stores::Embedded(opened.expect("it opens"))
}

fn grant(number: u8, template: &str) -> Grant {
    let partition = alice().key().partition(PartitionCount::DEFAULT);
    Grant {
        id: GrantId { partition, random: [number; 16] },
        subject: alice(),
        access: "warehouse:operator".parse().expect("an access"),
        template: template.into(),
        request: RequestId { partition, random: [number; 16] },
        approvers: vec!["bob".into()],
        approver_groups: None,
        generation: 0,
        granted_at: NOW,
        not_before: None,
        expires_at: NOW.plus(HOUR),
        narrowings: Vec::new(),
        ended: None,
        confirmed: true,
        terms: crate::domain::rules::Terms::default(),
        revision: 1,
    }
}

async fn commit(store: &dyn Store, grants: Vec<Grant>) {
    let done = store.commit(Commit {
        id: CommitId([7; 16]),
        subject: alice(),
        expected_version: 0,
        generation: 0,
        transition: Transition { grants, ..Transition::default() },
        fired: None,
        answer: None,
        traceparent: None,
        now: NOW,
    });
    assert!(matches!(done.await, Ok(Committed::Done { .. })));
}

#[tokio::test]
async fn every_reason_why_a_grant_does_not_count_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let stores = stores(directory.path());
    let narrowed = Narrowing { methods: vec!["GET".into()], paths: Vec::new() };
    let counts = Grant { narrowings: vec![narrowed.clone()], ..grant(5, "reader") };
    let unconfirmed = Grant { confirmed: false, ..grant(4, "reader") };
    let scheduled = Grant { not_before: Some(NOW.plus(HOUR / 2)), ..grant(3, "reader") };
    let expired = Grant { expires_at: NOW, ..grant(2, "reader") };
    let killed = grant(1, "operator");
    let store = stores.store();
    commit(&*store, vec![counts, unconfirmed, scheduled, expired, killed.clone()]).await;
    let order = KillOrder {
        id: OrderId([1; 16]),
        target: KillTarget::Template("operator".into()),
        at: NOW,
        by: Subject::new("https://idp.example.com", "carol"),
        reason: "a drill".into(),
    };
    store.kill(killed.id.partition, order).await.expect("killed");

    let report = read_subject(&stores, alice(), NOW).await.expect("it reads");
    let why: Vec<Option<&str>> =
        report.grants.iter().map(|held| held.does_not_count.as_deref()).collect();
    let expected = [
        None,
        Some("not confirmed yet"),
        Some("it has not begun"),
        Some("expired, and not marked as ended yet"),
        Some("killed by carol: a drill"),
    ];
    assert_eq!(why, expected);
    assert_eq!(report.grants[0].grant.narrowings, [narrowed]);
    assert!(!report.suspended && report.version == NOW.millis());
}
