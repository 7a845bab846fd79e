//! Whoever takes no more of what is meant for him: a tool that has answered already, a client whose
//! access has ended; and whose fault it is when a backend does not answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use h2::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::config::{Balance, EjectionConfig, ToolConfig, Upstream};
use crate::telemetry::metrics::ToolLabel;

use super::h2_client::{H2, PATIENCE, ask};
use super::harness::{Harness, get, limits, with};
use super::http2_tool::{Does, Http2Tool};
use super::large::{BODY, Large, gateway};
use super::pool::until;
use super::tool::Tool;
use super::world::grant_id;

/// Backends that take turns, and of which one failure is too much.
fn strict(upstreams: Vec<Upstream>) -> impl Fn(&mut ToolConfig) {
    move |tool| {
        tool.upstreams.clone_from(&upstreams);
        tool.upstream.balance = Balance::RoundRobin;
        let (base, most) = (Duration::from_mins(1), Duration::from_mins(5));
        tool.upstream.ejection = Some(EjectionConfig { failures: 1, base, most });
    }
}

pub fn open_to_tool(gateway: &Harness) -> i64 {
    let metrics = &gateway.shared.metrics.upstreams;
    metrics.connections.get_or_create(&ToolLabel { tool: "notes".into() }).get()
}

/// A tool that answers the head of a request and reads nothing more.
async fn hasty() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly";
        stream.write_all(answer).await.expect("it reads");
        std::future::pending::<()>().await;
    });
    port
}

#[tokio::test]
async fn a_tool_that_has_answered_and_takes_no_more_of_the_body_loses_its_connection() {
    let port = hasty().await;
    let gateway = Harness::with(limits(), |tool| {
        tool.upstreams = vec![Upstream::Http { host: "127.0.0.1".into(), port }];
    })
    .await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = gateway.client().await;
    client.send(with("POST", "/a", &format!("Content-Length: {BODY}\r\n")).as_bytes()).await;
    assert_eq!(client.next().await.expect("a response").text(), "early");
    assert_eq!(open_to_tool(&gateway), 1, "the rest of the body still flows");
    let upload = tokio::spawn(async move {
        let mut stream = client.stream;
        stream.write_all(&vec![b'x'; BODY]).await
    });
    timeout(PATIENCE, until(|| open_to_tool(&gateway) == 0)).await.expect("it ends");
    assert!(upload.await.expect("no panic").is_err(), "and so does the client's");
}

#[tokio::test]
async fn a_tool_of_http2_that_has_answered_and_takes_no_more_of_the_body_loses_its_connection() {
    let tool = Http2Tool::start(None).await;
    tool.does(|head, _| match head.method().as_str() {
        "POST" => Does::AnswersUnread,
        _ => Does::Answers,
    });
    let upstream = Upstream::H2c { host: "127.0.0.1".into(), port: tool.address.port() };
    let gateway = Harness::with(limits(), |config| config.upstreams = vec![upstream.clone()]).await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = gateway.client().await;
    client.send(with("POST", "/a", &format!("Content-Length: {BODY}\r\n")).as_bytes()).await;
    let upload = tokio::spawn(async move {
        let answer = client.next().await.expect("a response").text();
        let mut stream = client.stream;
        (answer, stream.write_all(&vec![b'x'; BODY]).await)
    });
    timeout(PATIENCE, until(|| open_to_tool(&gateway) == 1)).await.expect("it begins");
    timeout(PATIENCE, until(|| open_to_tool(&gateway) == 0)).await.expect("it ends");
    let (answer, sent) = upload.await.expect("no panic");
    assert_eq!(answer, "early");
    assert!(sent.is_err(), "and so does the client's");
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    assert_eq!(tool.connections(), 2);
}

#[tokio::test]
async fn a_stream_that_a_request_makes_the_tool_reset_is_no_fault_of_its_connection() {
    let (one, two) = (Http2Tool::start(None).await, Http2Tool::start(None).await);
    let at =
        |tool: &Http2Tool| Upstream::H2c { host: "127.0.0.1".into(), port: tool.address.port() };
    for tool in [&one, &two] {
        tool.does(|head, _| match head.uri().query() {
            Some("odd") => Does::Resets(Reason::PROTOCOL_ERROR),
            Some(_) | None => Does::Answers,
        });
    }
    let gateway = Harness::with(limits(), strict(vec![at(&one), at(&two)])).await;
    for _ in 0..4 {
        assert_eq!(gateway.get("/healthz?odd").await.status, 502);
    }
    for _ in 0..4 {
        assert_eq!(gateway.get("/healthz").await.text(), "ok");
    }
    assert_eq!((one.got().len(), two.got().len()), (2, 2), "neither is left alone");
    assert_eq!((one.connections(), two.connections()), (1, 1));
}

#[tokio::test]
async fn a_body_that_its_client_stops_sending_is_no_fault_of_the_backend() {
    let (one, two) = (Tool::start().await, Tool::start().await);
    let at = |tool: &Tool| Upstream::Http { host: "127.0.0.1".into(), port: tool.address.port() };
    let gateway = Harness::with(limits(), strict(vec![at(&one), at(&two)])).await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let half = with("POST", "/a", "Content-Length: 10\r\n") + "abc";
    assert_eq!(gateway.call(&half).await.status, 504);
    for _ in 0..4 {
        assert_eq!(gateway.call(&get("/healthz")).await.text(), "ok");
    }
    assert_eq!((one.seen().len(), two.seen().len()), (2, 2), "neither is left alone");
}

#[tokio::test]
async fn a_client_that_does_not_read_gets_nothing_more_after_the_cut() {
    for http2 in [false, true] {
        let tool = Large::start().await;
        let gateway = gateway(&tool).await;
        let (mut plain, mut streamed) = (None, None);
        if http2 {
            let client = H2::plain(gateway.address()).await;
            let (response, _) = client
                .begin(ask("GET", "/a").body(()).expect("a request"), true)
                .await
                .expect("taken");
            let answer = timeout(PATIENCE, response).await.expect("in time").expect("a head");
            streamed = Some((client, answer.into_body()));
        } else {
            let mut client = gateway.client().await;
            client.send(get("/a").as_bytes()).await;
            plain = Some(client);
        }
        tool.stalled_at().await;
        let metrics = Arc::clone(&gateway.shared);
        until(|| metrics.metrics.open_leases.get() == 1).await;
        gateway.world.commit(|state| state.grants.retain(|grant| grant.id != grant_id(1)));
        // Nothing was read meanwhile: what is not sent by now is dropped.
        let over = until(|| metrics.metrics.open_leases.get() == 0);
        timeout(PATIENCE, over).await.expect("the exchange is over");
        assert_eq!(gateway.world.cuts().len(), 1);
        if let Some((_client, mut body)) = streamed {
            let (mut taken, mut broke_off) = (0, false);
            while let Some(piece) = timeout(PATIENCE, body.data()).await.expect("in time") {
                let Ok(piece) = piece else {
                    broke_off = true;
                    break;
                };
                taken += piece.len();
                body.flow_control().release_capacity(piece.len()).expect("capacity");
            }
            assert!(broke_off && taken <= 65_535, "{taken} bytes: more than the client's window");
        }
        if let Some(mut client) = plain {
            let taken = client.rest().await.len();
            assert!(taken < BODY, "{taken} bytes");
        }
        gateway.partial_is_fine.store(true, Ordering::SeqCst);
    }
}
