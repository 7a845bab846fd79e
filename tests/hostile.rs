//! What hostile clients send to the whole program; the sink oracle watches in every test.

use std::net::TcpStream;

use crate::harness::gateway::Gateway;
use crate::harness::{World, client};

/// Bytes on a fresh connection to the proxy; gives the status of the first answer, if any.
fn raw_status(world: &World, bytes: &str) -> Option<u16> {
    let answer = client::raw(world.gateway.proxy, bytes.as_bytes());
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.get(9..12).and_then(|code| code.parse().ok())
}

fn with_token(world: &World, head: &str) -> String {
    let head = head.replace("{host}", "warehouse.localhost");
    head.replace("{auth}", &format!("authorization: Bearer {}", world.token("alice")))
}

#[test]
fn client_copies_of_our_headers_never_reach_the_tool() {
    let world = World::start();
    world.grant("alice");
    let bearer = format!("Bearer {}", world.token("alice"));
    let headers = [
        ("authorization", bearer.as_str()),
        ("tidegate-subject", "root"),
        ("Tidegate-Subject", "root"),
        ("TIDEGATE_SUBJECT", "root"),
        ("tidegate.grants", "grt_00_x"),
        ("tidegate-email", "root@example.test"),
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("x-original-url", "/admin"),
        ("x-http-method-override", "DELETE"),
    ];
    let answer = world.proxy().send("GET", "warehouse.localhost", "/", &headers, b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = world.upstream.last();
    let ours = |name: &str| name.replace(['_', '.'], "-").starts_with("tidegate-");
    for (name, value) in seen.headers.iter().filter(|(name, _)| ours(name)) {
        assert!(!value.contains("root") && !value.contains("grt_00_x"), "{name}: {value}");
        assert!(!name.contains(['_', '.']), "{name}");
    }
    assert_eq!(seen.count("tidegate-subject"), 1);
    assert_eq!(seen.count("x-forwarded-for"), 1);
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-original-url"), None);
    assert_eq!(seen.header("x-http-method-override"), None);
}

#[test]
fn a_head_that_two_parsers_could_read_differently_reaches_nobody() {
    let world = World::start();
    world.grant("alice");
    let heads = [
        "GET / HTTP/1.1\nhost: {host}\n{auth}\n\n",
        "POST /write HTTP/1.1\r\nhost: {host}\r\n{auth}\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /write HTTP/1.1\r\nhost: {host}\r\n{auth}\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd",
        "POST /write HTTP/1.1\r\nhost: {host}\r\n{auth}\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /write HTTP/1.1\r\nhost: {host}\r\n{auth}\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : {host}\r\n{auth}\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: {host}\r\n{auth}\r\n folded: yes\r\n\r\n",
        "GET /#fragment HTTP/1.1\r\nhost: {host}\r\n{auth}\r\n\r\n",
        "GET http://{host}/ HTTP/1.1\r\nhost: {host}\r\n{auth}\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: {host}\r\nhost: other\r\n{auth}\r\n\r\n",
        "GET / HTTP/1.1\r\n{auth}\r\n\r\n",
        "GET / HTTP/0.9\r\nhost: {host}\r\n{auth}\r\n\r\n",
    ];
    for head in heads {
        let status = raw_status(&world, &with_token(&world, head));
        assert_eq!(status, Some(400), "{head:?}");
    }
    assert!(world.upstream.seen().is_empty());
}

#[test]
fn a_target_that_could_mean_another_path_is_refused_before_identity() {
    let world = World::start();
    for target in [
        "/../etc",
        "/a/%2e%2e/b",
        "/a%2fb",
        "/a%5cb",
        "/a%00",
        "/a%25b",
        "/a;b",
        "/a%3Bb",
        "//a",
        "/a//b",
        "/a\\b",
        "/a%zz",
        "/./a",
        "*",
        "/%C0%AF",
    ] {
        let answer = world.proxy().get("warehouse.localhost", target, None);
        assert_eq!(answer.status, 400, "{target}: {answer:?}");
    }
}

#[test]
fn two_credentials_are_none() {
    let world = World::start();
    world.grant("alice");
    let bearer = format!("Bearer {}", world.token("alice"));
    let headers = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    let answer = world.proxy().send("GET", "warehouse.localhost", "/", &headers, b"");
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
}

#[test]
fn idle_connections_leave_the_api_its_descriptors() {
    let mut world = World::start();
    let request = world.grant("alice");
    let grant = request["grants"][0].as_str().expect("a grant").to_owned();
    world.gateway.stop();
    world.gateway = Gateway::limited(world.folder.path(), "info", "ulimit -n 64");
    let idle: Vec<_> = (0..200).map(|_| TcpStream::connect(world.gateway.proxy)).collect();
    assert!(idle.iter().all(Result::is_ok));
    let body = serde_json::json!({ "reason": "a flood will not help" });
    let revoked = world.api("bob").post(&format!("/grants/{grant}/revoke"), &body);
    assert_eq!(revoked.status, 200, "{revoked:?}");
    drop(idle);
    assert_eq!(world.visit("alice").problem(), "grant-revoked");
}

#[test]
fn no_secret_stands_in_any_log() {
    let world = World::start();
    world.grant("alice");
    world.visit("alice");
    let token = world.token("alice");
    world.proxy().get("warehouse.localhost", &format!("/?access_token={token}"), Some(&token));
    let signature = token.rsplit('.').next().expect("a signature").to_owned();
    let files = [world.folder.path().join("log"), world.audit_file()];
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(!text.contains(&signature), "{}", file.display());
    }
}
