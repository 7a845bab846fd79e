//! Catalog and policies change under a running process; what does not load changes nothing.

use std::fs;
use std::time::Duration;

use crate::harness::{World, eventually};

#[test]
fn a_changed_policy_binds_without_a_restart_and_a_broken_one_changes_nothing() {
    let policies = tempfile::tempdir().expect("a folder");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
    for entry in fs::read_dir(shipped).expect("policies").flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "yaml") {
            fs::copy(entry.path(), policies.path().join(entry.file_name())).expect("copied");
        }
    }
    let folder = policies.path().display().to_string();
    let world = World::with(|config| config.replace(shipped, &folder));
    world.grant("alice");
    assert_eq!(world.visit("alice").status, 200);

    let tool = policies.path().join("tool.yaml");
    let good = fs::read_to_string(&tool).expect("a policy");
    fs::write(&tool, good.replace("actions: [read, view]", "actions: [view]")).expect("written");
    eventually("the policy to bind", Duration::from_secs(20), || {
        (world.visit("alice").status == 403).then_some(())
    });

    fs::write(&tool, "apiVersion: api.cerbos.dev/v1\nresourcePolicy: [broken").expect("written");
    eventually("the refusal to be told", Duration::from_secs(20), || {
        world.gateway.log().contains("what has problems stays").then_some(())
    });
    assert_eq!(world.visit("alice").problem(), "policy-denied", "the old policy stays");

    fs::write(&tool, good).expect("written");
    crate::harness::gateway::signal(world.gateway.pid(), "HUP");
    eventually("the first policy to bind again", Duration::from_secs(20), || {
        (world.visit("alice").status == 200).then_some(())
    });
}
