use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Limits;
use crate::domain::template::Catalog;
use crate::gateway::listener::probed;
use crate::gateway::{Routes, Sockets};
use crate::telemetry::metrics::{KindLabel, RequestLabels, StepLabel};

use super::harness::{Harness, get, limits, with};
use super::tool::Answer;
use super::world::Verdict;

#[tokio::test]
async fn draining_closes_after_the_next_response_and_still_takes_connections() {
    let mut gateway = Harness::start().await;
    let mut kept = gateway.client().await;
    assert_eq!(kept.call(&get("/healthz")).await.header("connection"), None);
    gateway.drain.send_replace(true);
    let mut closes = gateway.get("/healthz").await;
    while closes.header("connection").is_none() {
        closes = gateway.get("/healthz").await;
    }
    assert_eq!(closes.status, 200);
    let last = kept.call(&get("/healthz")).await;
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(kept.ends().await);
    gateway.gateway.drained().await.expect("drained");
}

#[tokio::test]
async fn an_idle_connection_waits_for_the_drain_timeout_and_a_running_request_is_finished() {
    let quick = Limits {
        drain_timeout: Duration::from_millis(300),
        stream_grace: Duration::from_secs(5),
        ..limits()
    };
    let mut gateway = Harness::with(quick, |_| ()).await;
    let mut idle = gateway.client().await;
    assert_eq!(idle.call(&get("/healthz")).await.status, 200);
    gateway.tool.answers(|_| Answer::Silence);
    let mut busy = gateway.client().await;
    busy.send(get("/healthz?busy").as_bytes()).await;
    let started = std::time::Instant::now();
    gateway.drain.send_replace(true);
    assert!(idle.ends().await);
    assert!(started.elapsed() >= Duration::from_millis(250));
    assert_eq!(busy.next().await.expect("its own answer").status, 504);
    gateway.gateway.drained().await.expect("drained");
}

#[tokio::test]
async fn beyond_the_most_connections_the_next_waits_until_one_has_ended() {
    let gateway = Harness::holding(2, 1, limits(), |_| ()).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut client = gateway.client().await;
        assert_eq!(client.call(&get("/healthz")).await.status, 200);
        kept.push(client);
    }
    let mut waiting = gateway.client().await;
    waiting.send(get("/healthz?waiting").as_bytes()).await;
    for client in &mut kept {
        assert_eq!(client.call(&get("/healthz")).await.status, 200);
    }
    assert_eq!(gateway.tool.seen().len(), 4, "the third is not served yet");
    kept.pop();
    assert_eq!(waiting.next().await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_nothing_else() {
    let gateway = Harness::start().await;
    gateway.world.change(|state| state.verdict = Verdict::Panic);
    let mut client = gateway.client().await;
    client.send(get("/policy/a").as_bytes()).await;
    assert!(client.next().await.is_none());
    // The fake's lock is not held while it panics, so the same core goes on.
    gateway.world.change(|state| state.verdict = Verdict::Allow);
    assert_eq!(gateway.get("/policy/a").await.status, 200);
    let labels = RequestLabels { tool: "none".into(), outcome: "failed", reason: "panic" };
    assert_eq!(gateway.shared.metrics.requests.get_or_create(&labels).value(), 1);
    assert_eq!(gateway.tool.seen().len(), 1);
}

#[tokio::test]
async fn while_it_is_not_known_what_only_grants_give_no_grant_lets_anybody_in() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "viewer");
    assert_eq!(gateway.get("/a").await.status, 200);
    let partial = Catalog { is_partial: true, ..(**gateway.shared.catalog.load()).clone() };
    gateway.shared.catalog.store(Arc::new(partial));
    let refused = gateway.get("/a").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "store-unreachable"));
    assert_eq!(gateway.get("/policy/a").await.status, 200, "where no grant is demanded");
}

#[tokio::test]
async fn routes_and_catalog_can_be_swapped_while_it_runs() {
    let gateway = Harness::start().await;
    let mut client = gateway.client().await;
    assert_eq!(client.call(&get("/a")).await.json()["templates"].as_array().map(Vec::len), Some(1));
    gateway.shared.catalog.store(Arc::default());
    assert_eq!(client.call(&get("/a")).await.json()["templates"].as_array().map(Vec::len), Some(0));
    gateway.world.grant(1, "alice", "notes", "viewer");
    assert_eq!(client.call(&get("/a")).await.status, 200);
    assert!(
        gateway.world.asked().roles.contains(&"operator".to_owned()),
        "no template gives it now"
    );
    gateway.shared.routes.store(Arc::new(Routes::default()));
    assert_eq!(client.call(&get("/a")).await.code(), "no-route");
}

#[tokio::test]
async fn what_happens_is_counted_under_closed_labels() {
    let gateway = Harness::start().await;
    gateway.get("/healthz").await;
    gateway.get("/a").await;
    gateway.call("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n").await;
    gateway.call("GET / HTTP/1.1\r\nHost: down.localhost\r\n\r\n").await;
    gateway.world.change(|state| state.fault = Some(crate::store::StoreFault::Deadline));
    gateway.get("/me").await;
    let metrics = &gateway.shared.metrics;
    for (tool, outcome, reason) in [
        ("notes", "allowed", "allowed"),
        ("notes", "refused", "no-grant"),
        ("none", "refused", "no-route"),
        ("down", "failed", "upstream-unreachable"),
        ("notes", "refused", "store-unreachable"),
    ] {
        let labels = RequestLabels { tool: tool.into(), outcome, reason };
        assert_eq!(metrics.requests.get_or_create(&labels).value(), 1, "{tool} {reason}");
    }
    assert_eq!(metrics.store_errors.get_or_create(&KindLabel { kind: "deadline" }).get(), 1);
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register("steps", "", metrics.step_duration.clone());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    for step in ["identity", "grants", "upstream"] {
        let _present = metrics.step_duration.get(&StepLabel { step }).expect("measured");
        assert!(text.contains(step));
    }
}

#[tokio::test]
async fn the_number_of_active_requests_returns_to_zero() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = gateway.client().await;
    for request in
        [get("/healthz"), get("/a/../b"), with("POST", "/a", "Content-Length: 1\r\n") + "x"]
    {
        client.call(&request).await;
    }
    drop(client);
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while gateway.shared.metrics.http_server_active.get() != 0 {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

#[test]
fn an_address_in_use_is_reported_before_anything_starts() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    assert!(Sockets::bind(&[address], 2).is_err());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let ours = Sockets::bind(&[any], 2).expect("a free port");
    assert!(Sockets::bind(ours.addresses(), 2).is_err(), "two gateways never share a port");
}

#[test]
fn every_core_gets_its_own_socket_on_the_same_port() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let sockets = Sockets::bind(&[any, any], 3).expect("free ports");
    assert_eq!((sockets.cores(), sockets.addresses().len()), (3, 2));
    assert!(sockets.addresses().iter().all(|address| address.port() != 0));
}

#[tokio::test]
async fn cores_share_an_address_and_never_a_decision_id() {
    let mut gateway = Harness::with_cores(2, limits(), |_| ()).await;
    for _ in 0..60 {
        assert_eq!(gateway.get("/healthz").await.status, 200);
    }
    let ids: std::collections::BTreeSet<String> =
        gateway.world.records().iter().map(|record| record.id.to_string()).collect();
    assert_eq!(ids.len(), 60);
    for core in ["test-0-", "test-1-"] {
        assert!(ids.iter().any(|id| id.starts_with(core)), "{core} served something");
    }
    gateway.drain.send_replace(true);
    gateway.gateway.drained().await.expect("both cores drained");
}

#[tokio::test]
async fn no_request_that_starts_after_a_revocation_is_allowed() {
    let gateway = Harness::with_cores(2, limits(), |_| ()).await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut clients = Vec::new();
    for _ in 0..32 {
        let mut client = gateway.client().await;
        assert_eq!(client.call(&get("/before")).await.status, 200);
        clients.push(client);
    }
    let now = gateway.shared.clock.now();
    gateway.world.end(1, "notes", crate::domain::grant::EndedWhy::Revoked, now);
    for mut client in clients {
        for _ in 0..20 {
            assert_eq!(client.call(&get("/after")).await.code(), "grant-revoked");
        }
    }
    assert!(gateway.tool.seen().iter().all(|seen| seen.target() == "/before"));
}

#[tokio::test]
async fn an_upload_does_not_go_on_after_the_end_of_its_grant() {
    let gateway = Harness::start().await;
    gateway.partial_is_fine.store(true, std::sync::atomic::Ordering::Relaxed);
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = gateway.client().await;
    let head = with("POST", "/a", "Transfer-Encoding: chunked\r\n");
    client.send((head + "1\r\nx\r\n").as_bytes()).await;
    while gateway.tool.connections() == 0 {
        tokio::task::yield_now().await;
    }
    gateway.world.clock.advance(Duration::from_mins(1));
    let answer = client.next().await.expect("a refusal while the body is still being sent");
    assert_eq!((answer.status, answer.code()), (403, "grant-expired".to_owned()));
    assert!(client.ends().await, "nothing more is read from it");
    assert!(gateway.tool.seen().is_empty(), "the tool never got the whole of it");
}

#[tokio::test]
async fn an_answer_that_comes_after_the_end_of_its_grant_is_not_shown() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let clock = Arc::clone(&gateway.world.clock);
    gateway.tool.answers(move |_| {
        clock.advance(Duration::from_mins(1));
        Answer::text("HTTP/1.1 204 No Content\r\nX-Answer: 42\r\n\r\n")
    });
    let answer = gateway.get("/a").await;
    assert_eq!((answer.status, answer.code()), (403, "grant-expired".to_owned()));
    assert_eq!(answer.header("x-answer"), None);
}

#[tokio::test]
async fn an_upload_that_was_answered_early_ends_with_its_grant_too() {
    let gateway = Harness::start().await;
    gateway.partial_is_fine.store(true, std::sync::atomic::Ordering::Relaxed);
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = gateway.client().await;
    let head = with("POST", "/early", "Transfer-Encoding: chunked\r\n");
    client.send((head + "1\r\nx\r\n").as_bytes()).await;
    assert_eq!(client.next().await.expect("the early answer").status, 200);
    gateway.world.clock.advance(Duration::from_mins(1));
    client.send(b"4\r\nlate\r\n").await;
    let partial = || gateway.tool.log.partial.lock().expect("not poisoned").clone();
    while partial().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!partial().concat().windows(4).any(|four| four == b"late"));
}

#[test]
fn connections_that_come_together_are_not_probed_together() {
    let mut at = std::collections::BTreeMap::<_, usize>::new();
    for turn in 0..20_000 {
        let (after, every) = probed(turn);
        // The system's timers are about two seconds apart that far ahead, and a full queue holds 1000.
        *at.entry(after.as_secs() / 2).or_default() += 1;
        assert!(every < after);
    }
    assert!(at.values().all(|together| *together < 1000), "{at:?}");
}
