//! The kill switch for a tool: it binds the very next request, and the records follow.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{World, eventually, oracle};

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items");
    items.iter().filter_map(|item| item["id"].as_str()).collect()
}

fn told<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    let kind = format!("dev.tidegate.{kind}.v1");
    events.iter().filter(|event| event["type"] == kind.as_str()).collect()
}

#[test]
fn a_kill_switch_ends_what_was_granted_and_asked_and_nothing_that_comes_after() {
    let world = World::start();
    let granted = world.grant("alice");
    let grant = granted["grants"][0].as_str().expect("a grant").to_owned();
    let waiting = world.api("nina").submit("reader")["id"].as_str().expect("an id").to_owned();
    assert_eq!(world.visit("alice").status, 200);

    let body = json!({ "tool": "warehouse", "reason": "incident 7" });
    assert_eq!(world.api("bob").post("/revocations", &body).problem(), "policy-denied");
    assert_eq!(world.visit("alice").status, 200);
    let thrown = world.api("carol").post("/revocations", &body);
    assert_eq!(thrown.status, 200, "{thrown:?}");
    let refused = world.visit("alice");
    assert_eq!((refused.status, refused.problem().as_str()), (403, "grant-revoked"));

    eventually("the records to follow", Duration::from_secs(10), || {
        let mut api = world.api("carol");
        let revoked = api.get("/grants?status=revoked").json();
        let cancelled = api.get("/requests?status=cancelled").json();
        let expected = (vec![grant.as_str()], vec![waiting.as_str()]);
        ((ids(&revoked), ids(&cancelled)) == expected).then_some(())
    });
    let events = eventually("the events to follow", Duration::from_secs(10), || {
        let events = oracle::events(&world.audit_file());
        let count = told(&events, "grant.revoked").len() + told(&events, "request.cancelled").len();
        (count == 2).then_some(events)
    });
    for event in [told(&events, "grant.revoked")[0], told(&events, "request.cancelled")[0]] {
        assert_eq!(event["data"]["reason"], "incident 7");
        assert_eq!(event["data"]["actor"], json!({ "type": "person", "name": "carol" }));
    }
    let late = world.api("bob").post(&format!("/requests/{waiting}/approve"), &json!({}));
    assert_eq!((late.status, late.problem().as_str()), (409, "already-decided"));
    assert_eq!(world.visit("alice").problem(), "grant-revoked");

    world.grant("alice");
    assert_eq!(world.visit("alice").status, 200, "what comes after the kill counts");
}

#[test]
fn a_kill_that_was_not_recorded_before_a_crash_is_recorded_after_it() {
    let mut world = World::start();
    world.oracle = false;
    let granted = world.grant("alice");
    let grant = granted["grants"][0].as_str().expect("a grant");
    let body = json!({ "template": "reader", "reason": "incident 8" });
    assert_eq!(world.api("carol").post("/revocations", &body).status, 200);
    world.gateway.kill();
    world.gateway = crate::harness::gateway::Gateway::start(world.folder.path());
    assert_eq!(world.visit("alice").problem(), "grant-revoked");
    eventually("the record to follow", Duration::from_secs(10), || {
        let revoked = world.api("carol").get("/grants?status=revoked").json();
        (ids(&revoked) == [grant]).then_some(())
    });
    let told = eventually("the event", Duration::from_secs(10), || {
        let events = oracle::events(&world.audit_file());
        let ids: std::collections::BTreeSet<String> =
            told(&events, "grant.revoked").iter().map(|event| event["id"].to_string()).collect();
        (!ids.is_empty()).then_some(ids)
    });
    assert_eq!(told.len(), 1, "once, whichever process swept");
}
