//! The real PDP as the engine of the real binary, and as its shadow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::harness::client::{Answer, Client};
use crate::harness::tokens::{AUDIENCE, ISSUER, Issuer, now};
use crate::harness::upstream::Upstream;
use crate::harness::{World, eventually, gateway};

#[path = "support/pdp.rs"]
#[expect(dead_code, reason = "shared with the tests inside")]
mod server;

use server::{Listens, Pdp, free_port};

const LONG: Duration = Duration::from_secs(30);

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// Policies that deny everything to everybody.
fn denying() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resource: tool\n  version: strict\n  rules:\n    - { actions: ['*'], effect: EFFECT_DENY, roles: ['*'] }\n";
    let text = text.replace("version: strict", "version: default");
    fs::write(folder.path().join("tool.yaml"), text).expect("written");
    folder
}

fn world(policy: &str) -> World {
    World::with(|config| config.replace("policy: { ", &format!("policy: {{ {policy}, ")))
}

fn engine(address: &str) -> String {
    format!("engine: cerbos, cerbos: {{ address: \"{address}\", timeout: 1s }}")
}

/// Somebody who may read by their claims.
fn viewer(world: &World) -> String {
    world.issuer.mint(&json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "vera", "exp": now() + 3600, "iat": now(),
        "roles": ["viewer"], "groups": ["engineering"],
    }))
}

fn visit(world: &World) -> Answer {
    world.proxy().get("warehouse.localhost", "/policy", Some(&viewer(world)))
}

fn is_let_in(world: &World) {
    eventually("the PDP to allow", LONG, || (visit(world).status == 200).then_some(()));
}

fn is_unreachable(world: &World) {
    let answer = visit(world);
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "policy-unreachable"),
        "{answer:?}"
    );
    assert!(answer.header("retry-after").is_some());
}

fn admin(world: &World, path: &str) -> Answer {
    Client::new(world.gateway.admin).get("admin.localhost", path, None)
}

fn metric(world: &World, series: &str) -> u64 {
    let text = admin(world, "/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().expect("a count"))
}

#[test]
fn a_killed_pdp_is_503_for_proxy_and_api_until_it_is_back() {
    let mut pdp = Pdp::start(&shipped());
    let world = world(&engine(&pdp.address()));
    is_let_in(&world);
    let denied = world.proxy().get("warehouse.localhost", "/policy", Some(&world.token("alice")));
    assert_eq!((denied.status, denied.problem().as_str()), (403, "policy-denied"));
    eventually("the gateway to be ready", LONG, || {
        (admin(&world, "/readyz").status == 200).then_some(())
    });
    pdp.kill();
    is_unreachable(&world);
    let refused = world.api("alice").get("/requests");
    assert_eq!((refused.status, refused.problem().as_str()), (503, "policy-unreachable"));
    let ready = admin(&world, "/readyz");
    assert!(ready.status == 503 && ready.text().contains("\"policy\""), "{ready:?}");
    assert!(metric(&world, "tidegate_policy_errors_total{kind=\"connection\"}") >= 2);
    pdp.launch();
    is_let_in(&world);
    eventually("the API to answer", LONG, || {
        (world.api("alice").get("/requests").status == 200).then_some(())
    });
}

#[test]
fn a_pdp_that_stands_still_is_left_at_the_deadline_and_asked_again_later() {
    let pdp = Pdp::start(&shipped());
    let world = world(&engine(&pdp.address()));
    is_let_in(&world);
    pdp.signal("STOP");
    for _ in 0..3 {
        is_unreachable(&world);
    }
    assert!(metric(&world, "tidegate_policy_errors_total{kind=\"deadline\"}") >= 1);
    pdp.signal("CONT");
    is_let_in(&world);
}

#[test]
fn without_its_pdp_production_does_not_start_and_development_waits_for_it() {
    let port = free_port();
    let address = format!("http://127.0.0.1:{port}");
    let folder = tempfile::tempdir().expect("a folder");
    let (issuer, upstream) = (Issuer::new(), Upstream::start());
    let config = gateway::configuration(&upstream)
        .replace("environment: development", "environment: production")
        .replace("policy: { ", &format!("policy: {{ {}, ", engine(&address)));
    gateway::write_files(folder.path(), &issuer, &config);
    let output = Command::new(gateway::binary())
        .args(["serve", "--config"])
        .arg(folder.path().join("tidegate.yaml"))
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{told}");
    assert!(told.contains("policy.engine: the PDP cannot be reached"), "{told}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("ready "));

    let world = world(&engine(&address));
    is_unreachable(&world);
    let _pdp = Pdp::listening(&shipped(), Listens::Tcp(port));
    is_let_in(&world);
}

#[test]
fn a_shadow_counts_what_it_would_decide_otherwise_and_changes_nothing() {
    let policies = denying();
    let mut pdp = Pdp::start(policies.path());
    let shadow = format!(
        "cerbos: {{ address: \"{}\", timeout: 5s }}, shadow: {{ engine: cerbos, sample: 1 }}",
        pdp.address()
    );
    let world = world(&shadow);
    let counted = |outcome: &str| {
        metric(&world, &format!("tidegate_policy_shadow_total{{outcome=\"{outcome}\"}}"))
    };
    for _ in 0..5 {
        assert_eq!(visit(&world).status, 200);
    }
    eventually("five differences", LONG, || (counted("differs") == 5).then_some(()));
    let denied = world.proxy().get("warehouse.localhost", "/policy", Some(&world.token("alice")));
    assert_eq!(denied.status, 403);
    eventually("one answer that is the same", LONG, || (counted("same") == 1).then_some(()));
    assert_eq!(world.api("alice").get("/requests").status, 200);
    eventually("the API to be compared", LONG, || (counted("differs") > 5).then_some(()));
    let log = world.gateway.log();
    assert!(log.contains("the shadow engine decides otherwise"), "{log}");
    assert!(log.contains("\"shadow_allowed\":false"), "{log}");
    assert!(!log.contains(&viewer(&world)[..40]), "a token in the log");
    pdp.kill();
    assert_eq!(visit(&world).status, 200);
    eventually("the lost shadow", LONG, || (counted("unreachable") >= 1).then_some(()));
    assert_eq!(admin(&world, "/readyz").status, 200);
}

#[test]
fn the_embedded_engine_can_be_the_shadow_of_a_pdp() {
    let pdp = Pdp::start(&shipped());
    let world =
        world(&format!("{}, shadow: {{ engine: embedded, sample: 1 }}", engine(&pdp.address())));
    is_let_in(&world);
    eventually("a comparison", LONG, || {
        (metric(&world, "tidegate_policy_shadow_total{outcome=\"same\"}") >= 1).then_some(())
    });
    assert_eq!(metric(&world, "tidegate_policy_shadow_total{outcome=\"differs\"}"), 0);
}
