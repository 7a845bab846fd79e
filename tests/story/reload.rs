//! Catalog and policies change under a running process; what does not load changes nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::harness::gateway::signal;
use crate::harness::{World, eventually};

/// For reloads: looked at once a second, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");

/// The shipped policies, without their suites, changed as one likes.
fn policies(folder: &Path, change: impl Fn(&str, String) -> String) {
    fs::create_dir_all(folder).expect("a folder");
    for entry in fs::read_dir(SHIPPED).expect("policies").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_policy = Path::new(&name).extension().is_some_and(|it| it == "yaml");
        if is_policy && !name.ends_with("_test.yaml") {
            let text = fs::read_to_string(entry.path()).expect("a policy");
            fs::write(folder.join(&name), change(&name, text)).expect("written");
        }
    }
}

fn no_reading(name: &str, text: String) -> String {
    if name == "tool.yaml" {
        text.replace("actions: [read, view]", "actions: [view]")
    } else {
        text
    }
}

fn metric(world: &World, name: &str) -> String {
    let text = crate::harness::client::Client::new(world.gateway.admin)
        .get("admin", "/metrics", None)
        .text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().to_owned()
}

#[test]
fn a_changed_policy_binds_without_a_restart_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    policies(folder.path(), |_, text| text);
    let named = folder.path().display().to_string();
    let world = World::with(|config| config.replace(SHIPPED, &named));
    world.grant("alice");
    assert_eq!(world.visit("alice").status, 200);

    let tool = folder.path().join("tool.yaml");
    let good = fs::read_to_string(&tool).expect("a policy");
    fs::write(&tool, good.replace("actions: [read, view]", "actions: [view]")).expect("written");
    eventually("the policy to bind", SOON, || (world.visit("alice").status == 403).then_some(()));

    fs::write(&tool, "apiVersion: api.cerbos.dev/v1\nresourcePolicy: [broken").expect("written");
    eventually("the refusal to be told", SOON, || {
        world.gateway.log().contains("what has problems stays").then_some(())
    });
    assert_eq!(world.visit("alice").problem(), "policy-denied", "the old policy stays");

    fs::write(&tool, good).expect("written");
    signal(world.gateway.pid(), "HUP");
    eventually("the first policy to bind again", SOON, || {
        (world.visit("alice").status == 200).then_some(())
    });
}

#[test]
fn a_policy_whose_own_test_fails_is_not_taken_and_the_metrics_say_so() {
    let folder = tempfile::tempdir().expect("a folder");
    policies(folder.path(), |_, text| text);
    let named = folder.path().display().to_string();
    let world = World::with(|config| config.replace(SHIPPED, &named));
    world.grant("alice");
    assert_eq!(world.visit("alice").status, 200);
    assert_eq!(metric(&world, "tidegate_policy_last_reload_successful "), "1");

    let suite = "name: Tools
principals: { alice: { id: alice, roles: [viewer] } }
resources: { warehouse: { kind: tool, id: warehouse } }
tests:
  - name: viewers read
    input: { principals: [alice], resources: [warehouse], actions: [read] }
    expected: [ { principal: alice, resource: warehouse, actions: { read: EFFECT_ALLOW } } ]
";
    policies(folder.path(), no_reading);
    fs::write(folder.path().join("own_test.yaml"), suite).expect("written");
    signal(world.gateway.pid(), "HUP");
    eventually("the refusal to be told", SOON, || {
        let told = "test 'viewers read': principal 'alice', resource 'warehouse', action 'read'";
        world.gateway.log().contains(told).then_some(())
    });
    eventually("the metric to say so", SOON, || {
        (metric(&world, "tidegate_policy_last_reload_successful ") == "0").then_some(())
    });
    assert_ne!(metric(&world, "tidegate_policy_reloads_total{outcome=\"refused\"} "), "");
    assert_eq!(metric(&world, "tidegate_config_last_reload_successful "), "1");
    assert_eq!(world.visit("alice").status, 200, "the old policies stay");

    let denied = suite.replace("EFFECT_ALLOW", "EFFECT_DENY");
    fs::write(folder.path().join("own_test.yaml"), denied).expect("written");
    signal(world.gateway.pid(), "HUP");
    eventually("the metric to say so", SOON, || {
        (metric(&world, "tidegate_policy_last_reload_successful ") == "1").then_some(())
    });
    assert_eq!(world.visit("alice").problem(), "policy-denied", "the next request");
}

#[test]
fn a_mounted_config_map_is_swapped_and_one_that_is_gone_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    policies(&at("..1"), |_, text| text);
    policies(&at("..2"), no_reading);
    symlink("..1", at("..data")).expect("a link");
    for entry in fs::read_dir(at("..1")).expect("policies").flatten() {
        let name = entry.file_name();
        symlink(Path::new("..data").join(&name), folder.path().join(&name)).expect("a link");
    }
    let named = folder.path().display().to_string();
    let world = World::with(|config| config.replace(SHIPPED, &named));
    world.grant("alice");
    assert_eq!(world.visit("alice").status, 200);

    fs::remove_file(at("..data")).expect("removed");
    eventually("the missing policies to be told", SOON, || {
        world.gateway.log().contains("cannot be read").then_some(())
    });
    assert_eq!(world.visit("alice").status, 200, "the old policies stay");

    symlink("..2", at("..data_tmp")).expect("a link");
    fs::rename(at("..data_tmp"), at("..data")).expect("swapped");
    eventually("the newer policies to bind", SOON, || {
        (world.visit("alice").status == 403).then_some(())
    });
}

/// A derived role that everybody or nobody has, and a rule for it that may or may not apply. Only
/// with both is reading allowed.
fn gated(folder: &Path, derived: bool, rule: bool) {
    policies(folder, |name, text| {
        let gate = "      condition: { match: { expr: \"RULE\" } }\n";
        let gate = gate.replace("RULE", &rule.to_string());
        match name {
            "tool.yaml" => text.replace("[suspension]", "[suspension, gate]").replace(
                "      roles: [viewer]\n",
                &format!("      derivedRoles: [gated]\n{gate}"),
            ),
            _ => text,
        }
    });
    let text = format!(
        "apiVersion: api.cerbos.dev/v1\nderivedRoles:\n  name: gate\n  definitions:\n    \
         - name: gated\n      parentRoles: [viewer]\n      condition: {{ match: {{ expr: \"{derived}\" }} }}\n"
    );
    fs::write(folder.join("gate.yaml"), text).expect("written");
}

#[test]
fn two_policies_that_change_together_never_answer_as_a_mixture() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    gated(&at("..mixed"), true, true);
    gated(&at("..one"), true, false);
    gated(&at("..other"), false, true);
    let swap = |name: &str| {
        symlink(name, at("..data_tmp")).expect("a link");
        fs::rename(at("..data_tmp"), at("..data")).expect("swapped");
    };
    swap("..mixed");
    for entry in fs::read_dir(at("..mixed")).expect("policies").flatten() {
        let name = entry.file_name();
        symlink(Path::new("..data").join(&name), folder.path().join(&name)).expect("a link");
    }
    let named = folder.path().display().to_string();
    let world = World::with(|config| config.replace(SHIPPED, &named));
    world.grant("alice");
    assert_eq!(world.visit("alice").status, 200, "a mixture would be noticed");
    swap("..one");
    eventually("the first of both to bind", SOON, || {
        (world.visit("alice").status == 403).then_some(())
    });
    let taken = || metric(&world, "tidegate_policy_reloads_total{outcome=\"taken\"} ");
    for name in ["..other", "..one", "..other"] {
        let before = taken();
        swap(name);
        // Whether by looking or on the signal, and as often as it likes.
        signal(world.gateway.pid(), "HUP");
        eventually("the other one to bind", SOON, || {
            assert_eq!(world.visit("alice").problem(), "policy-denied", "neither of both allows");
            (taken() != before).then_some(())
        });
    }
    assert_eq!(world.visit("alice").problem(), "policy-denied");
}

#[test]
fn a_file_that_comes_before_a_template_of_the_api_or_goes_is_told_in_the_log() {
    let world = World::start();
    let template = serde_json::json!({
        "name": "night", "enabled": true, "accesses": ["warehouse:viewer"], "durations": ["PT1H"],
        "steps": [{ "approvers": { "groups": ["leads"] } }],
    });
    let made = world.api("carol").call("PUT", "/templates/night", Some(&template));
    assert_eq!(made.status, 201, "{made:?}");
    let told = |words: &str| {
        eventually(words, SOON, || {
            let log = world.gateway.log();
            log.lines().any(|line| line.contains(words) && line.contains("night")).then_some(())
        });
    };
    let origin = || world.api("carol").get("/templates/night").json()["origin"].clone();
    let file = world.folder.path().join("catalog/night.yaml");
    let text = serde_json::json!({ "templates": [template] }).to_string();
    fs::write(&file, text).expect("written");
    told("a file hides a template that was made over the API");
    assert_eq!(origin(), "file");
    fs::remove_file(&file).expect("removed");
    told("a template that was made over the API is in use again");
    assert_eq!(origin(), "api");
}
