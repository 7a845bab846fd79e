//! Large bodies: whoever does not read is waited for, and what is on the way is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::h2_client::{H2, PATIENCE, ask};
use super::harness::{Harness, limits, with};
use crate::config::{Limits, Upstream};

pub const BODY: usize = 64 << 20;
/// What sockets, windows and buffers may hold between the two ends. The sockets of the system take
/// most of it.
const ON_THE_WAY: usize = 24 << 20;
const PIECE: usize = 64 << 10;

/// A tool that reads or writes a large body, and only when it may.
pub struct Large {
    port: u16,
    moved: Arc<AtomicUsize>,
    may: watch::Sender<bool>,
}

impl Large {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let moved = Arc::new(AtomicUsize::new(0));
        let (may, allowed) = watch::channel(false);
        let counted = Arc::clone(&moved);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(converse(stream, Arc::clone(&counted), allowed.clone()));
            }
        });
        Self { port, moved, may }
    }

    /// How far it has got once nothing moves any more.
    pub async fn stalled_at(&self) -> usize {
        stalled(|| self.moved.load(Ordering::SeqCst)).await
    }
}

async fn stalled(at: impl Fn() -> usize) -> usize {
    let mut before = at();
    let mut still = 0;
    while still < 20 || before == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = at();
        still = if now == before { still + 1 } else { 0 };
        before = now;
    }
    before
}

async fn converse(
    mut stream: TcpStream,
    moved: Arc<AtomicUsize>,
    mut allowed: watch::Receiver<bool>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    if head.starts_with(b"GET") {
        let begin = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n");
        stream.write_all(begin.as_bytes()).await.ok()?;
        let piece = vec![b'x'; PIECE];
        for _ in 0..BODY / PIECE {
            stream.write_all(&piece).await.ok()?;
            moved.fetch_add(PIECE, Ordering::SeqCst);
        }
        return Some(());
    }
    allowed.wait_for(|may| *may).await.ok()?;
    let mut piece = vec![0; PIECE];
    while moved.load(Ordering::SeqCst) < BODY {
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        moved.fetch_add(count, Ordering::SeqCst);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.ok()
}

/// One that waits for two minutes, and a grant.
pub async fn gateway(tool: &Large) -> Harness {
    let patient = Limits { idle_timeout: Duration::from_mins(2), ..limits() };
    let port = tool.port;
    let gateway = Harness::with(patient, move |config| {
        config.upstreams = vec![Upstream::Http { host: "127.0.0.1".into(), port }];
        config.timeouts.response = Duration::from_mins(2);
    });
    let gateway = gateway.await;
    gateway.world.grant(1, "alice", "notes", "operator");
    gateway
}

#[tokio::test]
async fn an_upload_waits_for_a_tool_that_does_not_read() {
    for http2 in [true, false] {
        let tool = Large::start().await;
        let gateway = gateway(&tool).await;
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let answer = if http2 {
            let client = H2::plain(gateway.address()).await;
            let asked = ask("PUT", "/a").header("content-length", BODY);
            let asked = asked.body(()).expect("a request");
            let (response, body) = client.begin(asked, false).await.expect("taken");
            tokio::spawn(upload(body, counted));
            tokio::spawn(async move { response.await.map(|answer| answer.status().as_u16()).ok() })
        } else {
            let mut client = gateway.client().await;
            client.send(with("PUT", "/a", &format!("Content-Length: {BODY}\r\n")).as_bytes()).await;
            tokio::spawn(async move {
                for _ in 0..BODY / PIECE {
                    client.send(&vec![b'x'; PIECE]).await;
                    counted.fetch_add(PIECE, Ordering::SeqCst);
                }
                client.next().await.map(|answer| answer.status)
            })
        };
        let on_the_way = stalled(|| sent.load(Ordering::SeqCst)).await;
        assert!(on_the_way < ON_THE_WAY, "{on_the_way} bytes left the client (HTTP/2: {http2})");
        tool.may.send_replace(true);
        let answer = timeout(PATIENCE * 6, answer).await.expect("in time");
        assert_eq!(answer.expect("no panic"), Some(200));
        assert_eq!(tool.moved.load(Ordering::SeqCst), BODY);
    }
}

async fn upload(mut body: h2::SendStream<Bytes>, sent: Arc<AtomicUsize>) {
    let mut left = BODY;
    while left > 0 {
        body.reserve_capacity(left.min(PIECE));
        let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await;
        let room = room.expect("it is open").expect("room").min(left);
        left -= room;
        body.send_data(Bytes::from(vec![b'x'; room]), left == 0).expect("sent");
        sent.fetch_add(room, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_download_waits_for_a_client_that_does_not_read() {
    for http2 in [true, false] {
        let tool = Large::start().await;
        let gateway = gateway(&tool).await;
        let mut taken = 0;
        if http2 {
            let client = H2::plain(gateway.address()).await;
            let asked = ask("GET", "/a").body(()).expect("a request");
            let (response, _) = client.begin(asked, true).await.expect("taken");
            let answer = timeout(PATIENCE, response).await.expect("in time").expect("a head");
            let on_the_way = tool.stalled_at().await;
            assert!(on_the_way < ON_THE_WAY, "{on_the_way} bytes left the tool");
            let mut body = answer.into_body();
            while let Some(piece) = timeout(PATIENCE, body.data()).await.expect("in time") {
                let piece = piece.expect("whole").len();
                body.flow_control().release_capacity(piece).expect("capacity");
                taken += piece;
            }
        } else {
            let mut client = gateway.client().await;
            client.send(with("GET", "/a", "").as_bytes()).await;
            let on_the_way = tool.stalled_at().await;
            assert!(on_the_way < ON_THE_WAY, "{on_the_way} bytes left the tool");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.stream.read_u8().await.expect("a head"));
            }
            let mut piece = vec![0; PIECE];
            while taken < BODY {
                let read = timeout(PATIENCE, client.stream.read(&mut piece)).await;
                taken += read.expect("in time").ok().filter(|n| *n > 0).expect("a piece");
            }
        }
        assert_eq!(taken, BODY);
    }
}
