//! What a request is refused for by the rules of its template, over the API.

use std::sync::Arc;

use serde_json::json;

use super::harness::World;
use crate::domain::people::{Member, People};

fn people(groups: &[(&str, &[&str])]) -> Arc<People> {
    let member = |name: &&str| Member { name: (*name).into(), email: None };
    let groups = groups
        .iter()
        .map(|(name, members)| (Arc::from(*name), members.iter().map(member).collect()));
    Arc::new(People::merged([&groups.collect()]))
}

#[tokio::test]
async fn duties_that_conflict_are_refused_at_request_and_at_approval() {
    let world = World::new();
    let conflict = || vec!["notes:operator".parse().expect("an access")];
    world.change("pair", |template| template.rules.conflicts_with = conflict());
    let early = world.ask("alice", "pair").await.id();
    assert_eq!(world.approve("lead1", &early).await.status, 200);
    let (_, grant) = world.granted("alice").await;
    let refused = world.approve("lead2", &early).await;
    assert_eq!(refused.problem(), (409, "duties-conflict".into()));
    assert!(refused.text.contains("pair:operator must not be held together with notes:operator"));
    let shown = world.get("alice", &format!("/requests/{early}")).await;
    assert_eq!(shown.body["status"], "pending");
    assert_eq!(
        world.post("alice", &format!("/requests/{early}/cancel"), json!({})).await.status,
        200
    );
    assert_eq!(world.ask("alice", "pair").await.problem(), (409, "duties-conflict".into()));

    let released = world.post("alice", &format!("/grants/{grant}/release"), json!({})).await;
    assert_eq!(released.status, 200);
    let pair = world.ask("alice", "pair").await.id();
    assert_eq!(world.approve("lead1", &pair).await.status, 200);
    assert_eq!(world.approve("lead2", &pair).await.body["status"], "approved");
    // The other way round: the grant remembers what its template said.
    world.change("pair", |template| template.rules.conflicts_with = Vec::new());
    assert_eq!(world.ask("alice", "notes").await.problem(), (409, "duties-conflict".into()));
}

#[tokio::test]
async fn what_nobody_could_approve_is_refused_as_far_as_the_directory_knows() {
    let world = World::new();
    world.api.people.store(people(&[("on-call-leads", &["bob"]), ("security", &["alice"])]));
    let pair = world.ask("alice", "pair").await;
    assert_eq!(pair.problem(), (403, "not-eligible".into()));
    assert!(pair.text.contains("no eligible approver: step 1 needs 2"), "{}", pair.text);
    let vault = world.ask("alice", "vault").await;
    assert!(vault.text.contains("no eligible approver: step 2 needs 1"), "{}", vault.text);
    assert_eq!(world.ask("dave", "vault").await.status, 201);
    // Bob is in the directory; who decides is in their own token.
    let id = world.ask("alice", "notes").await.id();
    assert_eq!(world.approve("lead7", &id).await.status, 200);
    world.api.people.store(people(&[]));
    assert_eq!(world.ask("alice", "pair").await.status, 201);
}

#[tokio::test]
async fn whoever_was_asked_for_is_known_by_the_address_in_the_directory() {
    let world = World::new();
    let alice = Member { name: "alice".into(), email: Some("alice@example.test".into()) };
    let groups = [(Arc::from("engineering"), vec![alice])].into();
    world.api.people.store(Arc::new(People::merged([&groups])));
    let mut template = (*world.api.catalog.load().templates["notes"]).clone();
    template.requesters = crate::domain::template::Requesters::Anyone;
    let mut catalog = (**world.api.catalog.load()).clone();
    catalog.templates.insert("notes".into(), Arc::new(template));
    world.api.catalog.store(Arc::new(catalog));
    let body = json!({ "template": "notes", "justification": "INC-1", "subject": "alice" });
    let asked = world.call("root", "POST /requests", Some(body), &[]).await.id();
    let seen = world.get("bob", &format!("/requests/{asked}")).await;
    assert_eq!(seen.body["requester"]["email"], "alice@example.test", "{}", seen.text);
}
