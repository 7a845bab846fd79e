//! The ways to a tool: TLS, HTTP/2, sockets.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::config::{ToolConfig, Upstream, UpstreamTls};
use crate::gateway::Routes;
use crate::store::redis::servers::tls::Authority;
use crate::tls::server::tests::{Authority as Dated, NOW};

use super::harness::{Harness, get, limits, with};
use super::http2_tool::{Does, Http2Tool};
use super::tool::{Answer, Tool};
use super::websocket::{End, said, switch, wish};

/// A server's side of TLS, known as `names`.
fn acceptor(authority: &Authority, names: &[&str], alpn: &[&str], asks: bool) -> TlsAcceptor {
    let (chain, key) = authority.pair("server", names);
    let certificates = |path: PathBuf| {
        let found = CertificateDer::pem_file_iter(path).expect("PEM");
        found.collect::<Result<Vec<_>, _>>().expect("certificates")
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        for root in certificates(authority.ca()) {
            roots.add(root).expect("a root");
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let mut config = builder.with_single_cert(certificates(chain), key).expect("a pair");
    config.alpn_protocols = alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

fn trusting(authority: &Authority) -> UpstreamTls {
    UpstreamTls { ca: Some(authority.ca()), ..UpstreamTls::default() }
}

fn https(host: &str, port: u16, tls: &UpstreamTls) -> impl Fn(&mut ToolConfig) + use<> {
    let upstream = Upstream::Https { host: host.into(), port };
    let tls = tls.clone();
    move |tool| {
        tool.upstreams = vec![upstream.clone()];
        tool.upstream.tls = tls.clone();
    }
}

fn h2c(tool: &Http2Tool) -> impl Fn(&mut ToolConfig) + use<> {
    let upstream = Upstream::H2c { host: "127.0.0.1".into(), port: tool.address.port() };
    move |tool| tool.upstreams = vec![upstream.clone()]
}

/// A request that everybody may make, with any method.
fn public(method: &str, extra: &str) -> String {
    format!("{method} /any HTTP/1.1\r\nHost: down.localhost\r\n{extra}\r\n")
}

#[tokio::test]
async fn a_tool_behind_tls_is_reached_when_its_certificate_names_it() {
    let authority = Authority::new();
    let tool = Tool::tls(acceptor(&authority, &["localhost", "127.0.0.1"], &[], false)).await;
    for host in ["localhost", "127.0.0.1"] {
        let change = https(host, tool.address.port(), &trusting(&authority));
        let gateway = Harness::with(limits(), change).await;
        let before = tool.connections();
        let mut client = gateway.client().await;
        for _ in 0..5 {
            assert_eq!(client.call(&get("/healthz")).await.text(), "ok");
        }
        assert_eq!(tool.connections() - before, 1, "and the connection is kept");
    }
    let seen = tool.seen();
    assert_eq!(seen.len(), 10);
    assert_eq!(seen[0].header("host"), Some("notes.localhost"));
}

#[tokio::test]
async fn a_tool_whose_certificate_does_not_fit_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let right = Tool::tls(acceptor(&authority, &["localhost"], &[], false)).await;
    let plain = Tool::start().await;
    let port = right.address.port();
    for (host, port, tls) in [
        // Nobody vouches for it, or it is somebody else.
        ("localhost", port, trusting(&other)),
        ("localhost", port, UpstreamTls::default()),
        ("127.0.0.1", port, trusting(&authority)),
        // It does not speak TLS.
        ("localhost", plain.address.port(), trusting(&authority)),
    ] {
        let gateway = Harness::with(limits(), https(host, port, &tls)).await;
        let refused = gateway.get("/healthz").await;
        assert_eq!((refused.status, refused.code().as_str()), (502, "upstream-unreachable"));
    }
    assert!(right.seen().is_empty() && plain.seen().is_empty());
}

#[tokio::test]
async fn a_tool_that_asks_who_we_are_is_shown_the_configured_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tool = Tool::tls(acceptor(&authority, &["localhost"], &[], true)).await;
    let port = tool.address.port();
    let with_client = |client| UpstreamTls { client, ..trusting(&authority) };
    for client in [None, Some(other.pair("client", &["client"]))] {
        let gateway = Harness::with(limits(), https("localhost", port, &with_client(client))).await;
        assert_eq!(gateway.get("/healthz").await.status, 502);
    }
    assert!(tool.seen().is_empty());
    let ours = with_client(Some(authority.pair("client", &["client"])));
    let gateway = Harness::with(limits(), https("localhost", port, &ours)).await;
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn tls_files_are_read_anew_and_bad_ones_leave_the_old_in_use() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tool = Tool::tls(acceptor(&authority, &["localhost"], &[], true)).await;
    // Each request has to connect anew.
    let last = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    tool.answers(|_| Answer::Last(last.to_vec()));
    let ours = other.pair("client", &["client"]);
    let tls = UpstreamTls { client: Some(ours.clone()), ..trusting(&authority) };
    let gateway = Harness::with(limits(), https("localhost", tool.address.port(), &tls)).await;
    let reload = || gateway.shared.routes.load().tool_named("notes").upstreams.reload(NOW);
    assert_eq!(gateway.get("/healthz").await.status, 502, "a stranger's certificate");
    let good = authority.pair("client", &["client"]);
    std::fs::copy(&good.0, &ours.0).expect("copied");
    let told = reload().expect_err("the key is still the old one's");
    assert!(told.starts_with("tools: notes: tls."), "{told}");
    assert_eq!(gateway.get("/healthz").await.status, 502);
    std::fs::copy(&good.1, &ours.1).expect("copied");
    assert_eq!(reload(), Ok(()));
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    std::fs::write(&ours.1, "no key").expect("written");
    assert!(reload().is_err());
    assert_eq!(gateway.get("/healthz").await.text(), "ok", "with the old pair");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_before_anything_starts() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (chain, _) = authority.pair("client", &["client"]);
    let (_, strange_key) = other.pair("client", &["client"]);
    let dated = Dated::new();
    let old = dated.between("old", &["client"], 2020, 2026);
    let young = dated.between("young", &["client"], 2040, 2041);
    let gateway = Harness::start().await;
    let routes = gateway.shared.routes.load();
    let tool = routes.tool_named("notes");
    for (tls, words) in [
        (UpstreamTls { ca: Some(strange_key.clone()), ..UpstreamTls::default() }, "tls.ca"),
        (
            UpstreamTls { client: Some((chain.clone(), strange_key)), ..trusting(&authority) },
            "does not go with its key",
        ),
        (
            UpstreamTls { client: Some((chain.clone(), chain)), ..trusting(&authority) },
            "with a private key",
        ),
        (
            UpstreamTls { client: Some((old.certificate, old.key)), ..trusting(&authority) },
            "it expired at 2026-01-01",
        ),
        (
            UpstreamTls { client: Some((young.certificate, young.key)), ..trusting(&authority) },
            "it is not valid before 2040-01-01",
        ),
    ] {
        let mut config = ToolConfig::clone(&tool.config);
        https("localhost", 1, &tls)(&mut config);
        let problems = Routes::open(&[Arc::new(config)], &gateway.shared.metrics, NOW);
        let problems = problems.expect_err("unusable");
        assert!(problems[0].starts_with("tools[0].tls."), "{problems:?}");
        assert!(problems[0].contains(words), "{problems:?}");
    }
}

#[tokio::test]
async fn http2_is_spoken_inside_tls_only_where_both_sides_offer_it() {
    let authority = Authority::new();
    let both = ["h2", "http/1.1"];
    let modern = Http2Tool::start(Some(acceptor(&authority, &["localhost"], &both, false))).await;
    let old = Tool::tls(acceptor(&authority, &["localhost"], &["http/1.1"], false)).await;
    let silent = Tool::tls(acceptor(&authority, &["localhost"], &[], false)).await;
    let offering = UpstreamTls { http2: true, ..trusting(&authority) };
    let change = https("localhost", modern.address.port(), &offering);
    let gateway = Harness::with(limits(), change).await;
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    assert_eq!(modern.got()[0].uri, "https://notes.localhost/healthz");
    for tool in [&old, &silent] {
        let change = https("localhost", tool.address.port(), &offering);
        let gateway = Harness::with(limits(), change).await;
        for _ in 0..3 {
            assert_eq!(gateway.get("/healthz").await.text(), "ok");
        }
        assert_eq!((tool.seen().len(), tool.connections()), (3, 1));
    }
    // Not offered: HTTP/1.1, also to a tool that could do better.
    let both = Tool::tls(acceptor(&authority, &["localhost"], &both, false)).await;
    let change = https("localhost", both.address.port(), &trusting(&authority));
    let gateway = Harness::with(limits(), change).await;
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    assert_eq!(both.seen().len(), 1);
}

#[tokio::test]
async fn a_websocket_takes_http1_to_a_tool_that_would_rather_speak_http2() {
    let authority = Authority::new();
    let both = acceptor(&authority, &["localhost"], &["h2", "http/1.1"], false);
    let tool = Tool::tls(both).await;
    let offering = UpstreamTls { http2: true, ..trusting(&authority) };
    let gateway = Harness::with(limits(), https("localhost", tool.address.port(), &offering)).await;
    gateway.world.grant(1, "alice", "notes", "operator");
    tool.answers(|_| Answer::Switch(format!("{}\r\n", switch()).into_bytes()));
    let mut client = gateway.client().await;
    client.send(with("GET", "/socket", &wish()).as_bytes()).await;
    assert_eq!(client.next_of("HEAD").await.expect("an answer").status, 101);
    client.send(&said("hello")).await;
    let (stream, bytes) = tool.switched().await;
    assert_eq!(End { stream, bytes }.text().await, "hello");
}

#[tokio::test]
async fn a_websocket_to_a_tool_of_http2_without_tls_is_a_502_and_no_failure_of_the_tool() {
    let tool = Http2Tool::start(None).await;
    let gateway = Harness::with(limits(), h2c(&tool)).await;
    gateway.world.grant(1, "alice", "notes", "operator");
    for _ in 0..20 {
        let refused = gateway.call(&with("GET", "/socket", &wish())).await;
        assert_eq!((refused.status, refused.code().as_str()), (502, "upstream-unreachable"));
    }
    assert_eq!(tool.connections(), 0);
    let routes = gateway.shared.routes.load();
    assert!(routes.tool_named("notes").upstreams.backends.iter().all(|it| it.is_usable()));
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn a_socket_is_reached_and_a_missing_one_is_a_502() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tool.sock");
    let at = path.clone();
    let gateway =
        Harness::with(limits(), move |tool| tool.upstreams = vec![Upstream::Unix(at.clone())])
            .await;
    let refused = gateway.get("/healthz").await;
    assert_eq!((refused.status, refused.code().as_str()), (502, "upstream-unreachable"));
    assert!(!refused.text().contains("tool.sock"), "nothing of the inside");
    let tool = Tool::unix(&path);
    let mut client = gateway.client().await;
    for _ in 0..5 {
        assert_eq!(client.call(&get("/healthz")).await.text(), "ok");
    }
    assert_eq!((tool.seen().len(), tool.connections()), (5, 1));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_502() {
    let gateway = Harness::with(limits(), |tool| {
        tool.upstreams = vec![Upstream::Http { host: "nowhere.invalid".into(), port: 80 }];
    })
    .await;
    let refused = gateway.get("/healthz").await;
    assert_eq!((refused.status, refused.code().as_str()), (502, "upstream-unreachable"));
}

#[tokio::test]
async fn requests_share_a_connection_of_http2() {
    let tool = Http2Tool::start(None).await;
    let gateway = Harness::with(limits(), h2c(&tool)).await;
    let calls: Vec<_> = (0..20).map(|_| gateway.get("/healthz")).collect();
    let mut done = Vec::new();
    for call in calls {
        done.push(call.await.text());
    }
    assert!(done.iter().all(|text| text == "ok"));
    assert_eq!((tool.got().len(), tool.connections()), (20, 1));
}

#[tokio::test]
async fn many_requests_at_once_make_one_connection_of_http2() {
    let tool = Http2Tool::start(None).await;
    let gateway = Harness::with(limits(), h2c(&tool)).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = gateway.client().await;
        client.send(get("/healthz").as_bytes()).await;
        clients.push(client);
    }
    for mut client in clients {
        assert_eq!(client.next().await.expect("a response").text(), "ok");
    }
    assert_eq!((tool.got().len(), tool.connections()), (20, 1));
}

#[tokio::test]
async fn a_request_over_http2_says_what_it_said_over_http1() {
    let tool = Http2Tool::start(None).await;
    let gateway = Harness::with(limits(), h2c(&tool)).await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let extra = "TE: trailers, deflate\r\nConnection: TE, X-Hop\r\nX-Hop: a\r\nX-Kept: b\r\n\
                 Transfer-Encoding: chunked\r\n";
    let request = with("POST", "/a?b=%20c", extra) + "3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(gateway.call(&request).await.text(), "ok");
    let got = &tool.got()[0];
    assert_eq!((&*got.method, &*got.uri), ("POST", "http://notes.localhost/a?b=%20c"));
    assert_eq!(got.body, b"abc");
    let header = |name: &str| got.headers.get(name).and_then(|it| it.to_str().ok());
    assert_eq!((header("te"), header("x-kept")), (Some("trailers"), Some("b")));
    assert_eq!(header("tidegate-subject"), Some("alice"));
    for gone in ["host", "x-hop", "connection", "transfer-encoding", "authorization"] {
        assert_eq!(header(gone), None, "{gone}");
    }
    // Who does not want trailers does not ask for them.
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    assert!(!tool.got()[1].headers.contains_key("te"));
}

#[tokio::test]
async fn a_refused_stream_is_tried_once_more_where_that_is_harmless() {
    let tool = Http2Tool::start(None).await;
    let gateway = Harness::with(limits(), h2c(&tool)).await;
    tool.does(|_, before| if before == 0 { Does::Refuses } else { Does::Answers });
    assert_eq!(gateway.call(&public("GET", "")).await.text(), "ok");
    assert_eq!(tool.got().len(), 1);
    tool.does(|_, _| Does::Refuses);
    assert_eq!(gateway.call(&public("GET", "")).await.status, 502, "once, not again and again");
    tool.does(|_, before| if before % 2 == 1 { Does::Refuses } else { Does::Answers });
    for request in [
        public("POST", "Content-Length: 0\r\n"),
        public("PUT", "Content-Length: 3\r\n") + "abc",
        public("PATCH", ""),
    ] {
        let statuses = [gateway.call(&request).await.status, gateway.call(&request).await.status];
        assert!(statuses.contains(&502), "{request:?} must not be repeated: {statuses:?}");
    }
}

#[tokio::test]
async fn a_connection_that_the_tool_says_goodbye_on_is_left() {
    let tool = Http2Tool::start(None).await;
    let gateway = Harness::with(limits(), h2c(&tool)).await;
    tool.does(|_, _| Does::SaysGoodbye);
    for _ in 0..10 {
        assert_eq!(gateway.call(&public("POST", "Content-Length: 0\r\n")).await.text(), "ok");
    }
    let got = tool.got();
    assert_eq!(got.len(), 10, "and none is sent twice");
    assert!(tool.connections() > 1);
}

#[tokio::test]
async fn a_silent_connection_of_http2_gets_no_further_request() {
    let tool = Http2Tool::start(None).await;
    let gateway = Harness::with(limits(), h2c(&tool)).await;
    tool.does(|_, _| Does::Nothing);
    let refused = gateway.get("/healthz").await;
    assert_eq!((refused.status, refused.code().as_str()), (504, "upstream-timeout"));
    tool.does(|_, _| Does::Answers);
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    let got = tool.got();
    assert_ne!(got[0].connection, got[1].connection);
}

#[tokio::test]
async fn a_body_over_http2_that_is_longer_than_announced_is_cut() {
    let tool = Http2Tool::start(None).await;
    let gateway = Harness::with(limits(), h2c(&tool)).await;
    tool.does(|_, _| Does::SaysTooMuch);
    let mut client = gateway.client().await;
    client.send(get("/healthz").as_bytes()).await;
    let response = client.next().await;
    assert!(response.is_none_or(|it| it.status == 502 || it.text() == "o"), "never okok");
}
