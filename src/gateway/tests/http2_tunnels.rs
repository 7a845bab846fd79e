//! Tunnels on streams of HTTP/2 (RFC 8441).

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::h2_client::{Answer as Whole, H2, PATIENCE, ask, whole};
use super::harness::{Harness, limits};
use super::tool::{Answer, Seen, Switched};
use super::websocket::{End, frame, said, told};
use crate::config::Limits;
use crate::telemetry::metrics::{CauseLabel, EndLabel};

async fn granted(limits: Limits) -> Harness {
    let gateway = Harness::with(limits, |_| ()).await;
    gateway.world.grant(1, "alice", "notes", "operator");
    gateway.tool.answers(|seen| match seen.target() {
        "/socket" => Answer::Switch(format!("{}\r\n", switch(seen)).into_bytes()),
        _ => Answer::ok(),
    });
    gateway
}

/// The tool's answer to the key that it was given.
fn switch(seen: &Seen) -> String {
    let key = seen.header("sec-websocket-key").expect("a key");
    let hash = [key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, hash.as_bytes()));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    )
}

/// A CONNECT for `protocol` with the one header that a WebSocket needs.
fn wish(protocol: &'static str) -> http::request::Builder {
    ask("CONNECT", "/socket")
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
}

async fn connect(client: &H2, wish: http::request::Builder) -> (Response<RecvStream>, Body) {
    client.allows_extended_connect().await;
    let (response, body) =
        client.begin(wish.body(()).expect("a request"), false).await.expect("taken");
    (timeout(PATIENCE, response).await.expect("in time").expect("an answer"), body)
}

type Body = SendStream<Bytes>;

async fn refused(client: &H2, wish: http::request::Builder) -> Whole {
    let (response, _body) = connect(client, wish).await;
    whole(response).await
}

/// A tunnel of alice's: the client's end, the tool's end, and the head of the answer.
async fn open(gateway: &Harness, client: &H2) -> (End, End, HeaderMap) {
    let (response, body) = connect(client, wish("websocket")).await;
    assert_eq!(response.status(), 200);
    let (head, answer) = response.into_parts();
    let ours = End { stream: piped(body, answer), bytes: Vec::new() };
    let (stream, bytes) = gateway.tool.switched().await;
    (ours, End { stream, bytes }, head.headers)
}

/// The bytes of a stream, both ways.
fn piped(mut send: SendStream<Bytes>, mut receive: RecvStream) -> Switched {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut read, mut write) = tokio::io::split(far);
    tokio::spawn(async move {
        while let Some(Ok(piece)) = receive.data().await {
            if write.write_all(&piece).await.is_err() {
                return;
            }
            let _gone = receive.flow_control().release_capacity(piece.len());
        }
        let _gone = write.shutdown().await;
    });
    tokio::spawn(async move {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(count) = read.read(&mut bytes).await {
            let piece = Bytes::copy_from_slice(&bytes[..count]);
            if send.send_data(piece, count == 0).is_err() || count == 0 {
                return;
            }
        }
    });
    Box::new(near)
}

/// Waits for the end of a tunnel and of all that it held.
async fn over(gateway: &Harness, cause: &'static str) {
    let metrics = &gateway.shared.metrics;
    let all = async {
        while metrics.tunnels_closed.get_or_create(&EndLabel { cause }).get() == 0
            || metrics.http_server_active.get() != 0
            || metrics.open_leases.get() != 0
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all).await.expect("it ends");
}

#[tokio::test]
async fn a_websocket_over_http2_is_admitted_as_a_get_and_carries_frames_both_ways() {
    let gateway = granted(limits()).await;
    let client = H2::plain(gateway.address()).await;
    let (mut ours, mut tool, head) = open(&gateway, &client).await;
    assert!(head.contains_key("tidegate-decision-id"));
    for name in ["upgrade", "connection", "sec-websocket-accept", "content-length"] {
        assert!(!head.contains_key(name), "{name}");
    }
    assert_eq!(gateway.verdict(), (true, "allowed"));
    assert_eq!(&*gateway.world.records()[0].method, "GET");
    let seen = gateway.one_seen();
    assert!(seen.head.starts_with("GET /socket HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!((seen.all("upgrade"), seen.all("connection")), (vec!["websocket"], vec!["Upgrade"]));
    assert_eq!(
        (seen.all("sec-websocket-version"), seen.all("host")),
        (vec!["13"], vec!["notes.localhost"])
    );
    assert_eq!((seen.header("authorization"), seen.all("tidegate-subject")), (None, vec!["alice"]));
    ours.send(&said("hello")).await;
    assert_eq!(tool.text().await, "hello");
    tool.send(&told("well met")).await;
    assert_eq!(ours.text().await, "well met");
    assert_eq!(client.get("/healthz").await.status, 200, "other streams go on");
    ours.send(&frame(0x88, true, &1000u16.to_be_bytes())).await;
    assert_eq!(tool.frame().await.expect("a Close").0, 0x88);
    tool.send(&frame(0x88, false, &1000u16.to_be_bytes())).await;
    assert_eq!(ours.frame().await.expect("a Close").0, 0x88);
    drop(tool);
    assert_eq!(ours.frame().await, None);
    drop(ours);
    over(&gateway, "closed").await;
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn large_messages_pass_over_http2_in_both_directions() {
    let gateway = granted(limits()).await;
    let client = H2::plain(gateway.address()).await;
    let (mut ours, mut tool, _) = open(&gateway, &client).await;
    let large: Vec<u8> = (0..1_500_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    pass(&mut ours, &mut tool, &frame(0x82, true, &large)).await;
    pass(&mut tool, &mut ours, &frame(0x82, false, &large)).await;
}

async fn pass(from: &mut End, to: &mut End, bytes: &[u8]) {
    let (sent, got) = tokio::join!(from.stream.write_all(bytes), to.raw(bytes.len()));
    sent.expect("it reads");
    assert!(got == bytes);
}

#[tokio::test]
async fn the_end_of_the_access_closes_a_tunnel_over_http2_with_1008_and_no_other_stream() {
    let gateway = granted(limits()).await;
    let client = H2::plain(gateway.address()).await;
    let (mut ours, mut tool, _) = open(&gateway, &client).await;
    let half = told("from the tool");
    tool.send(&half[..5]).await;
    assert_eq!(ours.raw(5).await, half[..5]);
    gateway.world.clock.advance(Duration::from_mins(1));
    let cut =
        gateway.shared.metrics.leases_cut.get_or_create(&CauseLabel { cause: "expired" }).clone();
    while cut.get() == 0 {
        tokio::task::yield_now().await;
    }
    tool.send(&[&half[5..], &told("too late")].concat()).await;
    assert_eq!(ours.raw(half.len() - 5).await, half[5..]);
    let (at_client, at_tool) = tokio::join!(ours.closed(false), tool.closed(true));
    assert_eq!(at_client, (1008, "grant-expired".to_owned()));
    assert_eq!(at_tool, at_client);
    drop((ours, tool));
    over(&gateway, "access-ended").await;
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn what_is_no_websocket_or_not_permitted_never_reaches_the_tool() {
    let gateway = granted(limits()).await;
    let client = H2::plain(gateway.address()).await;
    let plain = Request::builder().method("CONNECT").uri("notes.localhost:80");
    let bare = ask("CONNECT", "/socket").extension(Protocol::from_static("websocket"));
    for (what, wish) in [
        ("another protocol", wish("connect-udp")),
        ("another spelling", wish("WebSocket")),
        ("no version", bare),
        ("two versions", wish("websocket").header("sec-websocket-version", "8")),
        ("a plain CONNECT", plain.header("authorization", "Bearer alice")),
    ] {
        let answer = refused(&client, wish).await;
        assert_eq!((answer.status, answer.code()), (400, "bad-request".to_owned()), "{what}");
    }
    let bob = Request::builder().method("CONNECT").uri("http://notes.localhost/socket");
    let bob =
        bob.extension(Protocol::from_static("websocket")).header("sec-websocket-version", "13");
    let answer = refused(&client, bob.header("authorization", "Bearer bob")).await;
    assert_eq!((answer.status, answer.code()), (403, "no-grant".to_owned()));
    let page = Request::builder().method("CONNECT").uri("http://opaque.localhost/socket");
    let page = page.extension(Protocol::from_static("websocket")).header("cookie", "session=alice");
    let page = page.header("sec-websocket-version", "13").header("origin", "https://evil.test");
    let answer = refused(&client, page).await;
    assert_eq!((answer.status, answer.code()), (403, "policy-denied".to_owned()));
    assert!(gateway.tool.seen().is_empty());
    assert!(gateway.world.records().iter().all(|record| !record.allowed));
    assert_eq!(gateway.world.records().len(), 7);
}

/// Any 2xx would tell the client that it has its tunnel.
#[tokio::test]
async fn a_tool_that_does_not_switch_is_no_tunnel_whatever_it_answers() {
    let gateway = granted(limits()).await;
    let client = H2::plain(gateway.address()).await;
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 502),
        ("HTTP/1.1 204 No Content\r\n\r\n", 502),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            502,
        ),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 404),
    ] {
        gateway.tool.answers(move |_| Answer::text(answer));
        let refused = refused(&client, wish("websocket")).await;
        assert_eq!(refused.status, status, "{answer}");
        if status == 404 {
            assert_eq!(refused.body, b"no");
        }
    }
}

#[tokio::test]
async fn a_tunnel_over_http2_ends_with_its_stream_and_with_its_connection() {
    let gateway = granted(limits()).await;
    let client = H2::plain(gateway.address()).await;
    let (response, mut body) = connect(&client, wish("websocket")).await;
    let (stream, bytes) = gateway.tool.switched().await;
    let mut tool = End { stream, bytes };
    body.send_reset(h2::Reason::CANCEL);
    drop(response);
    assert!(tool.rest().await.is_empty());
    drop(tool);
    over(&gateway, "broken").await;
    assert_eq!(client.get("/healthz").await.status, 200, "the connection goes on");
    let (ours, mut tool, _) = open(&gateway, &client).await;
    drop((ours, client));
    assert!(tool.rest().await.is_empty());
}

#[tokio::test]
async fn at_the_end_of_the_drain_tunnels_over_http2_are_closed_with_1001() {
    let quick = Limits { drain_timeout: Duration::from_millis(200), ..limits() };
    let mut gateway = granted(quick).await;
    let client = H2::plain(gateway.address()).await;
    let (mut ours, mut tool, _) = open(&gateway, &client).await;
    gateway.drain.send_replace(true);
    ours.send(&said("while it drains")).await;
    assert_eq!(tool.text().await, "while it drains");
    assert_eq!(ours.closed(false).await, (1001, "going away".to_owned()));
    assert_eq!(tool.closed(true).await, (1001, "going away".to_owned()));
    drop((ours, tool));
    gateway.gateway.drained().await.expect("drained");
    over(&gateway, "shutdown").await;
}

#[tokio::test]
async fn a_client_of_http2_that_takes_nothing_holds_the_tool_back_and_is_dropped() {
    let gateway = granted(Limits { idle_timeout: Duration::from_millis(300), ..limits() }).await;
    let client = H2::plain(gateway.address()).await;
    let (response, _body) = connect(&client, wish("websocket")).await;
    let (mut tool, _) = gateway.tool.switched().await;
    let piece = frame(0x82, false, &vec![1; 60_000]);
    let mut taken = 0;
    while tool.write_all(&piece).await.is_ok() {
        taken += piece.len();
        assert!(taken < 200_000_000, "nobody held it back");
    }
    over(&gateway, "stalled").await;
    // What waits for its window is not kept: the stream is reset.
    let mut answer = response.into_body();
    let reset = async { while let Some(Ok(_untaken)) = answer.data().await {} };
    timeout(PATIENCE, reset).await.expect("no more is kept for it");
}

#[tokio::test]
async fn a_tunnel_whose_tool_has_ended_does_not_wait_for_a_client_that_takes_nothing() {
    let gateway = granted(Limits { idle_timeout: Duration::from_millis(300), ..limits() }).await;
    let client = H2::plain(gateway.address()).await;
    let (response, _body) = connect(&client, wish("websocket")).await;
    let (mut tool, _) = gateway.tool.switched().await;
    // More than the client's window, less than what is held for it.
    tool.write_all(&frame(0x82, false, &vec![1; 80_000])).await.expect("taken");
    drop(tool);
    over(&gateway, "stalled").await;
    drop(response);
}
