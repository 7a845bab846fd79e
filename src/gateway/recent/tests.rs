use std::sync::Arc;

use super::super::record::Grounds;
use super::ring::Ring;
use super::{BYTES, Entry, ROOM, Recent};
use smallvec::SmallVec;

use crate::domain::time::Timestamp;
use crate::identity::{Identity, Proof};
use crate::resources::{Known, Origin, Provided};
use crate::telemetry::decision::DecisionRecord;

fn record(id: String) -> DecisionRecord {
    DecisionRecord {
        id: id.into(),
        at: Timestamp::default(),
        allowed: false,
        reason: "no-grant",
        detail: Arc::default(),
        tool: None,
        method: "GET".into(),
        host: Arc::default(),
        target: "/".into(),
        upstream_path: None,
        subject: None,
        issuer: None,
        key: None,
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
    }
}

fn entry(core: usize, number: u64) -> Entry {
    let record = Arc::new(record(format!("here-{core}-{number}")));
    Entry { number, record, grounds: Grounds::default() }
}

/// One whose claims take so many bytes.
fn heavy(number: u64, claims_bytes: usize) -> Entry {
    let mut heavy = entry(0, number);
    let person = crate::gateway::tests::world::person("alice", &[], &[]);
    let proof = Proof { claims_bytes, ..Proof::default() };
    heavy.grounds.identity = Some(Arc::new(Identity { proof, ..person }));
    heavy
}

#[test]
fn the_newest_decisions_of_each_core_are_kept_and_older_ones_make_room() {
    let recent = Recent::new("here".into(), 2);
    let last = ROOM as u64 + 10;
    for number in 1..=last {
        recent.put(0, entry(0, number));
    }
    recent.put(1, entry(1, 1));
    assert!(recent.find("here-0-10").is_none());
    for number in 11..=last {
        let id = format!("here-0-{number}");
        assert_eq!(&*recent.find(&id).expect("kept").record.id, &id);
    }
    assert!(recent.find("here-1-1").is_some());
    assert_eq!(recent.counts().values().sum::<usize>(), ROOM + 1);
}

#[test]
fn an_id_that_is_spelled_otherwise_finds_nothing() {
    let recent = Recent::new("here".into(), 1);
    recent.put(0, entry(0, 7));
    assert!(recent.find("here-0-7").is_some());
    for other in ["here-0-07", "here-00-7", "here-0-+7", "here-1-7", "there-0-7", "here-0", ""] {
        assert!(recent.find(other).is_none(), "{other}");
    }
}

#[test]
fn a_decision_that_comes_late_does_not_push_out_a_newer_one() {
    let mut ring = Ring::default();
    let newer = 5 + ROOM as u64;
    ring.put(entry(0, newer));
    assert_eq!(ring.put(entry(0, 5)).map(|entry| entry.number), Some(5));
    assert!(ring.get(newer).is_some());
    assert!(ring.get(5).is_none());
    ring.put(entry(0, newer - 3));
    assert!(ring.get(newer - 3).is_some());
}

#[test]
fn what_sources_and_policies_said_takes_room_as_well() {
    let mut plain = entry(0, 1);
    let known =
        Known { attributes: Arc::default(), scope: None, had_request_names: false, bytes: 1 << 20 };
    let before = plain.bytes();
    plain.grounds.provided = Some(Provided { known, from: Origin::Default });
    let provided = plain.bytes();
    assert!(provided - before >= 1 << 20);
    let derived_roles = vec!["x".repeat(1000).into(); 100];
    let record = DecisionRecord { derived_roles, ..record("here-0-1".to_owned()) };
    plain.record = Arc::new(record);
    assert!(plain.bytes() - provided >= 100_000);
}

#[test]
fn large_decisions_leave_room_for_fewer() {
    let mut ring = Ring::default();
    for number in 1..=2 * ROOM as u64 {
        ring.put(heavy(number, 128 * 1024));
        let held: usize = ring.entries().map(Entry::bytes).sum();
        assert!(held <= BYTES, "{held}");
    }
    let kept = ring.entries().count();
    assert!((32..ROOM / 2).contains(&kept), "{kept}");
    assert!(ring.get(2 * ROOM as u64).is_some(), "the newest is kept");
    for number in 2 * ROOM as u64 + 1..=4 * ROOM as u64 {
        ring.put(entry(0, number));
    }
    assert_eq!(ring.entries().count(), ROOM, "and what is small finds room again");
}
