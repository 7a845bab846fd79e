//! Whom the events of the API are for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::faults;
use super::harness::{World, template};
use crate::domain::course::Recipient;
use crate::domain::people::{Groups, Member, People};
use crate::domain::rules::Notify;
use crate::domain::template::{Approvers, Catalog, Step};

fn member(name: &str) -> Member {
    Member { name: name.into(), email: Some(format!("{name}@directory.test").into()) }
}

/// Templates whose leads are told one after the other.
fn with_turns(world: &World) {
    let leads = vec![member("bob"), member("lead-1"), member("lead-2")];
    let groups = Groups::from([("on-call-leads".into(), leads)]);
    world.api.people.store(Arc::new(People::merged([&groups])));
    let step = || {
        let approvers = Approvers::Groups(vec!["on-call-leads".into()]);
        Step { approvers, required: 1 }
    };
    let turns = |name: &str| {
        let mut template = template(name, vec![step()]);
        template.rules.notify = Notify::RoundRobin(1);
        (template.name.clone(), Arc::new(template))
    };
    let templates = [turns("notes"), turns("vault")].into();
    world.api.catalog.store(Arc::new(Catalog { templates, ..Catalog::default() }));
}

async fn submitted(world: &World) -> Vec<Value> {
    let path = "/audit/events?type=dev.tidegate.request.submitted.v1";
    let events = world.get("erin", path).await;
    let items = events.body["items"].as_array().expect("events").clone();
    items.iter().map(|event| event["data"]["notice"].clone()).collect()
}

/// The names in each notice, in no order: the requests are of different subjects.
async fn names(world: &World) -> Vec<String> {
    let notices = submitted(world).await;
    let name = |notice: &Value| notice["recipients"][0]["name"].as_str().map(ToOwned::to_owned);
    let mut names: Vec<String> = notices.iter().filter_map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn approvers_are_told_one_after_the_other_over_all_subjects() {
    let world = World::new();
    with_turns(&world);
    for who in ["alice", "dave", "frank"] {
        world.ask(who, "notes").await.id();
    }
    assert_eq!(names(&world).await, ["bob", "lead-1", "lead-2"]);
    // Another template has turns of its own.
    world.ask("alice", "vault").await.id();
    let again = names(&world).await;
    assert_eq!(again, ["bob", "lead-1", "lead-1", "lead-2"]);
}

#[tokio::test]
async fn a_turn_that_the_store_does_not_tell_keeps_nobody_from_asking() {
    let (world, faults) = faults::world();
    with_turns(&world);
    faults.draws.store(1, Ordering::SeqCst);
    world.ask("alice", "notes").await.id();
    assert_eq!(faults.draws.load(Ordering::SeqCst), 0);
    let names: BTreeSet<String> = names(&world).await.into_iter().collect();
    assert!(names.len() == 1 && ["bob", "lead-1", "lead-2"].iter().any(|it| names.contains(*it)));
}

#[tokio::test]
async fn history_names_who_was_told_without_addresses_and_the_log_has_them() {
    let world = World::new();
    with_turns(&world);
    let id = world.ask("alice", "notes").await.id();
    let notice = submitted(&world).await.remove(0);
    let link = format!("http://api.test/api/v1/requests/{id}");
    let recipients = json!([{ "kind": "person", "name": "lead-1" }]);
    assert_eq!(notice, json!({ "recipients": recipients, "link": link }));
    let partition = id.parse::<crate::domain::ids::RequestId>().expect("an id").partition;
    let events = world.api.store.read_events(partition, 0, 10).await.expect("read");
    let email = Some(Arc::from("lead-1@directory.test"));
    let lead = Recipient::Person { name: "lead-1".into(), email };
    assert_eq!(events[0].event.notify, [lead]);
}

#[tokio::test]
async fn the_requester_hears_of_the_decision_and_others_that_somebody_else_decided() {
    let world = World::new();
    with_turns(&world);
    let id = world.ask("alice", "notes").await.id();
    // It was the turn of lead-1.
    assert_eq!(world.approve("bob", &id).await.status, 200);
    let path = "/audit/events?type=dev.tidegate.request.approved.v1";
    let events = world.get("erin", path).await;
    let notice = &events.body["items"][0]["data"]["notice"]["recipients"];
    let person = |name: &str| json!({ "kind": "person", "name": name });
    assert_eq!(*notice, json!([person("alice"), person("lead-1")]), "{}", events.text);
}
