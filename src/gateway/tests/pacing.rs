//! Clients that hold on to much with little: slow bodies, many connections.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::h2_client::{H2, PATIENCE, ask};
use super::harness::{Harness, get, limits, with};
use super::wire::Client;
use crate::config::Limits;
use crate::telemetry::metrics::CauseLabel;

/// How often a byte comes: less often than the rate asks for, more often than any pause is too long.
const BEAT: Duration = Duration::from_millis(25);

async fn demanding(rate: Option<NonZeroU32>) -> Harness {
    let quick = Limits {
        idle_timeout: Duration::from_secs(1),
        header_timeout: Duration::from_millis(100),
        body_rate: rate,
        ..limits()
    };
    let gateway = Harness::with(quick, |tool| tool.timeouts.response = PATIENCE).await;
    gateway.partial_is_fine.store(true, std::sync::atomic::Ordering::SeqCst);
    gateway.world.grant(1, "alice", "notes", "operator");
    gateway
}

async fn from(gateway: &Harness, client: &str) -> Client {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{client}:0").parse().expect("an address")).expect("a free port");
    let stream: TcpStream = socket.connect(gateway.address()).await.expect("it listens");
    Client { stream, bytes: Vec::new() }
}

#[tokio::test]
async fn a_body_that_trickles_ends_its_connection() {
    let gateway = demanding(NonZeroU32::new(1000)).await;
    let mut client = gateway.client().await;
    client.send(with("POST", "/a", "Content-Length: 1000000\r\n").as_bytes()).await;
    let (mut read, mut write) = client.stream.into_split();
    let trickle = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(BEAT).await;
        }
    });
    let mut rest = Vec::new();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut rest);
    let _reset = timeout(PATIENCE, ended).await.expect("it ends, whatever still comes");
    trickle.abort();
    assert!(gateway.tool.seen().is_empty(), "the tool never got the whole of it");
}

#[tokio::test]
async fn a_stream_whose_body_trickles_is_ended_and_no_other() {
    let gateway = demanding(NonZeroU32::new(1000)).await;
    let client = H2::plain(gateway.address()).await;
    let upload = ask("POST", "/a").body(()).expect("a request");
    let (response, mut body) = client.begin(upload, false).await.expect("taken");
    let trickle = tokio::spawn(async move {
        while body.send_data(Bytes::from_static(b"x"), false).is_ok() {
            tokio::time::sleep(BEAT).await;
        }
    });
    let answer = timeout(PATIENCE, response).await.expect("in time").expect("an answer");
    assert_eq!(answer.status(), 400);
    trickle.abort();
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn slow_uploads_of_the_rate_and_conversations_go_on() {
    let gateway = demanding(NonZeroU32::new(100)).await;
    let mut client = gateway.client().await;
    client.send(with("POST", "/a", "Content-Length: 6000\r\n").as_bytes()).await;
    let http2 = H2::plain(gateway.address()).await;
    let upload = ask("POST", "/a").body(()).expect("a request");
    let (response, mut body) = http2.begin(upload, false).await.expect("taken");
    let quiet = ask("POST", "/a").header("content-type", "application/grpc").body(());
    let quiet = http2.begin(quiet.expect("a request"), false).await;
    let (told, mut talk) = quiet.expect("taken");
    for _ in 0..60 {
        client.send(&[b'x'; 100]).await;
        body.send_data(vec![b'x'; 100].into(), false).expect("taken");
        talk.send_data(Bytes::from_static(b"x"), false).expect("taken");
        tokio::time::sleep(BEAT).await;
    }
    body.send_data(Bytes::new(), true).expect("taken");
    talk.send_data(Bytes::new(), true).expect("taken");
    assert_eq!(client.next().await.expect("an answer").status, 200);
    for response in [response, told] {
        assert_eq!(timeout(PATIENCE, response).await.expect("in time").expect("one").status(), 200);
    }
}

#[tokio::test]
async fn a_client_has_so_many_connections_over_all_cores_and_others_are_not_held_up() {
    let few = Limits { connections_per_client: 4, ..limits() };
    let gateway = Harness::with_cores(2, few, |_| ()).await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        let mut client = from(&gateway, "127.0.0.1").await;
        assert_eq!(client.call(&get("/healthz")).await.status, 200);
        kept.push(client);
    }
    for _ in 0..8 {
        let mut beyond = from(&gateway, "127.0.0.1").await;
        assert!(beyond.ends().await, "closed at once");
    }
    let refused = &gateway.shared.metrics.connections_refused;
    assert_eq!(refused.get_or_create(&CauseLabel { cause: "per-client" }).get(), 8);
    let mut other = from(&gateway, "127.0.0.2").await;
    assert_eq!(other.call(&get("/healthz")).await.status, 200);
    for client in &mut kept {
        assert_eq!(client.call(&get("/healthz")).await.status, 200);
    }
    kept.pop();
    loop {
        let mut again = from(&gateway, "127.0.0.1").await;
        let _closed =
            tokio::io::AsyncWriteExt::write_all(&mut again.stream, get("/healthz").as_bytes())
                .await;
        if let Some(answer) = again.next().await {
            assert_eq!(answer.status, 200);
            return;
        }
    }
}
