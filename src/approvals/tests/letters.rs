//! Dead letters: who sees them, and who may have them sent again.

use http::header;
use serde_json::json;

use super::harness::World;
use crate::domain::ids::Partition;
use crate::domain::time::Timestamp;
use crate::store::{DeadLetter, EventPlace, LetterChange, LetterWhy};

const PATH: &str = "/audit/dead-letters";
const REPLAY: &str = "/audit/dead-letters/replay";

/// Three for `siem` in two partitions, one for `other`.
async fn world() -> World {
    let world = World::new();
    let rows = [
        ("webhook:siem", 5, 9),
        ("webhook:siem", 5, 3),
        ("webhook:siem", 63, 1),
        ("webhook:other", 0, 7),
        ("webhook:no longer configured", 0, 1),
    ];
    for (sink, partition, seq) in rows {
        let letter = DeadLetter {
            place: EventPlace { seq, index: 0 },
            id: format!("{partition}-{seq}"),
            event_type: "dev.tidegate.grant.activated.v1".into(),
            at: Timestamp::from_millis(1_000),
            died: Timestamp::from_millis(2_000),
            tries: 5,
            why: LetterWhy::Failed,
            status: Some(503),
            replay: false,
        };
        let change = LetterChange::Put { letter, most: 10 };
        let store = &world.api.store;
        store.change_dead_letters(sink, Partition(partition), change).await.expect("changes");
    }
    world
}

async fn ids(world: &World, path: &str) -> Vec<String> {
    let reply = world.get("erin", path).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let items = reply.body["items"].as_array().expect("items").iter();
    items.map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn dead_letters_are_listed_for_who_may_read_the_audit_in_pages() {
    let world = world().await;
    let all = world.get("erin", PATH).await;
    assert_eq!(
        all.body["items"][0],
        json!({
            "sink": "webhook:siem", "id": "5-3", "type": "dev.tidegate.grant.activated.v1",
            "time": "1970-01-01T00:00:01.000Z", "given_up_at": "1970-01-01T00:00:02.000Z",
            "tries": 5, "reason": "failed", "status": 503, "replay": false,
        })
    );
    assert_eq!(ids(&world, PATH).await, ["5-3", "5-9", "63-1", "0-7"]);
    for sink in ["siem", "webhook:siem"] {
        assert_eq!(ids(&world, &format!("{PATH}?sink={sink}")).await, ["5-3", "5-9", "63-1"]);
    }
    let (mut found, mut path) = (Vec::new(), format!("{PATH}?limit=1"));
    loop {
        let page = world.get("erin", &path).await;
        found.extend(page.body["items"].as_array().expect("items").clone());
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        assert!(page.headers[header::LINK].to_str().expect("text").contains(cursor));
        path = format!("{PATH}?limit=1&cursor={cursor}");
    }
    assert_eq!(json!(found), all.body["items"]);
    for who in ["alice", "bob"] {
        assert_eq!(world.get(who, PATH).await.problem(), (403, "policy-denied".into()));
    }
    for wrong in ["?sink=file", "?cursor=AA", "?limit=0", "?partition=1"] {
        let reply = world.get("erin", &format!("{PATH}{wrong}")).await;
        assert_eq!(reply.problem().0, 422, "{wrong}");
    }
}

#[tokio::test]
async fn an_admin_has_one_or_all_sent_again_and_nobody_else_does() {
    let world = world().await;
    for who in ["alice", "bob", "erin"] {
        let refused = world.post(who, REPLAY, json!({ "sink": "siem" })).await;
        assert_eq!(refused.problem(), (403, "policy-denied".into()), "{who}");
    }
    let one = json!({ "sink": "siem", "id": "5-9" });
    // A retry does no more.
    for _ in 0..2 {
        let reply = world.post("root", REPLAY, one.clone()).await;
        assert_eq!((reply.status.as_u16(), &reply.body["replayed"]), (202, &json!(1)));
    }
    let marked = |body: &serde_json::Value| -> Vec<bool> {
        let items = body["items"].as_array().expect("items").iter();
        items.map(|item| item["replay"].as_bool().expect("a flag")).collect()
    };
    assert_eq!(marked(&world.get("erin", PATH).await.body), [false, true, false, false]);
    let reply = world.post("root", REPLAY, json!({ "sink": "webhook:siem" })).await;
    assert_eq!(reply.body["replayed"], 3);
    assert_eq!(marked(&world.get("erin", PATH).await.body), [true, true, true, false]);
    let unknown = world.post("root", REPLAY, json!({ "sink": "siem", "id": "0-7" })).await;
    assert_eq!(unknown.problem(), (404, "not-found".into()));
    let no_sink = world.post("root", REPLAY, json!({ "sink": "stdout" })).await;
    assert_eq!(no_sink.problem().0, 422);
    assert_eq!(no_sink.pointers(), ["/sink"]);
    let long = json!({ "sink": "siem", "id": "x".repeat(200) });
    assert_eq!(world.post("root", REPLAY, long).await.pointers(), ["/id"]);
}

#[tokio::test]
async fn a_replay_is_ordered_once_for_each_key() {
    let world = world().await;
    let replay = async |body: serde_json::Value, key| {
        let headers = [("idempotency-key", key)];
        world.call("root", &format!("POST {REPLAY}"), Some(body), &headers).await
    };
    let first = replay(json!({ "sink": "siem" }), "one").await;
    assert_eq!((first.status.as_u16(), &first.body), (202, &json!({ "replayed": 3 })));
    // All are settled meanwhile: another order would find nothing.
    for (partition, seq) in [(5, 9), (5, 3), (63, 1)] {
        let change = LetterChange::Remove(EventPlace { seq, index: 0 });
        let partition = Partition(partition);
        world.api.store.change_dead_letters("webhook:siem", partition, change).await.expect("gone");
    }
    let again = replay(json!({ "sink": "siem" }), "one").await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    let other = replay(json!({ "sink": "other" }), "one").await;
    assert_eq!(other.problem(), (409, "idempotency-mismatch".into()));
    let letters =
        world.api.store.dead_letters("webhook:other", Partition(0)).await.expect("it reads");
    assert!(!letters.0[0].replay, "nothing of it was done");
    assert_eq!(replay(json!({ "sink": "siem" }), "two").await.body, json!({ "replayed": 0 }));
    world.clock.advance(std::time::Duration::from_secs(24 * 60 * 60));
    assert_eq!(replay(json!({ "sink": "other" }), "one").await.body, json!({ "replayed": 1 }));
}
