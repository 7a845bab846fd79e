use std::sync::Arc;

use super::super::record::Grounds;
use super::ring::{ALLOWED, BYTES, REFUSED, Ring, Rings};
use super::{Entry, Recent};
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

/// One that let somebody through.
fn allowed(core: usize, number: u64) -> Entry {
    let record = record(format!("here-{core}-{number}"));
    let record = Arc::new(DecisionRecord { allowed: true, reason: "allowed", ..record });
    Entry { number, record, grounds: Grounds::default() }
}

#[test]
fn the_newest_decisions_of_each_core_are_kept_and_older_ones_make_room() {
    let recent = Recent::new("here".into(), 2);
    let last = REFUSED as u64 + 10;
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
    assert_eq!(recent.counts().values().sum::<usize>(), REFUSED + 1);
}

#[test]
fn however_many_are_let_through_what_was_refused_stays_and_the_last_of_both_are_found() {
    let recent = Recent::new("here".into(), 1);
    let last = 10 * REFUSED as u64;
    for number in 1..=last {
        let is_refused = number % 50 == 0;
        recent.put(0, if is_refused { entry(0, number) } else { allowed(0, number) });
    }
    let counts = recent.counts();
    assert_eq!(counts.get("no-grant"), Some(&(10 * REFUSED / 50)));
    assert_eq!(counts.get("allowed"), Some(&ALLOWED));
    for number in (last - ALLOWED as u64..=last).chain((1..=last).filter(|it| it % 50 == 0)) {
        let id = format!("here-0-{number}");
        assert_eq!(&*recent.find(&id).expect("kept").record.id, &id);
    }
    assert!(recent.find("here-0-49").is_none());
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
    let mut ring = Ring::new(8, BYTES);
    for number in [12, 11, 20, 14, 13, 18, 16, 17] {
        assert!(ring.put(entry(0, number)).is_none());
    }
    assert_eq!(ring.put(entry(0, 5)).map(|entry| entry.number), Some(5));
    assert_eq!(ring.put(entry(0, 15)).map(|entry| entry.number), Some(11));
    let kept: Vec<_> = ring.entries().map(|entry| entry.number).collect();
    assert_eq!(kept, [12, 13, 14, 15, 16, 17, 18, 20]);
    assert!(kept.iter().all(|number| ring.get(*number).is_some()));
    assert!([5, 11, 19, 21].iter().all(|number| ring.get(*number).is_none()));
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
    let mut rings = Rings::default();
    let heavy_allowed = |number| {
        let record = allowed(0, number).record;
        Entry { record, ..heavy(number, 128 * 1024) }
    };
    for number in 1..=2 * REFUSED as u64 {
        rings.put(if number % 2 == 0 { heavy_allowed(number) } else { heavy(number, 128 * 1024) });
        let held: usize = rings.entries().map(Entry::bytes).sum();
        assert!(held <= BYTES, "{held}");
    }
    let kept = rings.entries().count();
    assert!((32..ALLOWED).contains(&kept), "{kept}");
    assert!(rings.get(2 * REFUSED as u64).is_some(), "the newest is kept");
    for number in 2 * REFUSED as u64 + 1..=4 * REFUSED as u64 {
        rings.put(entry(0, number));
    }
    assert_eq!(rings.refused().count(), REFUSED, "and what is small finds room again");
}

#[test]
fn one_that_is_larger_than_all_the_room_is_kept_until_the_next_comes() {
    let mut ring = Ring::new(8, 1024);
    ring.put(heavy(1, 1 << 20));
    assert!(ring.get(1).is_some());
    ring.put(heavy(2, 1 << 20));
    assert_eq!(ring.entries().map(|entry| entry.number).collect::<Vec<_>>(), [2]);
}
