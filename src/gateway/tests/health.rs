//! Tidegate's own checks of backends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::{HealthCheck, HealthConfig, Upstream};
use crate::gateway::watch_backends;

use super::harness::{Harness, limits};
use super::http2_tool::{Does, Http2Tool};
use super::pool::until;
use super::tool::{Answer, Tool};

/// Two backends of every tool, of which the tool `notes` is checked.
async fn checked(upstreams: Vec<Upstream>, check: HealthCheck) -> (Harness, JoinHandle<()>) {
    let gateway = Harness::with(limits(), |tool| {
        tool.upstreams.clone_from(&upstreams);
        tool.upstream.ejection = None;
        if &*tool.name == "notes" {
            tool.upstream.health = Some(HealthConfig {
                check: check.clone(),
                interval: Duration::from_millis(10),
                timeout: Duration::from_secs(5),
                healthy: 2,
                unhealthy: 2,
            });
        }
    })
    .await;
    let tools = gateway.shared.routes.load().upstreams().to_vec();
    (gateway, tokio::spawn(watch_backends(tools)))
}

/// Of the tool `notes`.
fn healthy(gateway: &Harness) -> Vec<bool> {
    let routes = gateway.shared.routes.load();
    let tool = routes.upstreams().iter().find(|tool| &*tool.tool == "notes").expect("notes");
    tool.backends.iter().map(|it| it.is_healthy()).collect()
}

fn unhealthy_count(gateway: &Harness) -> i64 {
    let label = crate::telemetry::metrics::ToolLabel { tool: "notes".into() };
    gateway.shared.metrics.upstreams.unhealthy.get_or_create(&label).get()
}

fn at(tool: &Tool) -> Upstream {
    Upstream::Http { host: "127.0.0.1".into(), port: tool.address.port() }
}

/// How many requests that are none of our own checks came.
fn asked(tool: &Tool) -> usize {
    tool.seen().iter().filter(|seen| seen.target() != "/up").count()
}

#[tokio::test]
async fn a_backend_that_says_another_status_gets_no_requests_until_it_is_well_again() {
    let (one, two) = (Tool::start().await, Tool::start().await);
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    one.answers(move |seen| match seen.target() {
        "/up" if down.load(Ordering::SeqCst) => {
            Answer::text("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
        }
        _ => Answer::ok(),
    });
    let check = HealthCheck::Http { path: "/up".into(), status: 200 };
    let (gateway, watching) = checked(vec![at(&one), at(&two)], check).await;
    until(|| healthy(&gateway) == [false, true]).await;
    assert_eq!(unhealthy_count(&gateway), 1);
    for _ in 0..20 {
        assert_eq!(gateway.get("/healthz").await.status, 200);
    }
    assert_eq!((asked(&one), asked(&two)), (0, 20));
    let seen = two.seen();
    let own = seen.iter().find(|seen| seen.target() == "/up").expect("a check");
    assert!(own.header("user-agent").is_some_and(|it| it.starts_with("tidegate-health/")));
    assert_eq!(own.header("tidegate-subject"), None);
    is_down.store(false, Ordering::SeqCst);
    until(|| healthy(&gateway) == [true, true]).await;
    assert_eq!(unhealthy_count(&gateway), 0);
    while asked(&one) == 0 {
        assert_eq!(gateway.get("/healthz").await.status, 200);
    }
    watching.abort();
}

#[tokio::test]
async fn when_no_backend_is_healthy_all_are_tried() {
    let (one, two) = (Tool::start().await, Tool::start().await);
    let check = HealthCheck::Http { path: "/up".into(), status: 204 };
    let (gateway, watching) = checked(vec![at(&one), at(&two)], check).await;
    until(|| healthy(&gateway) == [false, false]).await;
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    assert_eq!(asked(&one) + asked(&two), 1);
    watching.abort();
}

#[tokio::test]
async fn a_backend_that_takes_no_connection_is_down() {
    let up = Tool::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let down = Upstream::Http { host: "127.0.0.1".into(), port };
    let (gateway, watching) = checked(vec![down, at(&up)], HealthCheck::Tcp).await;
    until(|| healthy(&gateway) == [false, true]).await;
    assert_eq!(asked(&up), 0, "a connection alone");
    watching.abort();
}

#[tokio::test]
async fn a_grpc_server_is_asked_whether_it_serves() {
    let (one, two) = (Http2Tool::start(None).await, Http2Tool::start(None).await);
    one.does(|_, _| Does::Serves(false));
    two.does(|_, _| Does::Serves(true));
    let upstream =
        |tool: &Http2Tool| Upstream::H2c { host: "127.0.0.1".into(), port: tool.address.port() };
    let check = HealthCheck::Grpc { service: "notes.v1.Notes".into() };
    let (gateway, watching) = checked(vec![upstream(&one), upstream(&two)], check).await;
    until(|| healthy(&gateway) == [false, true]).await;
    let got = &two.got()[0];
    assert_eq!((&*got.method, got.body.len()), ("POST", 5 + 2 + "notes.v1.Notes".len()));
    assert!(got.uri.ends_with("/grpc.health.v1.Health/Check"), "{}", got.uri);
    assert_eq!(got.headers["content-type"], "application/grpc");
    // Ok without an answer is none.
    two.does(|_, _| Does::AnswersWithTrailers);
    until(|| healthy(&gateway) == [false, false]).await;
    one.does(|_, _| Does::Serves(true));
    until(|| healthy(&gateway) == [true, false]).await;
    watching.abort();
}
