//! Who hears of what becomes of a request and of its grant.

use serde_json::json;

use super::receiver::{Receiver, Reply};
use super::{Hook, Kept, Scene, names, recipients, template, told};

on_both_stores!(
    everybody_concerned_hears_of_each_decision_but_who_made_it,
    escalation_is_told_to_those_who_may_decide_from_then_on,
    what_nobody_decided_and_what_ran_out_is_told,
);

fn scene(kept: Kept, templates: &serde_json::Value) -> (Scene, Receiver) {
    let receiver = Receiver::start(Reply::Status(200));
    (Scene::start(kept, templates, &[Hook::to("siem", &receiver)]), receiver)
}

fn everybody_concerned_hears_of_each_decision_but_who_made_it(kept: Kept) {
    let leads = json!({ "approvers": { "groups": ["leads"] } });
    let security = json!({ "approvers": { "groups": ["security"] } });
    let two = template("two", &["leads"], &json!({ "steps": [leads, security] }));
    let (scene, receiver) = scene(kept, &json!([two, template("one", &["leads"], &json!({}))]));

    let id = scene.ask("alice", "two");
    let (of, at) = (format!("requests/{id}"), |verb: &str| format!("/requests/{id}/{verb}"));
    scene.act("bob", &at("approve"), &json!({ "comment": "fine with me" }));
    let step = told(&receiver, "request.step-approved", &of);
    assert_eq!(recipients(&step), names(&["alice", "bea", "ben", "carol"]));
    assert_eq!(step.event["data"]["actor"], json!({ "type": "person", "name": "bob" }));
    assert_eq!(scene.act("carol", &at("approve"), &json!({}))["status"], "approved");
    let approved = told(&receiver, "request.approved", &of);
    assert_eq!(recipients(&approved), names(&["alice", "bea", "ben", "bob"]));

    let grants = scene.world.api("alice").get("/grants").json();
    let grant = grants["items"][0]["id"].as_str().expect("a grant").to_owned();
    scene.act("bob", &format!("/grants/{grant}/revoke"), &json!({ "reason": "over" }));
    let revoked = told(&receiver, "grant.revoked", &format!("grants/{grant}"));
    assert_eq!(recipients(&revoked), names(&["alice", "carol"]));
    assert_eq!(revoked.event["data"]["reason"], "over");

    let id = scene.ask("frank", "one");
    scene.act("bea", &format!("/requests/{id}/deny"), &json!({ "reason": "not today" }));
    let denied = told(&receiver, "request.denied", &format!("requests/{id}"));
    assert_eq!(recipients(&denied), names(&["ben", "bob", "frank"]));
    assert_eq!(denied.event["data"]["reason"], "not today");

    let id = scene.ask("frank", "one");
    scene.act("frank", &format!("/requests/{id}/cancel"), &json!({}));
    let cancelled = told(&receiver, "request.cancelled", &format!("requests/{id}"));
    assert_eq!(recipients(&cancelled), names(&["bea", "ben", "bob", "frank"]));
}

fn escalation_is_told_to_those_who_may_decide_from_then_on(kept: Kept) {
    let more = json!({
        "notify": { "policy": "first_n" },
        "escalation": { "after": "PT1S", "groups": ["security"] },
    });
    let (scene, receiver) = scene(kept, &json!([template("urgent", &["leads"], &more)]));
    let id = scene.ask("alice", "urgent");
    let of = format!("requests/{id}");
    assert_eq!(recipients(&told(&receiver, "request.submitted", &of)), names(&["bea"]));
    let escalated = told(&receiver, "request.escalated", &of);
    assert_eq!(recipients(&escalated), names(&["alice", "carol"]));
    assert_eq!(escalated.event["data"]["actor"]["type"], "system");
    scene.act("carol", &format!("/requests/{id}/approve"), &json!({}));
    assert_eq!(recipients(&told(&receiver, "request.approved", &of)), names(&["alice", "bea"]));
}

fn what_nobody_decided_and_what_ran_out_is_told(kept: Kept) {
    let short = json!({ "durations": ["PT3S"], "warn_before_end": "PT2S" });
    let templates = json!([
        template("forgotten", &["leads"], &json!({ "pending_for": "PT1S" })),
        template("short", &["leads"], &short),
    ]);
    let (scene, receiver) = scene(kept, &templates);
    let forgotten = scene.ask("alice", "forgotten");
    let expired = told(&receiver, "request.expired", &format!("requests/{forgotten}"));
    assert_eq!(recipients(&expired), names(&["alice", "bea", "ben", "bob"]));

    let id = scene.ask("frank", "short");
    let approved = scene.act("bob", &format!("/requests/{id}/approve"), &json!({}));
    let grant = format!("grants/{}", approved["grants"][0].as_str().expect("a grant"));
    assert_eq!(recipients(&told(&receiver, "grant.expiring", &grant)), names(&["frank"]));
    assert_eq!(recipients(&told(&receiver, "grant.expired", &grant)), names(&["frank"]));
    let kinds: Vec<String> = receiver
        .calls()
        .iter()
        .filter(|call| call.text("subject") == grant)
        .map(|call| call.kind().to_owned())
        .collect();
    assert_eq!(kinds, ["grant.activated", "grant.expiring", "grant.expired"], "once, in order");
}
