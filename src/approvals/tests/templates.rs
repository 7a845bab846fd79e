use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::templates::refresh;
use super::harness::{Policy, World, api};
use crate::catalog::Turned;
use crate::domain::made;
use crate::domain::people::{Member, People};
use crate::domain::template::Catalog;
use crate::store::keys;

fn body() -> Value {
    json!({
        "enabled": true,
        "accesses": ["notes:operator"],
        "durations": ["PT30M", "PT1H"],
        "steps": [{ "approvers": { "groups": ["on-call-leads"] }, "required": 1 }],
    })
}

async fn put(
    world: &World,
    who: &str,
    body: Value,
    headers: &[(&str, &str)],
) -> super::harness::Reply {
    world.call(who, "PUT /templates/new", Some(body), headers).await
}

fn changed(key: &str, value: Value) -> Value {
    let mut body = body();
    body[key] = value;
    body
}

#[tokio::test]
async fn a_template_that_was_made_over_the_api_can_be_asked_for_at_once() {
    let world = World::new();
    let made = put(&world, "root", body(), &[]).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.headers["etag"], "\"1\"");
    assert_eq!(made.headers["location"], "/api/v1/templates/new");
    assert_eq!((&made.body["origin"], &made.body["version"]), (&json!("api"), &json!("1")));
    let asked = world.ask("alice", "new").await;
    assert_eq!(asked.status, 201, "{}", asked.text);
    assert_eq!(asked.body["template_version"], "1");
    // The request stays under the version that it was made under.
    let again = put(&world, "root", changed("title", json!("Another")), &[]).await;
    assert_eq!((again.status, &again.body["version"]), (StatusCode::OK, &json!("2")));
    let shown = world.get("alice", &format!("/requests/{}", asked.id())).await;
    assert_eq!(shown.body["template_version"], "1");
    assert_eq!(world.approve("bob", &asked.id()).await.status, 200);
}

#[tokio::test]
async fn what_is_shown_of_a_template_can_be_put_again_and_changes_nothing() {
    let world = World::new();
    put(&world, "root", body(), &[]).await;
    let shown = world.get("root", "/templates/new").await;
    assert_eq!((shown.status, &shown.headers["etag"]), (StatusCode::OK, &"\"1\"".parse().unwrap()));
    let again = put(&world, "root", shown.body["template"].clone(), &[]).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &shown.body));
    let events = world.get("erin", "/audit/events?type=dev.tidegate.template.changed.v1").await;
    assert_eq!(events.body["items"].as_array().map(Vec::len), Some(1), "{}", events.text);
    let event = &events.body["items"][0];
    assert_eq!(event["subject"], "templates/new");
    assert_eq!((&event["authid"], &event["data"]["after"]["version"]), (&json!("root"), &json!(1)));
}

#[tokio::test]
async fn the_audit_says_which_parts_of_a_template_changed() {
    let world = World::new();
    put(&world, "root", body(), &[]).await;
    put(&world, "root", changed("self_approval", json!(true)), &[]).await;
    let events = world.get("erin", "/audit/events?type=dev.tidegate.template.changed.v1").await;
    let data = &events.body["items"][1]["data"];
    assert_eq!(data["after"]["changed"], json!(["self_approval"]), "{}", events.text);
    assert_ne!(data["before"]["digest"], data["after"]["digest"]);
    assert_eq!(data["after"]["digest"].as_str().map(str::len), Some(64));
}

#[tokio::test]
async fn only_those_whom_the_policy_lets_change_templates_and_nobody_else_learns_what_is_there() {
    let world = World::new();
    let before = put(&world, "alice", body(), &[]).await;
    assert_eq!(before.problem(), (403, "policy-denied".into()));
    put(&world, "root", changed("enabled", json!(false)), &[]).await;
    let after = put(&world, "alice", body(), &[]).await;
    assert_eq!(after.body["detail"], before.body["detail"]);
    assert_eq!(world.get("alice", "/templates/new").await.problem(), (404, "not-found".into()));
    assert_eq!(world.get("alice", "/templates/none").await.problem(), (404, "not-found".into()));
    let names = |reply: &super::harness::Reply| -> Vec<String> {
        let items = reply.body["items"].as_array().expect("items").iter();
        items.map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
    };
    let (hers, all) =
        (world.get("alice", "/templates").await, world.get("erin", "/templates").await);
    assert!(!names(&hers).contains(&"new".to_owned()) && names(&all).contains(&"new".to_owned()));
    assert!(!names(&hers).contains(&"hidden".to_owned()), "nor those of files");
    let deleted = world.call("alice", "DELETE /templates/new", None, &[]).await;
    assert_eq!(deleted.problem(), (403, "policy-denied".into()));
}

#[tokio::test]
async fn every_problem_of_a_template_comes_at_once_with_its_pointer() {
    let world = World::new();
    let bad = json!({
        "name": "other", "accesses": ["wiki:x"], "durations": ["PT0S"], "colour": "red", "a/b": 1,
        "steps": [{ "approvers": { "groups": [], "any": true } }], "fields": [{ "name": "x" }],
        "triggers": [],
    });
    let refused = put(&world, "root", bad, &[]).await;
    assert_eq!(refused.problem(), (422, "invalid-input".into()));
    let errors = refused.body["errors"].as_array().expect("errors").iter();
    let mut found: Vec<(&str, &str)> = errors
        .map(|it| (it["pointer"].as_str().expect("text"), it["code"].as_str().expect("text")))
        .collect();
    found.sort_unstable();
    let expected = [
        ("/accesses/0", "invalid"),
        ("/a~1b", "unknown-field"),
        ("/colour", "unknown-field"),
        ("/durations/0", "invalid"),
        ("/fields/0/type", "required"),
        ("/steps/0/approvers", "invalid"),
        ("/steps/0/approvers/groups", "invalid"),
        ("/triggers", "unsupported"),
    ];
    assert_eq!(found, expected);
    assert!(!world.api.catalog.load().templates.contains_key("new"));
    let named = put(&world, "root", changed("name", json!("other")), &[]).await;
    assert_eq!(named.pointers(), ["/name"]);
    let bad_name = world.call("root", "PUT /templates/a%20b", Some(body()), &[]).await;
    assert_eq!(bad_name.pointers(), ["/name"]);
}

#[tokio::test]
async fn a_body_that_is_no_single_object_is_refused() {
    let world = World::new();
    for text in ["[]", "1", "{", r#"{"enabled":true,"enabled":false}"#, "{} {}"] {
        let request = http::Request::put("/api/v1/templates/new")
            .header("authorization", "Bearer root")
            .header("content-type", "application/json");
        let request = request.body(axum::body::Body::from(text)).expect("a request");
        assert_eq!(world.send(request).await.problem(), (400, "bad-request".into()), "{text}");
    }
}

#[tokio::test]
async fn a_group_that_the_directory_does_not_know_is_refused_where_there_is_a_directory() {
    let world = World::new();
    let member = Member { name: "carol".into(), email: None };
    let groups: crate::domain::people::Groups = [("security".into(), vec![member])].into();
    world.api.people.store(Arc::new(People::merged([&groups])));
    let refused = put(&world, "root", body(), &[]).await;
    assert_eq!(refused.problem(), (422, "invalid-input".into()));
    assert_eq!(refused.pointers(), ["/steps/0/approvers/groups"]);
    assert_eq!(refused.body["errors"][0]["code"], "unknown-group");
    let steps = json!([{ "approvers": { "groups": ["security"] } }]);
    assert_eq!(put(&world, "root", changed("steps", steps), &[]).await.status, 201);
}

#[tokio::test]
async fn what_a_file_defines_is_changed_there() {
    let world = World::new();
    let put = world.call("root", "PUT /templates/notes", Some(body()), &[]).await;
    assert_eq!(put.problem(), (409, "conflict".into()));
    let deleted = world.call("root", "DELETE /templates/notes", None, &[]).await;
    assert_eq!(deleted.problem(), (409, "conflict".into()));
    let shown = world.get("root", "/templates/notes").await;
    assert_eq!(shown.body["origin"], "file");
}

#[tokio::test]
async fn a_change_depends_on_the_version_that_was_read_and_is_made_once_for_each_key() {
    let world = World::new();
    let early = put(&world, "root", body(), &[("if-match", "*")]).await;
    assert_eq!(early.problem(), (412, "precondition-failed".into()));
    let key = ("idempotency-key", "one");
    let first = put(&world, "root", body(), &[key]).await;
    let second = put(&world, "root", body(), &[key]).await;
    assert_eq!((first.status.as_u16(), &first.text), (second.status.as_u16(), &second.text));
    let other = put(&world, "root", changed("title", json!("Other")), &[key]).await;
    assert_eq!(other.problem(), (409, "idempotency-mismatch".into()));
    let fits = put(&world, "root", changed("title", json!("2")), &[("if-match", "\"1\"")]).await;
    assert_eq!(fits.headers["etag"], "\"2\"");
    let late = put(&world, "root", changed("title", json!("3")), &[("if-match", "\"1\"")]).await;
    assert_eq!(late.problem(), (412, "precondition-failed".into()));
}

#[tokio::test]
async fn who_may_only_make_templates_gets_the_same_answer_again_and_changes_none() {
    let world = World::new();
    let key = ("idempotency-key", "one");
    let first = put(&world, "mia", body(), &[key]).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = put(&world, "mia", body(), &[key]).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    let other = put(&world, "mia", changed("title", json!("Other")), &[key]).await;
    assert_eq!(other.problem(), (409, "idempotency-mismatch".into()));
    // Without a key the same content is nothing new either, and any other is a change.
    assert_eq!(put(&world, "mia", body(), &[]).await.status, 200);
    let other = put(&world, "mia", changed("title", json!("Other")), &[]).await;
    assert_eq!(other.problem(), (403, "policy-denied".into()));
    assert_eq!(put(&world, "root", changed("title", json!("Other")), &[]).await.status, 200);
    // What was changed meanwhile does not change what was answered.
    let again = put(&world, "mia", body(), &[key]).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(put(&world, "mia", body(), &[]).await.problem(), (403, "policy-denied".into()));
    assert_eq!(world.get("root", "/templates/new").await.body["template"]["title"], "Other");
    assert_eq!(put(&world, "dave", body(), &[]).await.problem(), (403, "policy-denied".into()));
}

#[tokio::test]
async fn a_deleted_template_is_gone_and_made_anew_under_the_next_number() {
    let world = World::new();
    put(&world, "root", body(), &[]).await;
    let asked = world.ask("alice", "new").await.id();
    let gone = world.call("root", "DELETE /templates/new", None, &[]).await;
    assert_eq!((gone.status, &gone.body["version"]), (StatusCode::OK, &json!("2")));
    assert_eq!(world.get("root", "/templates/new").await.status, 404);
    assert_eq!(world.ask("dave", "new").await.pointers(), ["/template"]);
    let again = world.call("root", "DELETE /templates/new", None, &[]).await;
    assert_eq!(again.problem(), (404, "not-found".into()));
    // What was asked for keeps its template.
    assert_eq!(world.approve("bob", &asked).await.status, 200);
    assert_eq!(put(&world, "root", body(), &[]).await.headers["etag"], "\"3\"");
}

#[tokio::test]
async fn another_process_takes_what_was_made_and_files_win_over_it() {
    let world = World::new();
    let (store, clock) = (world.api.store.clone(), world.clock.clone());
    let other = api(store, clock, Arc::new(Policy::default()));
    put(&world, "root", body(), &[]).await;
    assert!(other.catalog.load().is_partial, "not looked yet");
    refresh(&other).await.expect("it reads");
    let catalog = other.catalog.load_full();
    assert!(!catalog.is_partial && catalog.templates["new"].made == Some(1));
    refresh(&other).await.expect("it reads");
    assert!(Arc::ptr_eq(&catalog, &other.catalog.load_full()), "nothing moved");
    // A file of that name is read anew.
    let mut files = (*catalog).clone();
    files.templates.retain(|name, _| **name == *"new");
    let of_file =
        crate::domain::template::Template { made: None, ..(*files.templates["new"]).clone() };
    files.templates.insert("new".into(), Arc::new(of_file));
    let nothing = Vec::new;
    let hidden = Turned { hidden: vec!["new".into()], back: nothing() };
    assert_eq!(other.shelf.put_files(files.clone()), hidden);
    let merged = other.catalog.load_full();
    assert_eq!((merged.templates.len(), merged.templates["new"].made), (1, None));
    assert_eq!(merged.also_granted.len(), 1);
    // The same files again; then the file is gone.
    assert_eq!(other.shelf.put_files(files), Turned::default());
    let back = Turned { hidden: nothing(), back: vec!["new".into()] };
    assert_eq!(other.shelf.put_files(Catalog::default()), back);
    assert_eq!(other.catalog.load().templates["new"].made, Some(1));
}

#[tokio::test]
async fn a_template_that_cannot_be_read_is_not_there_and_its_roles_stay_those_of_grants() {
    let world = World::new();
    put(&world, "root", body(), &[]).await;
    let home = made::subject().key().partition(world.api.store.partitions());
    assert!(keys::template(home, "new").as_str().contains(":template:new"));
    let mut read = world.api.store.templates(None).await.expect("it reads").expect("all");
    for made in read.templates.values_mut() {
        made.content = made::Content::Unreadable("its seal does not verify");
    }
    world.api.shelf.put_made(read);
    let catalog = world.api.catalog.load_full();
    assert!(!catalog.templates.contains_key("new"));
    assert_eq!(catalog.also_granted, ["notes:operator".parse().expect("an access")]);
    assert_eq!(world.api.shelf.known(), None, "it is looked at again");
    // The next look, which whoever asks for it brings about, finds it whole again.
    assert_eq!(world.ask("alice", "new").await.status, 201);
}
