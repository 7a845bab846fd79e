use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::json;

use super::harness::World;
use crate::clock::Clock;

#[tokio::test]
async fn what_is_somebody_else_s_looks_like_what_is_not_there() {
    let world = World::new();
    let (request, grant) = world.granted("alice").await;
    let pending = world.ask("alice", "vault").await.id();
    let swap = |id: &str| {
        let (head, tail) = id.split_at(id.len() - 1);
        format!("{head}{}", if tail == "0" { "1" } else { "0" })
    };
    let far = "req_9999_00000000000000000000000000";
    let paths = |id: &str| {
        let base = format!("/requests/{id}");
        ["", "/steps", "/comments", "/permissions"].map(|tail| format!("GET {base}{tail}"))
    };
    let posts = |id: &str| {
        ["approve", "deny", "cancel", "steps/1/approve", "steps/1/deny"]
            .map(|verb| format!("POST /requests/{id}/{verb}"))
    };
    let mut seen = Vec::new();
    for id in [request.as_str(), &pending, &swap(&pending), far, "nonsense", "..", "%00"] {
        for line in paths(id).into_iter().chain(posts(id)) {
            let reply = world.call("dave", &line, None, &[]).await;
            assert_eq!(reply.problem(), (404, "not-found".into()), "{line}");
            let mut body = reply.body.clone();
            body["decision_id"] = json!(null);
            seen.push(body);
        }
    }
    for id in [&grant, &swap(&grant)] {
        for line in [format!("GET /grants/{id}"), format!("POST /grants/{id}/release")] {
            let mut body = world.call("dave", &line, None, &[]).await.body;
            body["decision_id"] = json!(null);
            seen.push(body);
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "the bodies differ");
    let own = world.get("dave", "/requests").await;
    assert_eq!(own.body["items"], json!([]));
    let named = world.get("dave", "/requests?subject=alice").await;
    assert_eq!(named.body["items"], json!([]));
}

#[tokio::test]
async fn lists_come_in_pages_that_miss_and_repeat_nothing() {
    let world = World::new();
    let mut asked = Vec::new();
    for number in 0..7 {
        world.clock.advance(std::time::Duration::from_secs(1));
        asked.push(world.ask(&format!("user{number}"), "notes").await.id());
    }
    let (mut found, mut path) = (Vec::new(), "/requests?limit=3&status=pending".to_owned());
    loop {
        let page = world.get("erin", &path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let items = page.body["items"].as_array().unwrap();
        found.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        let link = page.headers["link"].to_str().unwrap();
        assert!(link.contains(cursor) && link.ends_with("rel=\"next\""), "{link}");
        path = link.trim_start_matches("</api/v1").split('>').next().unwrap().to_owned();
    }
    asked.reverse();
    assert_eq!(found, asked);
    for query in ["limit=0", "limit=201", "limit=x", "cursor=x", "status=open", "colour=red"] {
        for kind in ["requests", "grants"] {
            let reply = world.get("erin", &format!("/{kind}?{query}")).await;
            assert_eq!(reply.problem(), (422, "invalid-input".into()), "{kind} {query}");
        }
    }
}

#[tokio::test]
async fn audit_events_are_read_on_from_where_the_last_page_ended() {
    let world = World::new();
    for name in ["alice", "dave", "u1", "u2"] {
        world.granted(name).await;
    }
    let (mut ids, mut path) = (Vec::new(), "/audit/events?limit=3".to_owned());
    let end = loop {
        let page = world.get("erin", &path).await;
        let items = page.body["items"].as_array().expect("items");
        ids.extend(items.iter().map(|item| item["id"].to_string()));
        match page.body["next_cursor"].as_str() {
            Some(cursor) => path = format!("/audit/events?limit=3&after={cursor}"),
            None => break page.body["position"].as_str().unwrap().to_owned(),
        }
    };
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((all, ids.len()), (12, 12));
    let (request, _) = world.granted("late").await;
    let later = world.get("erin", &format!("/audit/events?after={end}")).await;
    assert_eq!(later.body["items"].as_array().map(Vec::len), Some(3));
    let one = world.get("erin", &format!("/audit/events?subject=requests/{request}")).await;
    assert_eq!(one.body["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(world.get("alice", "/audit/events").await.problem(), (403, "policy-denied".into()));
    assert_eq!(world.get("erin", "/audit/events?after=AA").await.problem().0, 422);
}

#[tokio::test]
async fn the_permission_map_says_what_would_work_now() {
    let world = World::new();
    let id = world.ask("alice", "vault").await.id();
    let map = async |who: &str| {
        let reply = world.get(who, &format!("/requests/{id}/permissions")).await;
        reply.body
    };
    let yes = |approve, deny, cancel| json!({ "approve": approve, "deny": deny, "cancel": cancel, "comment": true, "read": true, "review": false });
    assert_eq!(map("alice").await, yes(false, false, true));
    assert_eq!(map("bob").await, yes(true, true, false));
    assert_eq!(map("carol").await, yes(false, false, false));
    world.approve("bob", &id).await;
    assert_eq!(map("carol").await, yes(true, true, false));
    world.approve("carol", &id).await;
    assert_eq!(map("carol").await, yes(false, false, false));
}

#[tokio::test]
async fn a_policy_that_cannot_answer_or_denies_refuses_every_call() {
    let world = World::new();
    let id = world.ask("alice", "notes").await.id();
    let lines = ["GET /catalog", "GET /requests", "GET /grants", "GET /audit/events"];
    let mut lines: Vec<String> = lines.map(str::to_owned).to_vec();
    lines.extend(["approve", "deny", "cancel"].map(|verb| format!("POST /requests/{id}/{verb}")));
    lines.push(format!("GET /requests/{id}"));
    world.policy.deny.store(true, Ordering::SeqCst);
    for line in &lines {
        let (status, _) = world.call("alice", line, None, &[]).await.problem();
        assert_eq!(status, 403, "{line}");
    }
    world.policy.down.store(true, Ordering::SeqCst);
    for line in &lines {
        let reply = world.call("root", line, None, &[]).await;
        assert_eq!(reply.problem(), (503, "policy-unreachable".into()), "{line}");
        assert_eq!(reply.headers["retry-after"], "1");
    }
}

#[tokio::test]
async fn the_catalog_shows_what_is_enabled_and_visible() {
    let world = World::new();
    let catalog = world.get("alice", "/catalog").await;
    let items = catalog.body["items"].as_array().unwrap();
    let names: Vec<&str> = items.iter().filter_map(|item| item["name"].as_str()).collect();
    assert_eq!(names, ["closed", "notes", "pair", "vault"]);
    assert_eq!((&items[0]["may_request"], &items[1]["may_request"]), (&json!(false), &json!(true)));
    assert_eq!(items[1]["durations"], json!(["PT30M", "PT1H"]));
}

#[tokio::test]
async fn comments_are_kept_in_order_and_bounded() {
    let world = World::new();
    let id = world.ask("alice", "notes").await.id();
    let path = format!("/requests/{id}/comments");
    let said = world.post("bob", &path, json!({ "text": "why <script>?" })).await;
    assert_eq!((said.status.as_u16(), &said.body["by"]), (201, &json!("bob")));
    for text in [String::new(), "x".repeat(4097)] {
        let reply = world.post("alice", &path, json!({ "text": text })).await;
        assert_eq!((reply.problem().0, reply.pointers()), (422, vec!["/text"]));
    }
    let all = world.get("alice", &path).await;
    assert_eq!(all.body["items"][0]["text"], "why <script>?");
    assert_eq!(all.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn every_answer_is_named_and_not_kept_and_unknown_paths_and_methods_are_problems() {
    let world = World::new();
    let request = Request::get("/api/v1/catalog").header("x-request-id", "r-7");
    let reply = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.problem(), (401, "no-credential".into()));
    assert!(reply.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    assert_eq!(reply.headers["x-request-id"], "r-7");
    assert_eq!(reply.headers["cache-control"], "no-store");
    let put =
        world.call("alice", "PUT /requests", None, &[("x-http-method-override", "GET")]).await;
    assert_eq!(put.problem(), (405, "bad-request".into()));
    assert!(put.headers["allow"].to_str().unwrap().contains("POST"));
    assert_eq!(world.get("alice", "/nowhere").await.problem(), (404, "not-found".into()));
    let origin = [("origin", "https://evil.test")];
    let cross = world.call("alice", "GET /catalog", None, &origin).await;
    assert!(!cross.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_grant_tells_how_often_it_was_used() {
    let world = World::new();
    let (_, grant) = world.granted("alice").await;
    let path = format!("/grants/{grant}");
    assert_eq!(world.get("alice", &path).await.body.get("use"), None, "not yet");
    let id: crate::domain::ids::GrantId = grant.parse().expect("an id");
    let (first, last) = (world.clock.now(), world.clock.now().plus(Duration::from_secs(1)));
    let used = crate::domain::uses::Use { count: 7, first, last };
    world.api.store.add_uses(id.partition, &[(id, used)]).await.expect("added");
    let expected = json!({
        "first": "2027-01-15T08:00:00.000Z", "last": "2027-01-15T08:00:01.000Z", "count": 7,
    });
    assert_eq!(world.get("alice", &path).await.body["use"], expected);
    assert_eq!(world.get("alice", "/grants").await.body["items"][0]["use"], expected);
}

#[tokio::test]
async fn who_decides_sees_what_the_access_would_allow_and_what_was_refused_lately() {
    let world = World::new();
    let id = world.ask("alice", "notes").await.id();
    let path = format!("/requests/{id}/preview");
    let shown = world.get("bob", &path).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    let access = &shown.body["accesses"][0];
    assert_eq!((&access["tool"], &access["role"]), (&json!("notes"), &json!("operator")));
    let rules = access["rules"].as_array().expect("rules").iter();
    let rules: Vec<_> = rules
        .map(|rule| (rule["action"].clone(), rule["access"].clone(), rule["allowed"].clone()))
        .collect();
    let expected = [
        (json!(""), json!("public"), json!(true)),
        (json!("view"), json!("grant"), json!(true)),
        (json!("destroy"), json!("grant"), json!(false)),
    ];
    assert_eq!(rules, expected);
    assert_eq!(access["rules"][1]["methods"], json!(["GET", "HEAD"]));
    assert_eq!(shown.body["refused"][0]["path"], "/of/alice");
    assert_eq!(shown.body["refused_since"], "2027-01-15T07:00:00.000Z");
    assert!(shown.text.contains("others are not asked"));
    assert_eq!(world.get("erin", &path).await.status, 200, "who reads everything");
    assert_eq!(world.get("alice", &path).await.problem(), (403, "not-eligible".into()));
    assert_eq!(world.get("dave", &path).await.problem(), (404, "not-found".into()));
}

#[tokio::test]
async fn a_preview_without_a_policy_says_that_nothing_could_decide() {
    let world = World::new();
    let id = world.ask("alice", "vault").await.id();
    let shown = world.get("bob", &format!("/requests/{id}/preview")).await;
    assert_eq!(shown.body["accesses"][0]["rules"], json!([]), "a tool that has none");
    world.policy.down.store(true, Ordering::SeqCst);
    let refused = world.get("bob", &format!("/requests/{id}/preview")).await;
    assert_eq!(refused.problem(), (503, "policy-unreachable".into()));
}

#[tokio::test]
async fn a_preview_whose_policy_hangs_ends_and_says_so() {
    let world = World::new();
    let id = world.ask("alice", "notes").await.id();
    let path = format!("/requests/{id}/preview");
    let whole = world.get("bob", &path).await;
    assert_eq!(whole.body["out_of_time"], false, "{}", whole.text);
    world.policy.hangs.store(true, Ordering::SeqCst);
    let shown = world.get("bob", &path).await;
    assert_eq!((shown.status.as_u16(), &shown.body["out_of_time"]), (200, &json!(true)));
    let rules = shown.body["accesses"][0]["rules"].as_array().expect("rules");
    let told: Vec<_> = rules.iter().map(|rule| rule["allowed"].clone()).collect();
    assert_eq!(told, [json!(true), json!(null), json!(null)], "{}", shown.text);
    assert_eq!(rules[2]["detail"], "not asked: the policy took too long for a preview");
}
