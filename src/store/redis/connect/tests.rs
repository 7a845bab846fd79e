use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::servers::tls::{Authority, TlsServer};
use super::super::servers::{Program, Server};
use super::{Connector, Stream};
use crate::config::{Acknowledge, RedisAddress, RedisConfig, RedisLogin, RedisNodes, RedisTls};

fn address(host: &str, port: u16) -> RedisAddress {
    RedisAddress { host: host.into(), port }
}

fn config(tls: Option<RedisTls>) -> RedisConfig {
    RedisConfig {
        nodes: RedisNodes::Standalone(address("127.0.0.1", 1)),
        tls,
        login: RedisLogin::default(),
        database: 0,
        timeout: Duration::from_millis(250),
        acknowledge: Acknowledge::Memory,
        replicas: 0,
        refuse_lost_replicas: false,
        max_replica_lag: Duration::from_secs(5),
    }
}

fn trusting(authority: &Authority) -> RedisTls {
    RedisTls { ca: Some(authority.ca()), client: None }
}

fn as_client(authority: &Authority) -> RedisTls {
    RedisTls { client: Some(authority.pair("client", &["client"])), ..trusting(authority) }
}

fn connector(tls: Option<RedisTls>) -> Connector {
    Connector::new(&config(tls)).expect("usable files")
}

/// What the server says to a PING.
async fn ping(mut stream: Stream) -> std::io::Result<String> {
    stream.write_all(b"PING\r\n").await?;
    stream.flush().await?;
    let mut reply = [0; 64];
    let read = stream.read(&mut reply).await?;
    Ok(String::from_utf8_lossy(&reply[..read]).into_owned())
}

#[tokio::test]
async fn a_server_is_reached_in_the_clear_and_with_tls() {
    let plain = Server::redis();
    let stream = connector(None).dial(&address("127.0.0.1", plain.port)).await;
    assert_eq!(ping(stream.expect("connects")).await.expect("answers"), "+PONG\r\n");
    let authority = Authority::new();
    let server = TlsServer::start(Program::Redis, &authority, false);
    let connector = connector(Some(trusting(&authority)));
    for host in ["localhost", "127.0.0.1"] {
        let stream = connector.dial(&address(host, server.port)).await.expect("connects");
        assert_eq!(ping(stream).await.expect("answers"), "+PONG\r\n");
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_talked_to() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = TlsServer::start(Program::Redis, &authority, false);
    let here = address("127.0.0.1", server.port);
    for tls in [trusting(&other), RedisTls::default()] {
        let fault = connector(Some(tls)).dial(&here).await.err().expect("refused");
        assert_eq!(fault.kind(), ErrorKind::InvalidData);
        assert!(fault.to_string().contains("TLS: "), "{fault}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let server = TlsServer::start_as(Program::Redis, &authority, &["redis.example.com"], false);
    let connector = connector(Some(trusting(&authority)));
    for host in ["localhost", "127.0.0.1"] {
        let fault = connector.dial(&address(host, server.port)).await.err().expect("refused");
        assert!(fault.to_string().contains("not valid for name"), "{fault}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_client_certificate_gets_the_configured_one() {
    let authority = Authority::new();
    let server = TlsServer::start(Program::Redis, &authority, true);
    let here = address("localhost", server.port);
    let known = connector(Some(as_client(&authority)));
    assert_eq!(
        ping(known.dial(&here).await.expect("connects")).await.expect("answers"),
        "+PONG\r\n"
    );
    // In TLS 1.3 the server says so only after the handshake is over for us.
    let unknown = connector(Some(trusting(&authority)));
    let answered = match unknown.dial(&here).await {
        Ok(stream) => ping(stream).await.unwrap_or_default(),
        Err(_) => String::new(),
    };
    assert_eq!(answered, "");
}

#[tokio::test]
async fn a_server_without_tls_gets_no_word_in_the_clear() {
    let server = Server::redis();
    let mut connector = connector(Some(trusting(&Authority::new())));
    connector.deadline = Duration::from_millis(100);
    // It takes the handshake for the beginning of a line and waits for the rest.
    let fault = connector.dial(&address("127.0.0.1", server.port)).await.err().expect("refused");
    assert_eq!(fault.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_at_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let mut connector = connector(Some(trusting(&Authority::new())));
    connector.deadline = Duration::from_millis(50);
    let fault = connector.dial(&address("127.0.0.1", port)).await.err().expect("late");
    assert_eq!(fault.kind(), ErrorKind::TimedOut);
    drop(silent);
    let fault = connector.dial(&address("127.0.0.1", port)).await.err().expect("refused");
    assert_eq!(fault.kind(), ErrorKind::ConnectionRefused);
    assert!(fault.to_string().starts_with("connecting: "), "{fault}");
}

#[test]
fn files_that_cannot_be_used_are_named_and_not_shown() {
    let authority = Authority::new();
    let canary = authority.file("canary.pem", "hunter2-canary");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = authority.file("broken.pem", broken);
    let (chain, key) = as_client(&authority).client.expect("a client");
    let stranger = Authority::new();
    let (_, other) = as_client(&stranger).client.expect("a client");
    for (ca, client) in [
        (Some(canary.clone()), None),
        (Some(broken), None),
        (None, Some((chain.clone(), canary.clone()))),
        (None, Some((canary, key))),
        (None, Some((chain, other))),
    ] {
        let told = Connector::new(&config(Some(RedisTls { ca, client }))).err().expect("refused");
        assert!(!format!("{told} {told:?}").contains("hunter2"), "{told}");
        assert!(told.to_string().contains(".pem"), "{told}");
    }
}
