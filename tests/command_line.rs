//! The binary as people call it.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::World;
use crate::harness::gateway::binary;

fn tidegate(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).env_remove("TIDEGATE_TOKEN").env_remove("TIDEGATE_API");
    for (name, value) in variables {
        command.env(name, value);
    }
    command.output().expect("a process")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_walk_through_plays_from_any_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(binary())
        .args(["dev", "--walkthrough"])
        .current_dir(folder.path())
        .output()
        .expect("a process");
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", text(&output.stderr));
    for part in ["200 OK", "cut when the grant ended", "Every step came out"] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let left = std::fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left, 0, "the walk-through keeps its data elsewhere");
}

#[test]
fn dev_refuses_a_folder_with_a_production_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("tidegate.yaml");
    std::fs::write(&config, "environment: production\n").expect("written");
    let data = folder.path().to_str().expect("text");
    let free = "127.0.0.1:0";
    let arguments =
        ["dev", "--data", data, "--proxy", free, "--api", free, "--idp", free, "--admin", free];
    let output = tidegate(&arguments, &[]);
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("production"));
    let kept = std::fs::read_to_string(&config).expect("still there");
    assert_eq!(kept, "environment: production\n");
}

#[test]
fn the_verbs_do_the_main_job() {
    let world = World::start();
    let api = format!("http://{}", world.gateway.api);
    let verb = |user: &str, arguments: &[&str]| {
        let token = world.token(user);
        let arguments = [arguments, &["--output", "json"]].concat();
        let output = tidegate(&arguments, &[("TIDEGATE_API", &api), ("TIDEGATE_TOKEN", &token)]);
        let body: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), body, text(&output.stderr))
    };
    let (code, request, told) = verb("alice", &["request", "reader", "--because", "disk is full"]);
    assert_eq!(code, Some(0), "{told}");
    let id = request["id"].as_str().expect("an id").to_owned();
    let (code, _, told) = verb("alice", &["approve", &id]);
    assert_eq!(code, Some(1), "nobody approves their own request: {told}");
    let (code, approved, told) = verb("bob", &["approve", &id]);
    assert_eq!((code, approved["status"].as_str()), (Some(0), Some("approved")), "{told}");
    assert_eq!(world.visit("alice").status, 200);
    let (code, grants, _) = verb("alice", &["grants"]);
    let grant = grants["items"][0]["id"].as_str().expect("a grant").to_owned();
    assert_eq!(code, Some(0));
    let (code, _, told) = verb("bob", &["revoke", &grant, "--reason", "over"]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(world.visit("alice").status, 403);
}

#[test]
fn exit_codes_tell_usage_from_refusal_from_unreachable() {
    let code = |arguments: &[&str], variables: &[(&str, &str)]| {
        tidegate(arguments, variables).status.code()
    };
    assert_eq!(code(&["--version"], &[]), Some(0));
    assert_eq!(code(&["nonsense"], &[]), Some(64));
    assert_eq!(code(&["serve", "--config", "/nowhere.yaml"], &[]), Some(64));
    assert_eq!(code(&["grants"], &[]), Some(64), "no token");
    let nobody = [("TIDEGATE_API", "http://127.0.0.1:1"), ("TIDEGATE_TOKEN", "a.b.c")];
    assert_eq!(code(&["grants"], &nobody), Some(69));
}

#[test]
fn a_bad_configuration_is_refused_whole_before_anything_is_bound() {
    let world = World::start();
    let config = world.folder.path().join("bad.yaml");
    let good = std::fs::read_to_string(world.folder.path().join("tidegate.yaml")).expect("a file");
    let bad = good
        .replace("127.0.0.1:0", &world.gateway.proxy.to_string())
        .replace("drain_timeout: 2s", "drain_timeuot: 2s")
        .replace("algorithms: [ES256]", "algorithms: [none]");
    std::fs::write(&config, bad).expect("written");
    let path = config.to_str().expect("text");
    for verb in ["serve", "check"] {
        let output = tidegate(&[verb, "--config", path], &[]);
        assert_eq!(output.status.code(), Some(64), "{verb}");
        let told = text(&output.stderr);
        // Had it bound first, the taken address would have been the complaint.
        assert!(told.contains("drain_timeuot") && told.contains("drain_timeout"), "{told}");
        assert!(told.contains("issuers[0].algorithms[0]"), "{told}");
    }
}

#[test]
fn production_refuses_the_bypass_of_the_policy() {
    let world = World::start();
    let config = world.folder.path().join("production.yaml");
    let good = std::fs::read_to_string(world.folder.path().join("tidegate.yaml")).expect("a file");
    let production = good.replace("environment: development", "environment: production");
    std::fs::write(&config, production).expect("written");
    let arguments = ["serve", "--config", config.to_str().expect("text")];
    let output = tidegate(&arguments, &[("TIDEGATE_POLICY_BYPASS", "1")]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("TIDEGATE_POLICY_BYPASS"), "{}", text(&output.stderr));
}

#[test]
fn check_looks_into_key_files_and_the_store() {
    let mut world = World::start();
    let config = world.folder.path().join("tidegate.yaml");
    let check = || tidegate(&["check", "--config", config.to_str().expect("text")], &[]);
    assert_eq!(check().status.code(), Some(0), "{}", text(&check().stderr));
    world.gateway.stop();
    std::fs::write(world.folder.path().join("seal.key"), [8; 32]).expect("written");
    std::fs::write(world.folder.path().join("jwks.json"), "no keys").expect("written");
    let output = check();
    assert_eq!(output.status.code(), Some(64));
    let told = text(&output.stderr);
    assert!(told.contains("jwks.json") && told.contains("sealed with another key"), "{told}");
}

#[test]
fn a_second_process_on_the_same_store_is_told_who_holds_it() {
    let world = World::start();
    let config = world.folder.path().join("tidegate.yaml");
    let output = tidegate(&["serve", "--config", config.to_str().expect("text")], &[]);
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
    let told = text(&output.stderr);
    assert!(told.contains(&world.gateway.pid().to_string()), "{told}");
}

#[test]
fn an_embedded_store_is_reconciled_only_while_nobody_holds_it() {
    let mut world = World::start();
    let config = world.folder.path().join("tidegate.yaml");
    let reconcile = || {
        let config = config.to_str().expect("text");
        let output = tidegate(&["store", "reconcile", "--config", config], &[]);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, told) = reconcile();
    assert_eq!(code, Some(78), "{told}");
    assert!(told.contains("one process owns an embedded store"), "{told}");
    world.gateway.stop();
    let (code, told, error) = reconcile();
    assert_eq!(code, Some(0), "{error}");
    assert!(told.contains("nobody to ask") && told.contains("nothing to do: 64"), "{told}");
    std::fs::remove_dir_all(world.folder.path().join("store")).expect("removed");
    let (code, _, told) = reconcile();
    assert_eq!(code, Some(78), "{told}");
    assert!(told.contains("there is no store in it"), "{told}");
}

#[test]
fn the_example_of_a_company_is_a_good_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("seal.key");
    std::fs::write(&key, [7; 32]).expect("written");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("changed");
    let data = folder.path().join("data");
    let variables = [
        ("TIDEGATE_SEAL_KEY_FILE", key.to_str().expect("text")),
        ("TIDEGATE_DATA", data.to_str().expect("text")),
    ];
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/company/tidegate.yaml");
    let output = tidegate(&["check", "--config", config], &variables);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "and without a warning");
}
