//! Names of backends, as the DNS tells them.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::task::JoinHandle;

use crate::config::Upstream;
use crate::gateway::watch_backends;

use super::dns::{Dns, NO_SUCH_NAME, SERVER_FAILURE, Says};
use super::harness::{Harness, get, limits};
use super::pool::until;
use super::tool::Tool;

const FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// `notes` is at one name, every other tool at another.
async fn named(dns: &Dns, notes: &str, others: &str) -> Harness {
    Harness::with(limits(), |tool| {
        let host = if &*tool.name == "notes" { notes } else { others };
        for upstream in &mut tool.upstreams {
            if let Upstream::Http { port, .. } = upstream {
                *upstream = Upstream::Http { host: host.into(), port: *port };
            }
        }
        tool.upstream.dns = [dns.address].into();
    })
    .await
}

/// Follows the names, as the process does.
fn follow(gateway: &Harness) -> JoinHandle<()> {
    tokio::spawn(watch_backends(gateway.shared.routes.load().upstreams().to_vec()))
}

/// Another tool at the second address and the same port.
async fn moved(gateway: &Harness) -> Tool {
    Tool::on(SocketAddr::from((SECOND, gateway.tool.address.port()))).await
}

#[tokio::test]
async fn a_name_is_asked_for_again_when_its_ttl_ends_and_not_before() {
    let dns = Dns::start().await;
    dns.says("moves.test", Says::Address(FIRST, 1));
    dns.says("stays.test", Says::Address(FIRST, 300));
    let gateway = named(&dns, "moves.test", "stays.test").await;
    let others = gateway.shared.routes.load().upstreams().len() - 1;
    let following = follow(&gateway);
    let second = moved(&gateway).await;
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    assert_eq!((gateway.tool.seen().len(), second.seen().len()), (1, 0));
    dns.says("moves.test", Says::Address(SECOND, 1));
    dns.says("stays.test", Says::Address(SECOND, 300));
    let before = dns.asked("moves.test");
    until(|| dns.asked("moves.test") >= before + 2).await;
    // Two TTLs later everything goes to where the name has moved, and the other name was left alone.
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    assert_eq!((gateway.tool.seen().len(), second.seen().len()), (1, 1));
    assert_eq!(dns.asked("stays.test"), others);
    following.abort();
}

#[tokio::test]
async fn an_alias_that_ends_sooner_than_its_address_is_asked_for_again() {
    let dns = Dns::start().await;
    dns.says("address.test", Says::Address(FIRST, 300));
    dns.alias("alias.test", "address.test", 1);
    let gateway = named(&dns, "alias.test", "address.test").await;
    let following = follow(&gateway);
    until(|| dns.asked("alias.test") >= 2).await;
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    following.abort();
}

#[tokio::test]
async fn what_a_name_was_stays_while_the_dns_fails_denies_it_or_is_silent() {
    let dns = Dns::start().await;
    dns.says("stays.test", Says::Address(FIRST, 300));
    dns.says("fails.test", Says::Address(FIRST, 1));
    let gateway = named(&dns, "fails.test", "stays.test").await;
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    let following = follow(&gateway);
    for says in [Says::Code(SERVER_FAILURE), Says::Code(NO_SUCH_NAME), Says::Nothing] {
        dns.says("fails.test", says);
        let before = dns.asked("fails.test");
        until(|| dns.asked("fails.test") > before).await;
        assert_eq!(gateway.get("/healthz").await.text(), "ok");
    }
    following.abort();
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_asked_for_once_for_all_that_wait() {
    let dns = Dns::start().await;
    dns.says("stays.test", Says::Address(FIRST, 300));
    let gateway = named(&dns, "unknown.test", "stays.test").await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = gateway.client().await;
        client.send(get("/healthz").as_bytes()).await;
        clients.push(client);
    }
    for client in &mut clients {
        let refused = client.next().await.expect("a response");
        assert_eq!((refused.status, refused.code().as_str()), (502, "upstream-unreachable"));
    }
    let asked = dns.asked("unknown.test");
    assert!((1..20).contains(&asked), "asked {asked} times for 20 requests");
    // As soon as it is known it is used.
    dns.says("unknown.test", Says::Address(FIRST, 300));
    while gateway.get("/healthz").await.status != 200 {
        tokio::task::yield_now().await;
    }
}
