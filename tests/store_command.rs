//! `tidegate store show | status` on the store that a gateway left behind.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::gateway::binary;

fn store(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    let config = world.folder.path().join("tidegate.yaml");
    command.arg("store").args(arguments).arg("--config").arg(config);
    command.output().expect("a process")
}

fn json_of(world: &World, arguments: &[&str]) -> Value {
    let output = store(world, &[arguments, &["--output", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn show_tells_what_a_subject_holds_and_why_something_does_not_count() {
    let mut world = World::start();
    let kept = world.grant("alice")["grants"][0].clone();
    let revoked = world.grant("alice")["grants"][0].as_str().expect("an id").to_owned();
    let revoke = format!("/grants/{revoked}/revoke");
    assert_eq!(world.api("bob").post(&revoke, &json!({ "reason": "over" })).status, 200);
    let pending = world.api("alice").submit("operator");
    world.gateway.stop();

    let shown = json_of(&world, &["show", "alice"]);
    assert_eq!((&shown["subject"], &shown["suspended"]), (&json!("alice"), &json!(false)));
    assert!(shown["version"].as_u64().is_some_and(|version| version > 0), "{shown}");
    let grants = shown["grants"].as_array().expect("grants");
    assert_eq!(grants.len(), 1, "{shown}");
    let expected = [
        ("id", kept),
        ("tool", json!("warehouse")),
        ("role", json!("viewer")),
        ("template", json!("reader")),
        ("confirmed", json!(true)),
        ("counts", json!(true)),
        ("narrowing", json!([])),
    ];
    for (key, value) in expected {
        assert_eq!(grants[0][key], value, "{key}: {shown}");
    }
    assert_eq!(shown["ended"][0]["id"], revoked.as_str());
    assert_eq!(shown["ended"][0]["why"], "revoked");
    assert_eq!(shown["pending"][0]["id"], pending["id"]);

    let told = text(&store(&world, &["show", "alice"]).stdout);
    for part in ["alice of https://", "grants: 1", "yes", "ended within a day: 1", &revoked] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let nobody = json_of(&world, &["show", "nobody-yet"]);
    assert_eq!((&nobody["version"], &nobody["grants"]), (&json!(0), &json!([])));
}

#[test]
fn status_counts_what_every_partition_holds() {
    let mut world = World::start();
    let _granted = world.grant("alice");
    let _pending = world.api("alice").submit("operator");
    let kill = json!({ "tool": "warehouse", "reason": "drill" });
    assert_eq!(world.api("carol").post("/revocations", &kill).status, 200);
    world.gateway.stop();

    let status = json_of(&world, &["status"]);
    let partitions = status["partitions"].as_array().expect("partitions");
    assert_eq!(partitions.len(), 64);
    assert!(partitions.iter().all(|one| one["epoch"] == 1 && one["generation"] == 1), "{status}");
    let busiest = partitions.iter().map(|one| one["seq"].as_u64().expect("a number")).max();
    assert!(busiest.is_some_and(|seq| seq > 4), "{status}");
    let sum: u64 = partitions.iter().map(|one| one["entries"].as_u64().expect("a number")).sum();
    assert_eq!(status["totals"]["entries"], sum);
    assert_eq!(status["store"]["back end"], "embedded");
    assert!(status["store"]["bytes"].as_str().is_some_and(|bytes| bytes != "0"));

    let told = text(&store(&world, &["status"]).stdout);
    assert!(told.contains("64 partitions: ") && told.contains("GENERATION"), "{told}");
}

#[test]
fn a_store_that_cannot_be_shown_says_why() {
    let mut world = World::start();
    let running = store(&world, &["status"]);
    assert_eq!(running.status.code(), Some(78));
    let told = text(&running.stderr);
    let holder = format!("in use by process {}", world.gateway.pid());
    assert!(told.contains(&holder), "{told}");
    world.gateway.stop();

    let code = |arguments: &[&str]| store(&world, arguments).status.code();
    assert_eq!(code(&["show", "line\nbreak"]), Some(64), "nobody can have that name");
    assert_eq!(code(&["show"]), Some(64));
    std::fs::write(world.folder.path().join("seal.key"), [8; 32]).expect("written");
    let other_key = store(&world, &["show", "alice"]);
    assert_eq!(other_key.status.code(), Some(78), "{}", text(&other_key.stderr));
    std::fs::remove_dir_all(world.folder.path().join("store")).expect("removed");
    assert_eq!(code(&["status"]), Some(69), "there is none");
    assert!(!world.folder.path().join("store").exists(), "and none was made");
    std::fs::write(world.folder.path().join("tidegate.yaml"), "stoer: 1\n").expect("written");
    assert_eq!(code(&["status"]), Some(64));
}
