use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::config::Upstream;

use super::harness::{Harness, get, limits, with};
use super::tool::Answer;

#[tokio::test]
async fn connections_to_the_tool_are_reused() {
    let gateway = Harness::start().await;
    let mut client = gateway.client().await;
    for _ in 0..20 {
        assert_eq!(client.call(&get("/healthz")).await.status, 200);
    }
    assert_eq!(gateway.tool.connections(), 1);
    assert_eq!(gateway.tool.seen().last().expect("seen").connection, 0);
}

#[tokio::test]
async fn bodies_are_streamed_both_ways_whatever_their_framing() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let body: String =
        (0..300_000).map(|n| char::from(b'a' + u8::try_from(n % 26).expect("small"))).collect();
    gateway.tool.answers(|seen| {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in seen.body.chunks(7001) {
            answer.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            answer.extend_from_slice(piece);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\nX-Trailer: secret\r\n\r\n");
        Answer::Bytes(answer)
    });
    let mut client = gateway.client().await;
    let sized = with("POST", "/a", &format!("Content-Length: {}\r\n", body.len())) + &body;
    let chunked = with("PUT", "/a", "Transfer-Encoding: chunked\r\n")
        + &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for request in [sized, chunked] {
        let response = client.call(&request).await;
        assert_eq!((response.status, response.text()), (200, body.clone()));
    }
    // A body on a GET is neither lost nor left over.
    let request = with("GET", "/a", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(client.call(&request).await.text(), "abc");
}

#[tokio::test]
async fn responses_without_a_body_keep_both_connections_in_step() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    gateway.tool.answers(|seen| match (seen.method(), seen.target()) {
        ("HEAD", _) => Answer::text("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        (_, "/none") => Answer::text("HTTP/1.1 204 No Content\r\n\r\n"),
        (_, "/same") => Answer::text("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
        (_, "/hints") => Answer::text(
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        _ => Answer::ok(),
    });
    let mut client = gateway.client().await;
    for (method, path, status) in [
        ("HEAD", "/a", 200),
        ("GET", "/none", 204),
        ("GET", "/same", 304),
        ("GET", "/hints", 200),
        ("GET", "/a", 200),
    ] {
        assert_eq!(client.call(&with(method, path, "")).await.status, status, "{method} {path}");
    }
    assert_eq!(gateway.tool.connections(), 1);
    // A refusal of a HEAD has no body either.
    gateway.world.change(|state| state.grants.clear());
    assert_eq!(client.call(&with("HEAD", "/a", "")).await.status, 403);
    assert_eq!(client.call(&get("/healthz")).await.text(), "ok");
}

#[tokio::test]
async fn a_malformed_response_is_a_502_and_its_connection_is_never_used_again() {
    let gateway = Harness::start().await;
    let malformed = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 xyz\r\n\r\n",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\u{0}b\r\nContent-Length: 0\r\n\r\n",
    ];
    for (number, answer) in malformed.into_iter().enumerate() {
        gateway.tool.answers(move |_| Answer::text(answer));
        let refused = gateway.get("/healthz").await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (502, "upstream-unreachable"),
            "{answer:?}"
        );
        gateway.tool.answers(|_| Answer::ok());
        assert_eq!(gateway.get("/healthz").await.text(), "ok", "{answer:?}");
        let seen = gateway.tool.seen();
        assert_ne!(seen[2 * number].connection, seen[2 * number + 1].connection, "{answer:?}");
    }
}

#[tokio::test]
async fn bytes_after_a_response_are_nobodys_response() {
    let gateway = Harness::start().await;
    let extra = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    for first in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let answer = format!("{first}{extra}");
        gateway.tool.answers(move |_| Answer::text(&answer));
        let mut client = gateway.client().await;
        assert!(client.call(&get("/healthz")).await.status < 300);
        gateway.tool.answers(|_| Answer::ok());
        assert_eq!(client.call(&get("/healthz")).await.text(), "ok", "{first:?}");
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_breaks_off_for_the_client_too() {
    let gateway = Harness::start().await;
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        gateway.tool.answers(move |_| Answer::Last(answer.into()));
        let mut client = gateway.client().await;
        client.send(get("/healthz").as_bytes()).await;
        assert!(client.next().await.is_none(), "never a whole response");
    }
    gateway.tool.answers(|_| Answer::Last(Vec::new()));
    assert_eq!(gateway.get("/healthz").await.status, 502, "no response at all");
}

#[tokio::test]
async fn a_client_that_goes_away_takes_the_tools_connection_with_it() {
    let gateway = Harness::start().await;
    gateway.tool.answers(|seen| match seen.target() {
        "/healthz?half" => Answer::text("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"),
        _ => Answer::ok(),
    });
    let mut client = gateway.client().await;
    client.send(get("/healthz?half").as_bytes()).await;
    let mut first = [0; 15];
    tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut first).await.expect("a head");
    drop(client);
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    let seen = gateway.tool.seen();
    assert_ne!(seen[0].connection, seen[1].connection);
}

#[tokio::test]
async fn a_tool_that_is_silent_or_away_is_told_apart() {
    let gateway = Harness::start().await;
    gateway.tool.answers(|_| Answer::Silence);
    let started = Instant::now();
    let refused = gateway.get("/healthz").await;
    assert_eq!((refused.status, refused.code().as_str()), (504, "upstream-timeout"));
    assert!(started.elapsed() >= Duration::from_millis(550));
    let away = gateway.call("GET / HTTP/1.1\r\nHost: down.localhost\r\n\r\n").await;
    assert_eq!((away.status, away.code().as_str()), (502, "upstream-unreachable"));
    assert!(!away.text().contains("127.0.0.1"), "nothing of the inside");
    // Both were rightly allowed, and are recorded once.
    assert_eq!(gateway.world.records().iter().filter(|record| record.allowed).count(), 2);
}

#[tokio::test]
async fn a_pooled_connection_that_the_tool_closed_costs_no_request() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    gateway
        .tool
        .answers(|_| Answer::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()));
    let mut client = gateway.client().await;
    let post = with("POST", "/a", "Content-Length: 3\r\n") + "abc";
    for _ in 0..20 {
        assert_eq!(client.call(&post).await.status, 200);
    }
    assert_eq!(gateway.tool.seen().len(), 20, "and none is sent twice");
}

#[tokio::test]
async fn a_failed_request_that_was_sent_is_never_sent_again() {
    let gateway = Harness::start().await;
    assert_eq!(gateway.get("/healthz").await.status, 200);
    gateway.tool.answers(|_| Answer::Last(Vec::new()));
    assert_eq!(gateway.get("/healthz?once").await.status, 502);
    let once = gateway.tool.seen().iter().filter(|seen| seen.target() == "/healthz?once").count();
    assert_eq!(once, 1);
}

#[tokio::test]
async fn upstreams_take_turns_and_one_that_is_down_is_passed_over() {
    let gateway = Harness::with(limits(), |tool| {
        let port = 9;
        tool.upstreams.push(Upstream::Http { host: "127.0.0.1".into(), port });
    })
    .await;
    for _ in 0..6 {
        assert_eq!(gateway.get("/healthz").await.status, 200);
    }
    assert_eq!(gateway.tool.seen().len(), 6);
}

#[tokio::test]
async fn a_request_that_stays_unfinished_spoils_its_connection() {
    let gateway = Harness::start().await;
    gateway.partial_is_fine.store(true, Ordering::SeqCst);
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = gateway.client().await;
    client.send((with("POST", "/a", "Content-Length: 10\r\n") + "abc").as_bytes()).await;
    let refused = client.next().await.expect("a response");
    assert_eq!(refused.status, 504, "the tool waits for the rest, and so do we");
    assert_eq!(gateway.get("/healthz").await.text(), "ok");
    assert_eq!(gateway.tool.connections(), 2);
}

#[tokio::test]
async fn an_answer_before_the_body_has_ended_spoils_the_tools_connection() {
    let gateway = Harness::start().await;
    gateway.partial_is_fine.store(true, Ordering::SeqCst);
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = gateway.client().await;
    client.send((with("POST", "/early", "Content-Length: 1000\r\n") + "abc").as_bytes()).await;
    assert_eq!(client.next().await.expect("a response").text(), "early");
    // The rest of the body is the rest of the body, whatever it looks like.
    let smuggled = get("/healthz?smuggled");
    client.send(format!("{smuggled}{}", "x".repeat(997 - smuggled.len())).as_bytes()).await;
    assert_eq!(client.call(&get("/healthz?own")).await.text(), "ok");
    assert_eq!(gateway.get("/healthz?other").await.text(), "ok");
    let seen = gateway.tool.seen();
    let of = |target: &str| seen.iter().filter(|seen| seen.target() == target).count();
    assert_eq!((of("/healthz?own"), of("/healthz?other"), of("/healthz?smuggled")), (1, 1, 0));
    assert!(seen.iter().all(|seen| seen.target() == "/early" || seen.connection == 1));
}
