use std::time::Duration;

use serde_json::json;

use crate::harness::gateway::Gateway;
use crate::harness::{World, eventually, oracle};

#[test]
fn a_request_is_refused_until_it_is_approved_and_after_it_is_revoked() {
    let world = World::start();
    let refused = world.visit("alice");
    assert_eq!((refused.status, refused.problem().as_str()), (403, "no-grant"));
    let told = refused.json();
    assert_eq!(told["templates"][0]["name"], "operator");
    assert_eq!(told["templates"][1]["durations"], json!(["PT1H", "PT8H"]));
    assert!(told["request_url"].as_str().is_some_and(|url| url.starts_with("http")));

    let request = world.grant("alice");
    assert_eq!(request["status"], "approved");
    let allowed = world.visit("alice");
    assert_eq!((allowed.status, allowed.text().as_str()), (200, "hello"));
    assert!(allowed.header("tidegate-decision-id").is_some());
    assert_eq!(allowed.header("tidegate-subject"), None, "an upstream cannot forge our headers");

    let grant = request["grants"][0].as_str().expect("a grant");
    let seen = world.upstream.last();
    assert_eq!(seen.header("tidegate-subject"), Some("alice"));
    assert_eq!(seen.header("tidegate-grants"), Some(grant));
    assert_eq!(seen.header("authorization"), None, "the credential stays here");

    let body = json!({ "reason": "incident over" });
    let revoked = world.api("bob").post(&format!("/grants/{grant}/revoke"), &body);
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let refused = world.visit("alice");
    assert_eq!((refused.status, refused.problem().as_str()), (403, "grant-revoked"));
}

#[test]
fn each_access_mode_asks_for_what_the_table_says_and_no_less() {
    let world = World::start();
    let status = |target: &str, user: Option<&str>| {
        let token = user.map(|user| world.token(user));
        world.proxy().get("warehouse.localhost", target, token.as_deref()).status
    };
    assert_eq!(status("/healthz", None), 200);
    assert_eq!((status("/me", None), status("/me", Some("alice"))), (401, 200));
    assert_eq!((status("/policy", None), status("/policy", Some("alice"))), (401, 403));
    assert_eq!((status("/", None), status("/", Some("alice"))), (401, 403));
    world.grant("alice");
    assert_eq!(status("/", Some("alice")), 200);
    assert_eq!(status("/", Some("erin")), 403);
}

#[test]
fn a_viewer_may_read_and_not_write() {
    let world = World::start();
    world.grant("alice");
    let bearer = format!("Bearer {}", world.token("alice"));
    let headers = [("authorization", bearer.as_str())];
    let answer = world.proxy().send("POST", "warehouse.localhost", "/write", &headers, b"x");
    assert_eq!((answer.status, answer.problem().as_str()), (403, "policy-denied"));
    let answer = world.proxy().send("DELETE", "warehouse.localhost", "/", &headers, b"");
    assert_eq!((answer.status, answer.problem().as_str()), (403, "policy-denied"));
    assert!(answer.json()["detail"].as_str().is_some_and(|text| text.contains("no rule lists")));
}

#[test]
fn a_suspended_role_is_denied_with_a_live_grant() {
    let world = World::start();
    world.grant("dave-like");
    let claims = json!({
        "iss": crate::harness::tokens::ISSUER, "aud": crate::harness::tokens::AUDIENCE,
        "sub": "dave-like", "exp": crate::harness::tokens::now() + 60, "roles": ["suspended"],
    });
    let token = world.issuer.mint(&claims);
    let answer = world.proxy().get("warehouse.localhost", "/", Some(&token));
    assert_eq!((answer.status, answer.problem().as_str()), (403, "policy-denied"));
}

#[test]
fn a_path_prefix_is_stripped_and_told() {
    let world = World::start();
    world.grant("alice");
    let token = world.token("alice");
    let answer = world.proxy().get("anything.test", "/warehouse/a/b?q=1", Some(&token));
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = world.upstream.last();
    assert_eq!(seen.target, "/a/b?q=1");
    assert_eq!(seen.header("x-forwarded-prefix"), Some("/warehouse"));
    let answer = world.proxy().get("anything.test", "/warehousex/a", Some(&token));
    assert_eq!((answer.status, answer.problem().as_str()), (404, "no-route"));
}

#[test]
fn two_steps_of_several_people_lead_to_one_grant() {
    let world = World::start();
    let id = world.api("alice").submit("operator")["id"].as_str().expect("an id").to_owned();
    let approve = |user: &str| world.api(user).post(&format!("/requests/{id}/approve"), &json!({}));
    assert_eq!(approve("alice").status, 403);
    assert_eq!(approve("carol").status, 403, "security comes second");
    assert_eq!(approve("bob").json()["status"], "pending");
    assert_eq!(approve("bob").status, 409, "a person counts once");
    assert_eq!(approve("ben").json()["status"], "pending");
    let done = approve("carol").json();
    assert_eq!(
        (done["status"].as_str(), done["grants"].as_array().map(Vec::len)),
        (Some("approved"), Some(1))
    );
    let bearer = format!("Bearer {}", world.token("alice"));
    let headers = [("authorization", bearer.as_str())];
    let answer = world.proxy().send("POST", "warehouse.localhost", "/write", &headers, b"x");
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn the_bypass_replaces_the_policys_answer_and_nothing_else() {
    let mut world = World::start();
    world.gateway.stop();
    let bypass = "export TIDEGATE_POLICY_BYPASS=1";
    world.gateway = Gateway::limited(world.folder.path(), "info", bypass);
    assert_eq!(world.visit("alice").problem(), "no-grant", "the grant is still demanded");
    let nobody = world.proxy().get("warehouse.localhost", "/policy", None);
    assert_eq!(nobody.status, 401, "identity is still demanded");
    world.grant("alice");
    let bearer = format!("Bearer {}", world.token("alice"));
    let headers = [("authorization", bearer.as_str())];
    let answer = world.proxy().send("POST", "warehouse.localhost", "/write", &headers, b"x");
    assert_eq!(answer.status, 200, "a viewer may write: {answer:?}");
    assert!(world.gateway.log().contains("bypassed"));
    let recorded = || {
        let events = oracle::events(&world.audit_file());
        events.iter().any(|event| event["data"]["authz.reason"] == "bypassed").then_some(())
    };
    eventually("the record", Duration::from_secs(5), recorded);
}

#[test]
fn metrics_and_probes_tell_how_it_stands() {
    let world = World::start();
    world.visit("alice");
    let mut admin = crate::harness::client::Client::new(world.gateway.admin);
    assert_eq!(admin.get("admin", "/livez", None).status, 200);
    assert_eq!(admin.get("admin", "/readyz", None).status, 200);
    let metrics = admin.get("admin", "/metrics", None).text();
    let counted =
        "tidegate_requests_total{tool=\"warehouse\",outcome=\"refused\",reason=\"no-grant\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}
