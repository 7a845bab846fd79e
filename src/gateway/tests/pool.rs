//! What is kept of connections, and for how long; limits of one tool.

use std::time::Duration;

use super::harness::{Harness, get, limits, with};
use super::stalls::open_to_tool;
use super::tool::{Answer, Tool};
use super::wire::Response;

/// Waits until `is_so`; a test that waits in vain is killed.
pub async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn bytes_on_an_unused_connection_end_it_before_anybody_gets_them() {
    let gateway = Harness::start().await;
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    let own = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    for extra in [forged, "x", "\r\n", "HTTP/1.1 408 Request Timeout\r\n\r\n"] {
        let (own, before) = (own.clone(), gateway.tool.ended());
        gateway.tool.answers(move |_| {
            let pieces = vec![own.clone(), extra.as_bytes().to_vec()];
            Answer::Slow(pieces, Duration::from_millis(20))
        });
        let mut client = gateway.client().await;
        assert_eq!(client.call(&get("/healthz")).await.text(), "ok");
        until(|| gateway.tool.ended() > before).await;
        gateway.tool.answers(|_| Answer::ok());
        assert_eq!(client.call(&get("/healthz")).await.text(), "ok", "{extra:?}");
    }
}

#[tokio::test]
async fn a_body_where_none_may_be_is_nobodys_response() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    for (method, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 51\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 51\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ] {
        let answer = format!("{head}{forged}");
        gateway.tool.answers(move |_| Answer::text(&answer));
        let mut client = gateway.client().await;
        let status = client.call(&with(method, "/a", "")).await.status;
        assert!(status < 400 || status == 502, "{head:?}: {status}");
        gateway.tool.answers(|_| Answer::ok());
        assert_eq!(gateway.get("/a").await.text(), "ok", "{head:?}");
    }
}

#[tokio::test]
async fn a_flood_of_interim_responses_is_cut_off() {
    let gateway = Harness::with(limits(), |tool| {
        tool.timeouts.response = Duration::from_secs(3600);
    })
    .await;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let few = hints.repeat(20) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    gateway.tool.answers(move |_| Answer::text(&few));
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    gateway.tool.answers(move |_| Answer::text(&hints.repeat(150_000)));
    let refused = gateway.get("/healthz").await;
    assert_eq!((refused.status, refused.code().as_str()), (502, "upstream-unreachable"));
    gateway.tool.answers(|_| Answer::ok());
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn a_connection_that_the_tool_closes_while_nobody_uses_it_is_closed_here_at_once() {
    let gateway = Harness::start().await;
    let last = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    gateway.tool.answers(move |_| Answer::Last(last.clone()));
    for _ in 0..3 {
        assert_eq!(gateway.get("/healthz").await.text(), "ok");
        until(|| open_to_tool(&gateway) == 0).await;
    }
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_after_its_time() {
    let gateway = Harness::with(limits(), |tool| {
        tool.timeouts.idle = Duration::from_millis(50);
    })
    .await;
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    until(|| gateway.tool.ended() == 1).await;
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    assert_eq!(gateway.tool.connections(), 2);
}

#[tokio::test]
async fn a_connection_to_an_address_that_the_name_has_left_is_not_used_again() {
    let gateway = Harness::start().await;
    let moved = std::net::SocketAddr::from(([127, 0, 0, 2], gateway.tool.address.port()));
    let elsewhere = Tool::on(moved).await;
    let mut client = gateway.client().await;
    assert_eq!(client.call(&get("/healthz")).await.text(), "ok");
    let routes = gateway.shared.routes.load();
    let tool = routes.upstreams().iter().find(|tool| &*tool.tool == "notes").expect("notes");
    tool.backends[0].host().expect("a host").becomes(moved.ip());
    assert_eq!(client.call(&get("/healthz")).await.text(), "ok");
    assert_eq!((gateway.tool.seen().len(), elsewhere.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_tool_with_a_limit_of_its_own_is_refused_beyond_it_and_others_are_not() {
    let gateway = Harness::with(limits(), |tool| {
        if &*tool.name == "notes" {
            tool.upstream.max_concurrent = Some(2);
        }
    })
    .await;
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha";
    gateway.tool.answers(move |seen| match seen.target() {
        "/healthz?half" => Answer::text(half),
        _ => Answer::ok(),
    });
    let mut open = Vec::new();
    for count in 1..=2 {
        let mut client = gateway.client().await;
        client.send(get("/healthz?half").as_bytes()).await;
        until(|| gateway.tool.seen().len() == count).await;
        open.push(client);
    }
    let refused: Response = gateway.get("/healthz?third").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(gateway.tool.seen().len(), 2, "nothing was sent");
    let records = gateway.world.records();
    let last = records.last().expect("a record");
    assert_eq!((last.allowed, last.reason), (false, "overloaded"));
    let other = "GET /a HTTP/1.1\r\nHost: side.localhost\r\n\r\n".replace("/a", "/side/a");
    assert_eq!(gateway.call(&other).await.text(), "ok", "another tool");
    // A response that is over, or given up, makes room.
    drop(open);
    while gateway.get("/healthz?again").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
