use bytes::Bytes;
use http::HeaderMap;
use tokio::time::timeout;

use super::h2_client::{H2, PATIENCE, ask, whole};
use super::harness::{Harness, limits, with};
use super::tool::Answer;
use crate::config::Upstream;

const WITH_TRAILERS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, \
     Tidegate-Subject, Set-Cookie\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\nTidegate-Subject: root\r\n\
     Set-Cookie: a=b\r\nContent-Length: 9\r\nX-Unannounced: 1\r\n\r\n";

/// Names that may not come as trailers, as HTTP/1.1 would spell them.
const FORBIDDEN: [&str; 12] = [
    "Tidegate-Subject",
    "tidegate_grants",
    "X-Forwarded-For",
    "X-Request-ID",
    "Traceparent",
    "Authorization",
    "Cookie",
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "X-HTTP-Method-Override",
];

#[tokio::test]
async fn trailers_of_a_response_reach_the_client_and_ours_do_not() {
    let gateway = Harness::start().await;
    gateway.tool.answers(|_| Answer::text(WITH_TRAILERS));
    let client = H2::plain(gateway.address()).await;
    let answer = client.get("/healthz").await;
    assert_eq!(answer.body, b"hi");
    assert_eq!(answer.header("trailer"), Some("X-Sum"));
    let names: Vec<&str> = answer.trailers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["x-sum", "x-unannounced"]);
    let asked = with("GET", "/healthz", "TE: trailers\r\n");
    let answer = gateway.call(&asked).await;
    assert_eq!(answer.trailers, "x-sum: 7\n");
    // A client that did not say so gets none.
    assert_eq!(gateway.call(&with("GET", "/healthz", "")).await.trailers, "");
    assert_eq!(gateway.tool.connections(), 1, "read to its end, so it is used again");
}

#[tokio::test]
async fn trailers_of_a_request_reach_the_tool_and_those_of_a_head_do_not() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let announced = FORBIDDEN.join(", ");
    let head = format!("Transfer-Encoding: chunked\r\nTrailer: X-Sum, {announced}\r\n");
    let lines = FORBIDDEN.join(": 1\r\n") + ": 1\r\n";
    let asked = with("POST", "/a", &head) + "2\r\nhi\r\n0\r\nX-Sum: 7\r\n" + &lines + "\r\n";
    let mut client = gateway.client().await;
    assert_eq!(client.call(&asked).await.status, 200);
    let seen = gateway.one_seen();
    assert_eq!((seen.header("trailer"), seen.trailers.as_str()), (Some("X-Sum"), "x-sum: 7\n"));
    assert_eq!(seen.body, b"hi");
    assert_eq!(client.call(&with("GET", "/a", "")).await.status, 200);
    assert_eq!(gateway.tool.connections(), 1, "the body ended with its trailers");
}

#[tokio::test]
async fn trailers_of_http2_reach_the_tool_when_they_were_announced() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let client = H2::plain(gateway.address()).await;
    let asked = ask("POST", "/a").header("trailer", "x-sum, tidegate-grants");
    let asked = asked.body(()).expect("a request");
    let (response, mut body) = client.begin(asked, false).await.expect("taken");
    body.send_data(Bytes::from_static(b"hi"), false).expect("sent");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().expect("a value"));
    trailers.insert("tidegate-grants", "all".parse().expect("a value"));
    body.send_trailers(trailers).expect("sent");
    let response = timeout(PATIENCE, response).await.expect("in time").expect("an answer");
    assert_eq!(whole(response).await.status, 200);
    let seen = gateway.one_seen();
    assert_eq!((seen.body.as_slice(), seen.trailers.as_str()), (&b"hi"[..], "x-sum: 7\n"));
}

#[tokio::test]
async fn the_header_that_carries_the_credential_comes_as_no_trailer() {
    let gateway = Harness::start().await;
    let asked = "POST /side/a HTTP/1.1\r\nHost: opaque.localhost\r\nX-Token: alice\r\n\
         Transfer-Encoding: chunked\r\nTrailer: X-Token, X_Token\r\n\r\n0\r\nX-Token: bob\r\n\
         X_Token: bob\r\n\r\n";
    assert_eq!(gateway.call(asked).await.status, 200);
    assert_eq!(gateway.one_seen().trailers, "");
}

#[tokio::test]
async fn a_refusal_of_grpc_says_so_in_its_own_words_too() {
    let gateway = Harness::start().await;
    let client = H2::plain(gateway.address()).await;
    let grpc = |target| ask("POST", target).header("content-type", "application/grpc+proto");
    let refused = client.call(grpc("/a")).await;
    assert_eq!((refused.status, refused.code()), (403, "no-grant".to_owned()));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.header("grpc-status"), Some("7"));
    assert_eq!(refused.header("grpc-message"), Some("no live grant for notes"));
    let down =
        http::Request::post("http://down.localhost/a").header("content-type", "application/grpc");
    let down = client.call(down).await;
    assert_eq!((down.status, down.header("grpc-status")), (502, Some("14")));
    let plain = client.call(ask("POST", "/a")).await;
    assert_eq!((plain.status, plain.header("grpc-status")), (403, None));
}

/// Both ways at once: each word of the client is answered before the next is sent.
#[tokio::test]
async fn a_conversation_flows_both_ways_without_waiting_for_an_end() {
    let echo = echo().await;
    let gateway = Harness::with(limits(), |tool| {
        tool.upstreams = vec![Upstream::Http { host: "127.0.0.1".into(), port: echo }];
    });
    let gateway = gateway.await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let client = H2::plain(gateway.address()).await;
    let asked = ask("POST", "/talk").body(()).expect("a request");
    let (response, mut body) = client.begin(asked, false).await.expect("taken");
    body.send_data(Bytes::from_static(b"one"), false).expect("sent");
    let mut answer =
        timeout(PATIENCE, response).await.expect("in time").expect("a head").into_body();
    for word in [&b"one"[..], b"two", b"three"] {
        if word != b"one" {
            body.send_data(Bytes::from_static(word), false).expect("sent");
        }
        let piece = timeout(PATIENCE, answer.data()).await.expect("in time");
        assert_eq!(piece.expect("a piece").expect("whole"), word);
    }
    body.send_data(Bytes::new(), true).expect("sent");
    while let Some(rest) = timeout(PATIENCE, answer.data()).await.expect("in time") {
        assert_eq!(rest.expect("whole").len(), 0);
    }
}

/// A tool that sends every chunk back as it comes; its port.
async fn echo() -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        let begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(begin).await.expect("it reads");
        let mut bytes = [0; 1024];
        loop {
            match stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return,
                // Chunks come and go as they are, the last one too.
                Ok(count) => stream.write_all(&bytes[..count]).await.expect("it reads"),
            }
        }
    });
    port
}
