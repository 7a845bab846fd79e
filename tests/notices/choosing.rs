//! Which approvers hear of a request.

use std::collections::BTreeSet;

use serde_json::json;

use super::receiver::{Receiver, Reply};
use super::{Hook, Kept, Scene, names, recipients, template, told};

on_both_stores!(
    all_members_of_the_group_hear_of_a_request,
    the_first_of_the_group_hear_of_every_request,
    some_of_the_group_at_random_hear_of_a_request,
    one_after_the_other_hears_of_a_request_also_after_a_restart,
);

/// Who was told of requests of `count` people.
fn chosen(scene: &Scene, receiver: &Receiver, from: usize, count: usize) -> Vec<BTreeSet<String>> {
    let told = |n: usize| {
        let id = scene.ask(&format!("user-{n}"), "asked");
        recipients(&told(receiver, "request.submitted", &format!("requests/{id}")))
    };
    (from..from + count).map(told).collect()
}

fn scene(kept: Kept, group: &str, notify: &serde_json::Value) -> (Scene, Receiver) {
    let receiver = Receiver::start(Reply::Status(204));
    let templates = json!([template("asked", &[group], &json!({ "notify": notify }))]);
    (Scene::start(kept, &templates, &[Hook::to("siem", &receiver)]), receiver)
}

fn all_members_of_the_group_hear_of_a_request(kept: Kept) {
    let (scene, receiver) = scene(kept, "leads", &json!({ "policy": "all" }));
    assert_eq!(chosen(&scene, &receiver, 0, 1), [names(&["bea", "ben", "bob"])]);
    // Nobody is asked about their own request.
    let own = format!("requests/{}", scene.ask("ben", "asked"));
    let call = told(&receiver, "request.submitted", &own);
    assert_eq!(recipients(&call), names(&["bea", "bob"]));
    let bea = json!({ "kind": "person", "name": "bea", "email": "bea@example.test" });
    assert_eq!(call.event["data"]["notice"]["recipients"][0], bea);
}

fn the_first_of_the_group_hear_of_every_request(kept: Kept) {
    let (scene, receiver) = scene(kept, "crowd", &json!({ "policy": "first_n", "count": 3 }));
    let first = names(&["c1", "c2", "c3"]);
    assert_eq!(chosen(&scene, &receiver, 0, 3), [first.clone(), first.clone(), first]);
}

fn some_of_the_group_at_random_hear_of_a_request(kept: Kept) {
    let (scene, receiver) = scene(kept, "crowd", &json!({ "policy": "random_n", "count": 2 }));
    let crowd = names(&["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"]);
    let chosen = chosen(&scene, &receiver, 0, 12);
    assert!(chosen.iter().all(|some| some.len() == 2 && some.is_subset(&crowd)), "{chosen:?}");
    // All twelve the same: less than one in ten to the fifteenth.
    assert!(chosen.iter().any(|some| *some != chosen[0]), "{chosen:?}");
}

fn one_after_the_other_hears_of_a_request_also_after_a_restart(kept: Kept) {
    let (mut scene, receiver) =
        scene(kept, "leads", &json!({ "policy": "round_robin", "count": 1 }));
    scene.world.oracle = false;
    let mut turns = chosen(&scene, &receiver, 0, 4);
    scene.restart();
    turns.extend(chosen(&scene, &receiver, 4, 3));
    let all = names(&["bea", "ben", "bob"]);
    for three in turns.windows(3) {
        let heard: BTreeSet<String> = three.iter().flatten().cloned().collect();
        assert_eq!(heard, all, "{turns:?}");
    }
}
