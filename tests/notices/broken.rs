//! Endpoints that are down, slow, broken, silent or late beside one that works.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::json;

use super::receiver::{Call, Receiver, Reply};
use super::{Hook, Kept, SOON, Scene, is_genuine, template};
use crate::faults::servers::free_port;
use crate::harness::eventually;

on_both_stores!(
    an_endpoint_that_is_down_slow_broken_silent_or_late_holds_up_no_other_and_gets_all_afterwards,
    an_answer_after_the_time_out_makes_a_duplicate_with_the_same_id,
);

const PEOPLE: usize = 8;

/// Each asks, and is answered: three events at least.
fn decide(scene: &Scene) {
    for n in 0..PEOPLE {
        let id = scene.ask(&format!("user-{n}"), "asked");
        scene.act("bob", &format!("/requests/{id}/approve"), &json!({}));
    }
}

fn ids(calls: &[Call]) -> BTreeSet<String> {
    calls.iter().map(|call| call.id().to_owned()).collect()
}

/// The events of each subject, each once, in the order of their first arrival.
fn order(calls: &[Call]) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for call in calls {
        let seen = all.entry(call.text("partitionkey").to_owned()).or_default();
        if !seen.iter().any(|id| id == call.id()) {
            seen.push(call.id().to_owned());
        }
    }
    all
}

fn an_endpoint_that_is_down_slow_broken_silent_or_late_holds_up_no_other_and_gets_all_afterwards(
    kept: Kept,
) {
    let good = Receiver::start(Reply::Status(200));
    let slow = Receiver::start(Reply::Held);
    let (failing, closing) = (Receiver::start(Reply::Status(500)), Receiver::start(Reply::Close));
    let (silent, late) = (Receiver::start(Reply::Hang), Receiver::start(Reply::Held));
    let port = free_port();
    let impatient = |name, receiver| Hook { timeout: "100ms", ..Hook::to(name, receiver) };
    let hooks = [
        Hook { name: "down", port, timeout: "1s" },
        Hook::to("slow", &slow),
        Hook::to("failing", &failing),
        Hook::to("closing", &closing),
        impatient("silent", &silent),
        impatient("late", &late),
        Hook::to("good", &good),
    ];
    let scene = Scene::start(kept, &json!([template("asked", &["leads"], &json!({}))]), &hooks);
    decide(&scene);
    let expected = PEOPLE * 3;
    eventually("the good one has all", SOON, || (good.count() >= expected).then_some(()));
    let others = [
        ("down", "unreachable"),
        ("failing", "failed"),
        ("closing", "broken"),
        ("silent", "timed-out"),
        ("late", "timed-out"),
    ];
    for (sink, outcome) in others {
        eventually(sink, SOON, || (scene.calls(sink, outcome) > 0).then_some(()));
        assert_eq!(scene.calls(sink, "delivered"), 0, "{sink}");
    }
    assert_eq!(scene.calls("slow", "delivered"), 0);
    let arrived = good.calls();
    arrived.iter().for_each(is_genuine);
    assert_eq!((arrived.len(), ids(&arrived).len()), (expected, expected), "each once");

    let up = Receiver::at(SocketAddr::from(([127, 0, 0, 1], port)), Reply::Status(200));
    let all = [&slow, &failing, &closing, &silent, &late];
    for receiver in all {
        receiver.behave(Reply::Status(200));
    }
    for receiver in all.into_iter().chain([&up]) {
        let calls = eventually("it has all", SOON, || {
            let calls = receiver.calls();
            (ids(&calls) == ids(&arrived)).then_some(calls)
        });
        assert_eq!(order(&calls), order(&arrived), "in order for each subject");
        calls.iter().for_each(is_genuine);
    }
    // It only took its time.
    assert_eq!(slow.count(), expected);
}

fn an_answer_after_the_time_out_makes_a_duplicate_with_the_same_id(kept: Kept) {
    let late = Receiver::start(Reply::Held);
    let hook = Hook { timeout: "100ms", ..Hook::to("late", &late) };
    let scene = Scene::start(kept, &json!([template("asked", &["leads"], &json!({}))]), &[hook]);
    scene.ask("alice", "asked");
    eventually("it timed out", SOON, || (scene.calls("late", "timed-out") > 0).then_some(()));
    // Now it answers what nobody waits for any more, and everything that comes.
    late.behave(Reply::Status(200));
    eventually("it arrived", SOON, || (scene.calls("late", "delivered") == 1).then_some(()));
    let calls = late.calls();
    assert!(calls.len() >= 2 && ids(&calls).len() == 1, "{calls:?}");
    calls.iter().for_each(is_genuine);
}
