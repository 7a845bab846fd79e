//! Requests and answers that look like an upgrade, and are none.

use super::harness::{Harness, get, with};
use super::tool::Answer;
use super::websocket::{ACCEPT, KEY, said, switch, wish};

/// A request of alice's with the handshake, one part of it replaced.
fn spoilt(part: &str, by: &str) -> String {
    let lines = wish();
    assert!(lines.contains(part), "{part}");
    with("GET", "/socket", &lines.replace(part, by))
}

fn fake_upgrades() -> Vec<String> {
    let mut requests = vec![
        spoilt("Upgrade: websocket", "Upgrade: h2c"),
        spoilt("Upgrade: websocket", "Upgrade: foo"),
        spoilt("Upgrade: websocket", "Upgrade: websocket, h2c"),
        spoilt("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c"),
        spoilt("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: websocket"),
        spoilt("Upgrade: websocket", "Upgrade: websocket/13"),
        spoilt("Upgrade: websocket", "Upgrade:"),
        spoilt("Version: 13", "Version: 1337"),
        spoilt("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 8"),
        spoilt("Sec-WebSocket-Version: 13\r\n", ""),
        spoilt(&format!("Sec-WebSocket-Key: {KEY}\r\n"), ""),
        spoilt(KEY, "c2hvcnQ="),
        spoilt(KEY, "dGhlIHNhbXBsZSBub25jZR=="),
        spoilt(KEY, &format!("{KEY}\r\nSec-WebSocket-Key: {KEY}")),
        spoilt("keep-alive, Upgrade", "keep-alive"),
        spoilt("keep-alive, Upgrade", "Upgrade, Sec-WebSocket-Key"),
        spoilt("Version: 13", "Version: 13\r\nContent-Length: 0"),
        with("POST", "/socket", &wish()),
        with("HEAD", "/socket", &wish()),
    ];
    let body = wish() + "Content-Length: 5\r\n";
    requests.push(with("POST", "/socket", &body) + "hello");
    requests.push(with("GET", "/socket", &body) + "hello");
    let chunked = wish() + "Transfer-Encoding: chunked\r\n";
    requests.push(with("GET", "/socket", &chunked) + "5\r\nhello\r\n0\r\n\r\n");
    requests
}

#[tokio::test]
async fn a_fake_upgrade_is_an_ordinary_request_and_what_follows_is_the_next_one() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    for (round, fake) in fake_upgrades().into_iter().enumerate() {
        let mut client = gateway.client().await;
        client.send(&[fake.as_bytes(), get("/next").as_bytes()].concat()).await;
        let method = fake.split(' ').next().expect("a method");
        for method in [method, "GET"] {
            assert_eq!(client.next_of(method).await.expect("an answer").status, 200, "{fake}");
        }
        let seen = gateway.tool.seen().split_off(round * 2);
        assert_eq!((seen[0].target(), seen[1].target()), ("/socket", "/next"), "{fake}");
        for header in ["upgrade", "connection"] {
            assert_eq!(seen[0].header(header), None, "{fake}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_switches_without_being_asked_is_a_502() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    for fake in fake_upgrades() {
        gateway.tool.answers(|_| Answer::Bytes(format!("{}\r\n", switch()).into_bytes()));
        let mut client = gateway.client().await;
        client.send(&[fake.as_bytes(), &said("into the tool")].concat()).await;
        let method = fake.split(' ').next().expect("a method").to_owned();
        assert_eq!(client.next_of(&method).await.expect("an answer").status, 502, "{fake}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_switch_leaves_the_connection_http() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    for (status, answer) in [
        (
            200,
            "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            426,
            "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nContent-Length: 0\r\n\r\n",
        ),
        (400, "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"),
        (204, "HTTP/1.1 204 No Content\r\nUpgrade: websocket\r\n\r\n"),
    ] {
        gateway.tool.answers(move |seen| match seen.target() {
            "/socket" => Answer::text(answer),
            _ => Answer::ok(),
        });
        let mut client = gateway.client().await;
        let asked = with("GET", "/socket", &wish());
        client.send(&[asked.as_bytes(), get("/next").as_bytes()].concat()).await;
        let first = client.next().await.expect("an answer");
        assert_eq!((first.status, first.header("upgrade")), (status, None), "{answer}");
        assert_eq!(client.next().await.expect("the next answer").status, 200, "{answer}");
        assert_eq!(gateway.tool.seen().last().expect("seen").target(), "/next");
        // It is no tunnel: what is not HTTP gets nowhere.
        client.send(with("GET", "/socket", &wish()).as_bytes()).await;
        client.send(&[&said("into the tool")[..], b"\r\n\r\n"].concat()).await;
        assert_eq!(client.next().await.expect("an answer").status, status);
        assert_eq!(client.next().await.expect("bare").status, 400);
        assert!(client.ends().await);
    }
}

#[tokio::test]
async fn a_switch_that_does_not_belong_to_the_handshake_is_a_502_without_a_byte_of_it() {
    let replaced = |part: &str, by: &str| switch().replace(part, by);
    for head in [
        replaced(ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        replaced(ACCEPT, &ACCEPT.to_ascii_lowercase()),
        replaced(&format!("Sec-WebSocket-Accept: {ACCEPT}\r\n"), ""),
        replaced(ACCEPT, &format!("{ACCEPT}\r\nSec-WebSocket-Accept: {ACCEPT}")),
        replaced("Upgrade: websocket", "Upgrade: h2c"),
        replaced("Upgrade: websocket\r\n", ""),
        replaced("Connection: Upgrade\r\n", ""),
        switch() + "Sec-WebSocket-Protocol: chat\r\n",
        switch() + "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        switch() + "Content-Length: 5\r\n",
        switch() + "Transfer-Encoding: chunked\r\n",
    ] {
        let gateway = Harness::start().await;
        gateway.world.grant(1, "alice", "notes", "operator");
        let answer = format!("{head}\r\nsecret bytes of a tunnel");
        gateway.tool.answers(move |seen| match seen.target() {
            "/socket" => Answer::text(&answer),
            _ => Answer::ok(),
        });
        let mut client = gateway.client().await;
        let asked = with("GET", "/socket", &wish());
        client.send(&[asked.as_bytes(), get("/next").as_bytes()].concat()).await;
        let refused = client.next().await.expect("an answer");
        assert_eq!((refused.status, refused.code()), (502, "upstream-unreachable".to_owned()));
        assert_eq!(client.next().await.expect("the next answer").status, 200, "{head}");
        let connections: Vec<usize> = gateway.tool.seen().iter().map(|s| s.connection).collect();
        assert_eq!(connections, [0, 1], "{head}");
    }
}

#[tokio::test]
async fn what_was_offered_may_be_chosen() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let chosen = "Sec-WebSocket-Protocol: chat\r\n\
                  Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";
    let answer = format!("{}{chosen}\r\n", switch());
    gateway.tool.answers(move |_| Answer::Switch(answer.clone().into_bytes()));
    let offer = "Sec-WebSocket-Protocol: superchat, chat\r\n\
                 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let mut client = gateway.client().await;
    client.send(with("GET", "/socket", &(wish() + offer)).as_bytes()).await;
    let response = client.next_of("HEAD").await.expect("an answer");
    assert_eq!((response.status, response.header("sec-websocket-protocol")), (101, Some("chat")));
    let seen = gateway.one_seen();
    assert_eq!(seen.all("sec-websocket-protocol"), ["superchat, chat"]);
    let (mut tool, _) = gateway.tool.switched().await;
    // A reserved bit that the extension has given a meaning.
    let compressed = super::websocket::frame(0xc1, true, b"compressed");
    client.send(&compressed).await;
    let mut got = vec![0; compressed.len()];
    tokio::io::AsyncReadExt::read_exact(&mut tool, &mut got).await.expect("the frame");
    assert_eq!(got, compressed);
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_use_the_cookie_of_a_person() {
    let gateway = Harness::start().await;
    gateway.tool.answers(|_| Answer::Switch(format!("{}\r\n", switch()).into_bytes()));
    let ask = |origin: &str| {
        let lines = wish();
        format!(
            "GET /socket HTTP/1.1\r\nHost: opaque.localhost:8080\r\nCookie: session=alice\r\n\
             {lines}{origin}\r\n"
        )
    };
    for origin in [
        "Origin: https://evil.test\r\n",
        "Origin: null\r\n",
        "Origin: http://opaque.localhost\r\n",
        "Origin: http://opaque.localhost:8080.evil.test\r\n",
        "Origin: http://opaque.localhost:8080\r\nOrigin: https://evil.test\r\n",
    ] {
        let refused = gateway.call(&ask(origin)).await;
        assert_eq!((refused.status, refused.code()), (403, "policy-denied".to_owned()), "{origin}");
    }
    assert!(gateway.tool.seen().is_empty());
    assert!(gateway.world.records().iter().all(|record| !record.allowed));
    for origin in ["Origin: http://opaque.localhost:8080\r\n", ""] {
        let mut client = gateway.client().await;
        client.send(ask(origin).as_bytes()).await;
        assert_eq!(client.next_of("HEAD").await.expect("an answer").status, 101, "{origin}");
    }
    // A token that no browser sends by itself needs no origin.
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = gateway.client().await;
    client.send(with("GET", "/a", &(wish() + "Origin: https://evil.test\r\n")).as_bytes()).await;
    assert_eq!(client.next_of("HEAD").await.expect("an answer").status, 101);
}
