use std::time::Duration;

use crate::config::Limits;
use crate::gateway::Speaks;
use crate::gateway::framing::hostile_heads;

use super::harness::{Harness, get, limits, with};
use super::tool::Answer;

#[tokio::test]
async fn a_hostile_head_is_answered_bare_and_reaches_nobody() {
    // Where HTTP/2 is spoken its preface is no bad head.
    let only_http1 = Speaks { http2: false, tls: None };
    let gateway = Harness::speaking(limits(), vec![only_http1]).await;
    for head in hostile_heads() {
        let shown = String::from_utf8_lossy(&head).into_owned();
        let mut client = gateway.client().await;
        // What follows a bad head belongs to nobody.
        client.send(&[head, get("/healthz").into_bytes()].concat()).await;
        let refused = client.next().await.expect("a response");
        assert_eq!(refused.status, 400, "{shown:?}");
        assert_eq!(refused.header("connection"), Some("close"));
        assert!(refused.header("tidegate-decision-id").is_some());
        assert!(client.ends().await, "{shown:?}");
    }
    assert!(gateway.tool.seen().is_empty());
    assert!(gateway.world.records().is_empty());
    let labels = crate::telemetry::metrics::RequestLabels {
        tool: "none".into(),
        outcome: "refused",
        reason: "bad-request",
    };
    let counted = gateway.shared.metrics.requests.get_or_create(&labels).value();
    assert_eq!(counted, u64::try_from(hostile_heads().len()).expect("few"));
}

#[tokio::test]
async fn too_large_heads_get_their_own_status() {
    let gateway = Harness::start().await;
    let target = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9000));
    let large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(9000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(41));
    for (head, status) in [(target, 414), (large, 431), (many, 431)] {
        assert_eq!(gateway.raw(head.as_bytes()).await.expect("a response").status, status);
    }
}

#[tokio::test]
async fn requests_before_a_bad_head_are_answered_first() {
    let gateway = Harness::start().await;
    let mut client = gateway.client().await;
    let good = get("/healthz");
    client
        .send(format!("{good}{good}GET /healthz HTTP/1.1\nHost: notes.localhost\n\n").as_bytes())
        .await;
    for status in [200, 200, 400] {
        assert_eq!(client.next().await.expect("a response").status, status);
    }
    assert!(client.ends().await);
    assert_eq!(gateway.tool.seen().len(), 2);
}

#[tokio::test]
async fn a_request_cut_at_every_byte_is_one_request() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let chunked = "Transfer-Encoding: chunked\r\n";
    let request = with("POST", "/a", chunked) + "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: y\r\n\r\n";
    let mut client = gateway.client().await;
    for at in 1..request.len() {
        client.send(&request.as_bytes()[..at]).await;
        tokio::task::yield_now().await;
        assert_eq!(client.call(&request[at..]).await.status, 200, "cut at {at}");
    }
    let seen = gateway.tool.seen();
    assert_eq!(seen.len(), request.len() - 1);
    for one in seen {
        assert_eq!(one.body, b"abcde");
        assert!(!one.head.to_ascii_lowercase().contains("x-t:"), "{}", one.head);
    }
}

#[tokio::test]
async fn a_chunk_that_breaks_the_rules_ends_the_request_and_the_connection() {
    let gateway = Harness::start().await;
    gateway.partial_is_fine.store(true, std::sync::atomic::Ordering::SeqCst);
    gateway.world.grant(1, "alice", "notes", "operator");
    for body in [
        "3\r\nabcd\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
    ] {
        let mut client = gateway.client().await;
        let request = with("POST", "/a", "Transfer-Encoding: chunked\r\n");
        client.send(format!("{request}{body}{}", get("/healthz")).as_bytes()).await;
        let refused = client.next().await.expect("a response");
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad-request"), "{body:?}");
        assert!(client.ends().await, "{body:?}");
    }
    assert!(gateway.tool.seen().is_empty());
}

#[tokio::test]
async fn a_refused_body_is_drained_and_what_follows_is_its_own_request() {
    let gateway = Harness::start().await;
    let mut client = gateway.client().await;
    let smuggled = get("/healthz?smuggled");
    let length = smuggled.len();
    let sized = with("POST", "/a", &format!("Content-Length: {length}\r\n")) + &smuggled;
    let chunked = with("POST", "/a", "Transfer-Encoding: chunked\r\n")
        + &format!("{length:x}\r\n{smuggled}\r\n0\r\n\r\n");
    for request in [sized, chunked] {
        let refused = client.call(&request).await;
        assert_eq!(refused.code(), "no-grant");
        assert_eq!(client.call(&get("/healthz?real")).await.status, 200);
    }
    let targets: Vec<String> = gateway.tool.seen().iter().map(|s| s.target().to_owned()).collect();
    assert_eq!(targets, ["/healthz?real", "/healthz?real"]);
}

#[tokio::test]
async fn a_refused_body_that_is_long_or_late_closes_the_connection() {
    let gateway = Harness::start().await;
    for (extra, body) in [
        ("Content-Length: 100000\r\n", "x".repeat(100)),
        ("Content-Length: 10\r\n", "x".to_owned()),
        ("Transfer-Encoding: chunked\r\n", format!("20000\r\n{}", "x".repeat(0x2_0000))),
        ("Content-Length: 10\r\nExpect: 100-continue\r\n", String::new()),
    ] {
        let mut client = gateway.client().await;
        let refused = client.call(&(with("POST", "/a", extra) + &body)).await;
        assert_eq!(refused.code(), "no-grant", "{extra}");
        assert_eq!(refused.header("connection"), Some("close"), "{extra}");
        assert!(client.ends().await, "{extra}");
    }
}

#[tokio::test]
async fn http_1_0_is_served_and_closed() {
    let gateway = Harness::start().await;
    let mut client = gateway.client().await;
    let request =
        "GET /healthz HTTP/1.0\r\nHost: notes.localhost\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(client.call(request).await.status, 200);
    assert!(client.ends().await);
    assert!(gateway.one_seen().head.starts_with("GET /healthz HTTP/1.1\r\n"));
}

#[tokio::test]
async fn an_expectation_is_met_or_refused() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = gateway.client().await;
    client
        .send(with("POST", "/a", "Content-Length: 2\r\nExpect: 100-Continue\r\n").as_bytes())
        .await;
    assert_eq!(client.next().await.expect("an interim response").status, 100);
    assert_eq!(client.call("ab").await.status, 200);
    assert_eq!(gateway.one_seen().header("expect"), None);
    for expect in ["Expect: 200-ok\r\n", "Expect: 100-continue\r\nExpect: 100-continue\r\n"] {
        assert_eq!(gateway.call(&with("GET", "/healthz", expect)).await.code(), "bad-request");
    }
}

#[tokio::test]
async fn a_head_that_trickles_is_ended_by_its_total_deadline() {
    let quick = Limits { header_timeout: Duration::from_millis(200), ..limits() };
    let gateway = Harness::with(quick, |_| ()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.call(&get("/healthz")).await.status, 200);
    let started = std::time::Instant::now();
    client.send(b"GET /healthz HTTP/1.1\r\n").await;
    let (mut read, mut write) = client.stream.into_split();
    let trickle = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        loop {
            if write.write_all(b"X: y\r\n").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = vec![0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut read, &mut answer).await.expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 408");
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert!(started.elapsed() < Duration::from_secs(3));
    trickle.abort();
}

#[tokio::test]
async fn idle_and_stalled_connections_are_ended() {
    let quick = Limits {
        idle_timeout: Duration::from_millis(200),
        header_timeout: Duration::from_millis(200),
        ..limits()
    };
    let gateway = Harness::with(quick, |_| ()).await;
    gateway.partial_is_fine.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut silent = gateway.client().await;
    assert!(silent.ends().await);
    let mut idle = gateway.client().await;
    assert_eq!(idle.call(&get("/healthz")).await.status, 200);
    assert!(idle.ends().await);
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut stalled = gateway.client().await;
    stalled.send((with("POST", "/a", "Content-Length: 10\r\n") + "abc").as_bytes()).await;
    while let Some(response) = stalled.next().await {
        assert_ne!(response.status, 200);
    }
    assert!(gateway.tool.seen().iter().all(|seen| seen.method() == "GET"));
}

#[tokio::test]
async fn a_response_that_takes_longer_than_the_idle_time_is_not_cut() {
    let quick = Limits {
        idle_timeout: Duration::from_millis(100),
        header_timeout: Duration::from_millis(100),
        ..limits()
    };
    let gateway = Harness::with(quick, |_| ()).await;
    gateway.tool.answers(|_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".to_vec();
        let bytes = (0..10).map(|digit| vec![b'0' + digit]);
        Answer::Slow(std::iter::once(head).chain(bytes).collect(), Duration::from_millis(60))
    });
    let mut client = gateway.client().await;
    assert_eq!(client.call(&get("/healthz")).await.text(), "0123456789");
    assert!(client.ends().await, "and then it is idle");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let quick = Limits {
        idle_timeout: Duration::from_millis(200),
        header_timeout: Duration::from_millis(200),
        ..limits()
    };
    let gateway =
        Harness::with(quick, |tool| tool.timeouts.response = Duration::from_secs(10)).await;
    // More than the buffers of both sockets hold.
    let large = 24 << 20;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {large}\r\n\r\n");
    let whole = [head.into_bytes(), vec![b'x'; large]].concat();
    gateway.tool.answers(move |_| Answer::Bytes(whole.clone()));
    let mut client = gateway.client().await;
    client.send(get("/healthz").as_bytes()).await;
    let active = || gateway.shared.metrics.http_server_active.get();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while gateway.tool.seen().is_empty() || active() > 0 {
        assert!(std::time::Instant::now() < deadline, "still held");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let whole = client.next().await.map(|answer| answer.head);
    assert_eq!(whole, None, "never a whole response");
}

#[tokio::test]
async fn nothing_follows_a_response_that_announced_the_end() {
    let gateway = Harness::start().await;
    let mut client = gateway.client().await;
    // Refused without asking for the body, so that what comes next is read as the body.
    let head = with("POST", "/a", "Expect: 100-continue\r\nContent-Length: 5\r\n");
    client.send((head + "GET / HTTP/1.1\r\nHost: \r\n\r\n").as_bytes()).await;
    let answer = client.next().await.expect("the refusal");
    assert_eq!((answer.status, answer.header("connection")), (403, Some("close")));
    assert!(client.next().await.is_none(), "no bare 400 behind the last response");
}
