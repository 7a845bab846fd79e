use std::fmt::Write;

use serde_json::json;

use super::server::{Server, response};
use super::*;
use crate::config::CacheConfig;

async fn asking(config: HttpSourceConfig, id: &str) -> Value {
    told(&open(provider(vec![SourceConfig::Http(config)])), id).await
}

#[tokio::test]
async fn a_key_is_one_segment_whatever_is_in_it() {
    let server = Server::json("200 OK", r#"{"owner": "alice"}"#).await;
    let providers = open(provider(vec![SourceConfig::Http(http(&server.origin()))]));
    for id in ["doc-1", "a/b", "..a/.b", "a?b=c#d", "\u{fc}", "x\r\nx-evil: 1", "a b;c\\d"] {
        assert_eq!(told(&providers, id).await, json!({ "owner": "alice" }), "{id}");
    }
    let expected = [
        "/documents/doc-1",
        "/documents/a%2Fb",
        "/documents/..a%2F.b",
        "/documents/a%3Fb%3Dc%23d",
        "/documents/%C3%BC",
        "/documents/x%0D%0Ax-evil%3A%201",
        "/documents/a%20b%3Bc%5Cd",
    ];
    assert_eq!(server.targets(), expected);
    // Somebody could take these for "here" and "up": they name nothing.
    for id in [".", "..", "../../admin", "a/../b", "a/..", "..\\admin", "a\\.\\b"] {
        assert_eq!(told(&providers, id).await, "not found", "{id}");
    }
    assert_eq!(server.asked().len(), expected.len());
}

#[tokio::test]
async fn answers_that_are_small_as_text_and_large_in_memory_leave_room_for_few() {
    let members = vec![r#"{"":0}"#; 8000].join(",");
    let server = Server::json("200 OK", &format!(r#"{{"a":[{members}]}}"#)).await;
    let cache = CacheConfig { ttl: Duration::from_secs(5), entries: 1000 };
    let config = HttpSourceConfig { cache: Some(cache), ..http(&server.origin()) };
    let providers = open(provider(vec![SourceConfig::Http(config)]));
    let ids: Vec<String> = (0..20).map(|number| format!("doc-{number}")).collect();
    for id in &ids {
        assert!(told(&providers, id).await.is_object());
    }
    // Some 5 MiB each: the newest is remembered, the oldest is not.
    assert!(told(&providers, "doc-19").await.is_object());
    assert_eq!(server.asked().len(), ids.len());
    assert!(told(&providers, "doc-0").await.is_object());
    assert_eq!(server.asked().len(), ids.len() + 1);
}

#[tokio::test]
async fn gone_is_not_found_and_every_other_status_is_a_failure() {
    for (status, expected) in [
        ("404 Not Found", "not found"),
        ("410 Gone", "not found"),
        ("204 No Content", "unreachable"),
        ("201 Created", "unreachable"),
        ("301 Moved Permanently", "unreachable"),
        ("307 Temporary Redirect", "unreachable"),
        ("401 Unauthorized", "unreachable"),
        ("403 Forbidden", "unreachable"),
        ("429 Too Many Requests", "unreachable"),
        ("503 Service Unavailable", "unreachable"),
    ] {
        let body = if status.starts_with("204") { "" } else { r#"{"owner": "alice"}"# };
        let server = Server::json(status, body).await;
        assert_eq!(asking(http(&server.origin()), "doc-1").await, expected, "{status}");
        assert_eq!(server.targets(), ["/documents/doc-1"], "no redirect is followed");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_one_plain_object_is_a_failure() {
    let large = format!(r#"{{"a": "{}"}}"#, "x".repeat(1 << 20));
    let deep = format!("{}1{}", r#"{"a":"#.repeat(20), "}".repeat(20));
    for body in [
        "",
        "not json",
        "null",
        "[]",
        r#"[{"owner": "alice"}]"#,
        "\"text\"",
        r#"{"owner": "alice"} {"owner": "bob"}"#,
        r#"{"owner": "alice", "owner": "bob"}"#,
        r#"{"a": {"owner": 1, "owner": 2}}"#,
        r#"{"scope": ["team-a"]}"#,
        r#"{"scope": null}"#,
        &large,
        &deep,
    ] {
        let server = Server::json("200 OK", body).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(asking(http(&server.origin()), "doc-1").await, "unreachable", "{shown}");
    }
}

#[tokio::test]
async fn silence_half_an_answer_and_nobody_are_failures() {
    let whole = response("200 OK", r#"{"owner": "alice"}"#);
    for answer in [None, whole.get(..whole.len() - 1), Some(b"HTTP/1.1 200 OK\r\n".as_slice())] {
        let server = Server::saying(answer).await;
        let config =
            HttpSourceConfig { timeout: Duration::from_millis(50), ..http(&server.origin()) };
        assert_eq!(asking(config, "doc-1").await, "unreachable");
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    assert_eq!(asking(http(&origin), "doc-1").await, "unreachable");
}

#[tokio::test]
async fn a_token_is_sent_and_one_that_cannot_be_is_told_without_its_value() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "canary-token\n").expect("written");
    let server = Server::json("200 OK", "{}").await;
    let config = HttpSourceConfig { token_file: Some(path.clone()), ..http(&server.origin()) };
    assert_eq!(asking(config.clone(), "doc-1").await, json!({}));
    assert!(server.asked()[0].contains("authorization: Bearer canary-token\r\n"));
    std::fs::write(&path, "canary token").expect("written");
    let config = provider(vec![SourceConfig::Http(config)]);
    let clock = ManualClock::at(START);
    let refused = Providers::open(&[config], &(clock as _), &Metrics::unregistered());
    let problems = refused.err().expect("refused");
    assert!(
        problems[0].starts_with("policy.providers[0].sources[0]: token_file: "),
        "{problems:?}"
    );
    assert!(!problems[0].contains("canary"));
}

fn cached(server: &Server, entries: usize) -> ProviderConfig {
    let cache = Some(CacheConfig { ttl: Duration::from_secs(5), entries });
    provider(vec![SourceConfig::Http(HttpSourceConfig { cache, ..http(&server.origin()) })])
}

#[tokio::test]
async fn an_answer_is_remembered_for_its_time_and_not_longer() {
    let (server, clock) = (Server::json("200 OK", r#"{"v": 1}"#).await, ManualClock::at(START));
    let providers = opened(cached(&server, 10), &clock);
    assert_eq!(told(&providers, "doc-1").await, json!({ "v": 1 }));
    server.now_says("404 Not Found", "");
    clock.advance(Duration::from_millis(4999));
    assert_eq!(told(&providers, "doc-1").await, json!({ "v": 1 }));
    clock.advance(Duration::from_millis(1));
    assert_eq!(told(&providers, "doc-1").await, "not found");
    // What is not there is remembered the same way.
    server.now_says("200 OK", r#"{"v": 2}"#);
    assert_eq!(told(&providers, "doc-1").await, "not found");
    assert_eq!(server.asked().len(), 2);
    // A clock that went back makes nothing fresh.
    clock.set(Timestamp::from_millis(START.millis() - 1));
    assert_eq!(told(&providers, "doc-1").await, json!({ "v": 2 }));
}

#[tokio::test]
async fn a_failure_is_not_remembered_and_nothing_is_without_a_cache() {
    let server = Server::json("500 Internal Server Error", "{}").await;
    let providers = open(cached(&server, 10));
    assert_eq!(told(&providers, "doc-1").await, "unreachable");
    server.now_says("200 OK", "{}");
    assert_eq!(told(&providers, "doc-1").await, json!({}));
    let providers = open(provider(vec![SourceConfig::Http(http(&server.origin()))]));
    for count in 3..6 {
        assert_eq!(told(&providers, "doc-1").await, json!({}));
        assert_eq!(server.asked().len(), count);
    }
}

#[tokio::test]
async fn the_cache_holds_so_many_answers_and_forgets_the_oldest() {
    let server = Server::json("200 OK", "{}").await;
    let providers = open(cached(&server, 2));
    let mut expected = String::new();
    for (id, is_asked) in
        [("a", true), ("b", true), ("a", false), ("c", true), ("a", true), ("c", false)]
    {
        let before = server.asked().len();
        assert_eq!(told(&providers, id).await, json!({}));
        assert_eq!(server.asked().len() > before, is_asked, "{id} after {expected}");
        write!(expected, "{id} ").expect("written");
    }
}
