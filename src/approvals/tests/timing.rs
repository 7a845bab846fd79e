use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use super::super::{listen, router::router, timers};
use super::harness::World;
use crate::config::TlsConfig;
use crate::tls::ServerTls;
use crate::tls::tests::{Authority, NOW};

async fn run_all(world: &World) {
    for partition in world.api.store.partitions().all() {
        timers::run_due(&world.api, partition, || false).await;
    }
}

async fn count(world: &World, kind: &str) -> usize {
    let path = format!("/audit/events?type=dev.tidegate.{kind}.v1");
    world.get("erin", &path).await.body["items"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_grant_ends_once_and_an_undecided_request_expires_once() {
    let world = World::new();
    let (_, grant) = world.granted("alice").await;
    let pending = world.ask("alice", "vault").await.id();
    run_all(&world).await;
    assert_eq!(count(&world, "grant.expired").await, 0);
    world.clock.advance(Duration::from_secs(3599));
    let shown = world.get("alice", &format!("/grants/{grant}")).await;
    assert_eq!(shown.body["status"], "active");
    world.clock.advance(Duration::from_secs(1));
    let shown = world.get("alice", &format!("/grants/{grant}")).await;
    assert_eq!(shown.body["status"], "expired", "before the timer ran");
    tokio::join!(run_all(&world), run_all(&world));
    run_all(&world).await;
    assert_eq!(count(&world, "grant.expired").await, 1);
    world.clock.advance(Duration::from_hours(24));
    assert_eq!(world.approve("bob", &pending).await.problem(), (409, "already-decided".into()));
    run_all(&world).await;
    run_all(&world).await;
    assert_eq!(count(&world, "request.expired").await, 1);
    let shown = world.get("alice", &format!("/requests/{pending}")).await;
    assert_eq!(shown.body["status"], "expired");
    let due = async {
        let mut left = 0;
        for partition in world.api.store.partitions().all() {
            let now = world.api.clock.now();
            left += world
                .api
                .store
                .due_timers(partition, now, None, 10)
                .await
                .expect("timers")
                .timers
                .len();
        }
        left
    };
    assert_eq!(due.await, 0, "no timer is left behind");
}

#[tokio::test]
async fn the_timer_loop_runs_what_is_due_and_stops_when_told() {
    let world = World::new();
    world.granted("alice").await;
    world.clock.advance(Duration::from_hours(1));
    let mut moved = world.api.store.moved();
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(timers::run(world.api.clone(), stopping));
    moved.recv().await.expect("a commit");
    while count(&world, "grant.expired").await == 0 {
        moved.recv().await.expect("a commit");
    }
    stop.send_replace(true);
    running.await.expect("it stops");
}

#[tokio::test]
async fn the_listener_serves_refuses_large_heads_and_drains() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let serving =
        tokio::spawn(listen::serve((listener, None), router(world.api.clone()), shutdown));

    let talk = async |head: String| {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let _reset = stream.read_to_string(&mut answer).await;
        answer
    };
    let end = "Host: api\r\nConnection: close\r\n\r\n";
    let fine =
        talk(format!("GET /api/v1/catalog HTTP/1.1\r\nAuthorization: Bearer alice\r\n{end}"));
    assert!(fine.await.starts_with("HTTP/1.1 200"));
    let large =
        talk(format!("GET / HTTP/1.1\r\nX-Large: {}\r\n{end}", "x".repeat(64 * 1024))).await;
    assert!(large.is_empty() || large.starts_with("HTTP/1.1 431"), "{large}");
    let mut idle = TcpStream::connect(address).await.expect("connected");
    idle.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: api\r\n\r\n").await.expect("sent");
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    stop.send(()).expect("still serving");
    serving.await.expect("it ends");
    assert!(TcpStream::connect(address).await.is_err());
    let _ = json!(null);
}

#[tokio::test]
async fn the_api_speaks_tls_where_it_is_told_to() {
    let (world, authority) = (World::new(), Authority::new());
    let pair = authority.signed("api", &["api.test"]);
    let config = TlsConfig { certificates: vec![pair], client_ca: None };
    let tls = ServerTls::open("listeners.api.tls".to_owned(), &config, false, NOW).expect("fits");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (_stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let listener = (listener, Some(Arc::new(tls)));
    tokio::spawn(listen::serve(listener, router(world.api.clone()), shutdown));
    let ask = async |name: &'static str| {
        let stream = TcpStream::connect(address).await.expect("connected");
        let name = name.try_into().expect("a name");
        let mut stream = authority.trusting().connect(name, stream).await.ok()?;
        let request = b"GET /openapi.json HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        Some(answer)
    };
    assert!(ask("api.test").await.expect("a handshake").starts_with("HTTP/1.1 200"));
    assert_eq!(ask("other.test").await, None);
}
