//! Templates over the API, several gateways, one Redis.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::eventually;

use super::servers::Server;
use super::world::RedisWorld;

const SOON: Duration = Duration::from_secs(20);

fn body(enabled: bool) -> Value {
    json!({
        "enabled": enabled, "accesses": ["warehouse:viewer"], "durations": ["PT1H"],
        "steps": [{ "approvers": { "groups": ["leads"] } }],
    })
}

fn put(world: &RedisWorld, node: usize, enabled: bool) -> u16 {
    world.api(node, "carol").call("PUT", "/templates/night", Some(&body(enabled))).status
}

fn offers(world: &RedisWorld, node: usize) -> bool {
    let catalog = world.api(node, "alice").get("/catalog").json();
    let items = catalog["items"].as_array().expect("items").iter();
    items.map(|item| &item["name"]).any(|name| name == "night")
}

#[test]
fn a_template_made_at_one_gateway_is_in_use_at_all_of_them() {
    let mut world = RedisWorld::patient(Server::redis(), 2);
    assert_eq!(put(&world, 0, true), 201);
    eventually("the other gateway to offer it", SOON, || offers(&world, 1).then_some(()));
    let request = world.api(1, "alice").submit("night");
    assert_eq!(request["template_version"], "1");
    let path = format!("/requests/{}", request["id"].as_str().expect("an id"));
    let preview = world.api(0, "bob").get(&format!("{path}/preview")).json();
    let rules = preview["accesses"][0]["rules"].as_array().expect("rules").iter();
    let told: Vec<_> =
        rules.map(|rule| (rule["path"].as_str(), rule["allowed"].as_bool())).collect();
    let expected = [
        (Some("/healthz"), Some(true)),
        (Some("/me"), Some(true)),
        (Some("/policy"), Some(true)),
        (Some("/**"), Some(true)),
        (Some("/write"), Some(false)),
    ];
    assert_eq!(told, expected, "{preview}");
    let approved = world.api(0, "bob").post(&format!("{path}/approve"), &json!({}));
    assert_eq!(approved.status, 200, "{approved:?}");
    assert_eq!((world.status(0, "alice"), world.status(1, "alice")), (200, 200));
    // Both have counted, and handed it on.
    let grant = approved.json()["grants"][0].as_str().expect("a grant").to_owned();
    eventually("the uses to be known", SOON, || {
        let grant = world.api(1, "alice").get(&format!("/grants/{grant}")).json();
        (grant["use"]["count"] == 2).then_some(())
    });
    assert_eq!(put(&world, 1, false), 200);
    eventually("it to be offered no more", SOON, || (!offers(&world, 0)).then_some(()));
    assert_eq!(world.status(0, "alice"), 200, "what was granted stays");
    // A gateway that starts later knows it from its first moment.
    assert_eq!(put(&world, 0, true), 200);
    world.join(|config| config);
    world.is_ready(2);
    assert!(offers(&world, 2));
}

#[test]
fn what_was_counted_is_handed_on_when_a_gateway_stops() {
    let mut world = RedisWorld::patient(Server::redis(), 2);
    let grant = world.grant("alice");
    for _ in 0..5 {
        assert_eq!(world.status(0, "alice"), 200);
    }
    world.nodes[0].gateway.stop();
    let shown = world.api(1, "alice").get(&format!("/grants/{grant}")).json();
    assert_eq!(shown["use"]["count"], 5, "{shown}");
}
