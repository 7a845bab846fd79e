use super::harness::World;

#[tokio::test]
async fn one_s_own_decision_is_explained_and_somebody_else_s_looks_like_none() {
    let world = World::new();
    let own = world.call("alice", "GET /decisions/alices", None, &[]).await;
    assert_eq!((own.status.as_u16(), own.body["id"].as_str()), (200, Some("alices")));
    for who in ["dave", "bob", "root"] {
        let foreign = world.call(who, "GET /decisions/alices", None, &[]).await;
        let unknown = world.call(who, "GET /decisions/nothing", None, &[]).await;
        assert_eq!(foreign.problem(), (404, "not-found".into()), "{who}");
        assert_eq!(unknown.problem(), foreign.problem());
        assert_eq!(unknown.body["detail"], foreign.body["detail"]);
    }
    for id in ["alices", "nobodys"] {
        let read = world.call("erin", &format!("GET /decisions/{id}"), None, &[]).await;
        assert_eq!(read.status, 200);
    }
    let nobodys = world.call("alice", "GET /decisions/nobodys", None, &[]).await;
    assert_eq!(nobodys.problem().0, 404);
}

#[tokio::test]
async fn an_explanation_is_worked_out_for_nobody_who_may_not_read_it() {
    let world = World::new();
    for who in ["dave", "bob", "root"] {
        let foreign = world.call(who, "GET /decisions/untold", None, &[]).await;
        assert_eq!(foreign.problem(), (404, "not-found".into()), "{who}");
    }
}

#[tokio::test]
async fn a_decision_of_another_instance_is_told_to_be_there() {
    let world = World::new();
    let elsewhere = world.call("alice", "GET /decisions/other-1-7", None, &[]).await;
    assert_eq!(elsewhere.problem(), (404, "not-found".into()));
    assert!(elsewhere.body["detail"].as_str().unwrap().contains("instance other"));
}

#[tokio::test]
async fn a_policy_that_denies_or_cannot_answer_explains_nothing() {
    let world = World::new();
    world.policy.deny.store(true, std::sync::atomic::Ordering::SeqCst);
    let denied = world.call("alice", "GET /decisions/alices", None, &[]).await;
    assert_eq!(denied.problem(), (404, "not-found".into()));
    world.policy.deny.store(false, std::sync::atomic::Ordering::SeqCst);
    world.policy.down.store(true, std::sync::atomic::Ordering::SeqCst);
    let down = world.call("erin", "GET /decisions/alices", None, &[]).await;
    assert_eq!(down.problem(), (503, "policy-unreachable".into()));
}

#[tokio::test]
async fn a_refusal_of_the_api_itself_is_explained_to_who_was_refused() {
    let world = World::new();
    let refused = world.call("alice", "GET /audit/events?after=hush", None, &[]).await;
    assert_eq!(refused.problem(), (403, "policy-denied".into()));
    let id = refused.body["decision_id"].as_str().expect("an id").to_owned();
    let path = format!("GET /decisions/{id}");
    let own = world.call("alice", &path, None, &[]).await;
    assert_eq!(own.status, 200, "{}", own.text);
    assert_eq!(own.body["call"]["route"], "GET /api/v1/audit/events");
    assert_eq!(own.body["reason"], "policy-denied");
    assert_eq!(own.body["policy"]["policy"], "resource.test.vdefault");
    assert_eq!(own.body["roles"][0]["role"], "user");
    assert_eq!(own.body["subject"]["name"], "alice");
    assert!(!own.text.contains("hush"));
    assert_eq!(world.call("dave", &path, None, &[]).await.problem().0, 404);
    assert_eq!(world.call("erin", &path, None, &[]).await.status, 200);
}
