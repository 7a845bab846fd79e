use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::version;

use super::harness::{Harness, get, limits};
use super::secure::{Says, connect, one, speaks};
use crate::config::{CertificateConfig, Limits, TlsConfig};
use crate::gateway::Speaks;
use crate::telemetry::metrics::CauseLabel;
use crate::tls::server::tests::{Authority, NOW};

/// The whole answer to a request that asks for the connection to be closed.
async fn call(stream: &mut TlsStream<TcpStream>, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer, and an orderly end");
    String::from_utf8_lossy(&answer).into_owned()
}

fn closing(path: &str) -> String {
    get(path).replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
}

async fn gateway(config: &TlsConfig) -> Harness {
    Harness::speaking(limits(), vec![speaks(config, true)]).await
}

#[tokio::test]
async fn requests_inside_tls_are_answered_in_both_versions_of_it() {
    let authority = Authority::new();
    let gateway = gateway(&one(&authority)).await;
    for version in [&version::TLS12, &version::TLS13] {
        for protocols in [&[][..], &["http/1.1"]] {
            let says = Says { protocols, versions: vec![version], ..Says::default() };
            let mut stream =
                connect(&authority, gateway.address(), &says).await.expect("a handshake");
            let answer = call(&mut stream, &closing("/healthz")).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }
    let seen = gateway.tool.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|seen| seen.header("x-forwarded-proto") == Some("https")));
}

#[tokio::test]
async fn the_protocol_is_agreed_on_and_nothing_else_is_spoken() {
    let authority = Authority::new();
    let config = one(&authority);
    let both = vec![speaks(&config, true), speaks(&config, false)];
    let gateway = Harness::speaking(limits(), both).await;
    let addresses = gateway.gateway.addresses().to_vec();
    let agreed = async |at: usize, protocols: &'static [&'static str]| {
        let says = Says { protocols, ..Says::default() };
        let stream = connect(&authority, addresses[at], &says).await.ok()?;
        stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
    };
    assert_eq!(agreed(0, &["h2", "http/1.1"]).await.as_deref(), Some(&b"h2"[..]));
    assert_eq!(agreed(0, &["http/1.1"]).await.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(agreed(1, &["h2", "http/1.1"]).await.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(agreed(0, &["spdy/3"]).await, None);
    assert_eq!(agreed(1, &["h2"]).await, None);
    // The preface of HTTP/2 without an agreement is no request.
    let mut stream =
        connect(&authority, addresses[0], &Says::default()).await.expect("a handshake");
    let answer = call(&mut stream, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn each_host_gets_its_certificate_and_an_unknown_name_no_handshake() {
    let authority = Authority::new();
    let bound = |name: &str, host: &str| CertificateConfig {
        hosts: vec![host.into()],
        ..authority.signed(name, &[host])
    };
    let certificates = vec![bound("a", "notes.localhost"), bound("b", "opaque.localhost")];
    let bound = TlsConfig { certificates, client_ca: None };
    let unbound = one(&authority);
    let both = vec![speaks(&bound, true), speaks(&unbound, true)];
    let gateway = Harness::speaking(limits(), both).await;
    let addresses = gateway.gateway.addresses().to_vec();
    let shown = async |at: usize, name: Option<&str>| {
        let stream = connect(&authority, addresses[at], &Says { name, ..Says::default() }).await;
        stream.ok().and_then(|stream| stream.get_ref().1.peer_certificates().map(<[_]>::to_vec))
    };
    let notes = shown(0, Some("notes.localhost")).await.expect("its own");
    assert_ne!(Some(notes), shown(0, Some("opaque.localhost")).await);
    for (at, name) in [(0, Some("other.localhost")), (0, None), (1, Some("other.localhost"))] {
        assert_eq!(shown(at, name).await, None, "{at} {name:?}");
    }
    assert!(shown(1, None).await.is_some(), "what is bound to no host answers for an address");
    let refused = &gateway.shared.metrics.connections_refused;
    assert_eq!(refused.get_or_create(&CauseLabel { cause: "tls" }).get(), 3);
}

#[tokio::test]
async fn a_request_for_another_host_than_the_handshake_named_is_misdirected() {
    let authority = Authority::new();
    let gateway = gateway(&one(&authority)).await;
    let address = gateway.address();
    let other = Says { name: Some("opaque.localhost"), ..Says::default() };
    let mut stream = connect(&authority, address, &other).await.expect("a handshake");
    let answer = call(&mut stream, &closing("/healthz")).await;
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
    assert!(answer.contains("urn:tidegate:problem:misdirected"), "{answer}");
    assert_eq!(gateway.verdict(), (false, "misdirected"));
    assert!(gateway.tool.seen().is_empty());
    // The same name in other letters, and a port, are the same host.
    let mut stream = connect(&authority, address, &Says::default()).await.expect("a handshake");
    let request = closing("/healthz").replace("notes.localhost", "Notes.LOCALHOST:8443");
    assert!(call(&mut stream, &request).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn where_clients_need_a_certificate_only_those_of_our_authority_get_in() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let config = TlsConfig { client_ca: Some(authority.ca()), ..one(&authority) };
    let gateway = gateway(&config).await;
    let try_with = async |certificate: Option<CertificateConfig>| {
        let says = Says { certificate, ..Says::default() };
        let mut stream = connect(&authority, gateway.address(), &says).await.ok()?;
        // In TLS 1.3 the client believes in the handshake before the server has seen its certificate.
        stream.write_all(closing("/healthz").as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok().map(|_| answer)
    };
    assert_eq!(try_with(None).await, None);
    assert_eq!(try_with(Some(stranger.signed("client", &["client"]))).await, None);
    let expired = authority.between("old", &["client"], 2000, 2001);
    assert_eq!(try_with(Some(expired)).await, None);
    assert_eq!(gateway.tool.seen().len(), 0);
    let answer = try_with(Some(authority.signed("client", &["client"]))).await.expect("let in");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let authority = Authority::new();
    let config = one(&authority);
    let speaks = speaks(&config, true);
    let tls = speaks.tls.clone().expect("TLS");
    let gateway = Harness::speaking(limits(), vec![speaks]).await;
    let new = async || {
        let stream = connect(&authority, gateway.address(), &Says::default()).await;
        let stream = stream.expect("a handshake");
        let shown = stream.get_ref().1.peer_certificates().expect("shown")[0].clone();
        (stream, shown)
    };
    let (mut open, first) = new().await;
    authority.signed("server", &["notes.localhost"]);
    tls.reload(NOW).expect("a new pair");
    let (_, second) = new().await;
    assert_ne!(first, second);
    std::fs::write(&config.certificates[0].certificate, "broken").expect("written");
    tls.reload(NOW).expect_err("broken");
    assert_eq!(new().await.1, second, "what was good stays");
    assert!(call(&mut open, &closing("/healthz")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_handshake_has_a_deadline_and_counts_as_a_connection() {
    let authority = Authority::new();
    let quick = Limits { header_timeout: Duration::from_millis(200), ..limits() };
    let gateway = Harness::speaking(quick, vec![speaks(&one(&authority), true)]).await;
    let mut silent = TcpStream::connect(gateway.address()).await.expect("it listens");
    // The beginning of a handshake, and no more.
    silent.write_all(&[0x16, 0x03, 0x01, 0x02]).await.expect("it reads");
    assert_eq!(silent.read(&mut [0; 64]).await.unwrap_or(0), 0, "it was ended");
    let refused = &gateway.shared.metrics.connections_refused;
    let counted = || refused.get_or_create(&CauseLabel { cause: "tls-timeout" }).get();
    // The connection is closed first, then it is counted.
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while counted() == 0 {
        assert!(std::time::Instant::now() < deadline, "it is counted");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(counted(), 1);
}

#[tokio::test]
async fn a_plain_request_on_a_port_with_tls_reaches_nothing() {
    let authority = Authority::new();
    let gateway = gateway(&one(&authority)).await;
    let mut plain = TcpStream::connect(gateway.address()).await.expect("it listens");
    plain.write_all(closing("/healthz").as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    let _reset = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(gateway.tool.seen().is_empty() && gateway.world.records().is_empty());
}

#[tokio::test]
async fn a_port_without_tls_stays_as_it_is() {
    let authority = Authority::new();
    let plain = Speaks { http2: true, tls: None };
    let both = vec![plain, speaks(&one(&authority), true)];
    let gateway = Harness::speaking(limits(), both).await;
    assert_eq!(gateway.get("/healthz").await.status, 200);
    assert_eq!(gateway.one_seen().header("x-forwarded-proto"), Some("http"));
}
