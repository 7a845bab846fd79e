use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::h2_client::{
    END_HEADERS, GOAWAY, H2, HEADERS, PATIENCE, RST_STREAM, Raw, ask, block, fields, frame,
    request, status, whole,
};
use super::harness::{Harness, get, limits, with};
use super::secure::{Says, connect, one, speaks};
use super::tool::Answer;
use super::world::Verdict;
use crate::config::Limits;
use crate::gateway::Speaks;
use crate::telemetry::metrics::RequestLabels;
use crate::tls::server::tests::Authority;

/// Waits until something is so.
async fn until(so: impl Fn() -> bool) {
    let all = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("in time");
}

#[tokio::test]
async fn a_request_of_http2_reaches_the_tool_like_one_of_http1() {
    let gateway = Harness::start().await;
    gateway.tool.answers(|_| {
        Answer::text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTidegate-Subject: root\r\n\r\nhi")
    });
    let client = H2::plain(gateway.address()).await;
    let asked = ask("GET", "/healthz?a=b&c=%2F").header("cookie", "a=1").header("cookie", "b=2");
    let answer = client.call(asked.header("te", "trailers").header("x-mine", "1")).await;
    assert_eq!((answer.status, answer.body), (200, b"hi".to_vec()));
    assert!(answer.headers.contains_key("tidegate-decision-id"));
    assert!(!answer.headers.contains_key("tidegate-subject"));
    assert!(!answer.headers.contains_key("connection"));
    let seen = gateway.one_seen();
    assert!(seen.head.starts_with("GET /healthz?a=b&c=%2F HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.all("host"), ["notes.localhost"]);
    assert_eq!(seen.all("cookie"), ["a=1; b=2"]);
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!((seen.header("te"), seen.header("x-mine")), (None, Some("1")));
}

#[tokio::test]
async fn http2_inside_tls_is_the_same() {
    let authority = Authority::new();
    let gateway = Harness::speaking(limits(), vec![speaks(&one(&authority), true)]).await;
    let says = Says { protocols: &["h2"], ..Says::default() };
    let stream = connect(&authority, gateway.address(), &says).await.expect("a handshake");
    let client = H2::over(stream).await;
    let at = |uri: &str| http::Request::builder().uri(uri.to_owned());
    assert_eq!(client.call(at("https://notes.localhost/healthz")).await.status, 200);
    assert_eq!(gateway.one_seen().header("x-forwarded-proto"), Some("https"));
    let elsewhere = client.call(at("https://opaque.localhost/a")).await;
    assert_eq!((elsewhere.status, elsewhere.code()), (421, "misdirected".to_owned()));
    let pretends = client.call(at("http://notes.localhost/healthz")).await;
    assert_eq!((pretends.status, pretends.code()), (400, "bad-request".to_owned()));
    assert_eq!(gateway.tool.seen().len(), 1);
}

#[tokio::test]
async fn each_stream_of_a_connection_is_decided_by_itself() {
    let gateway = Harness::start().await;
    let client = H2::plain(gateway.address()).await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let of = |uri: &str, who: &str| {
        let request = http::Request::builder().uri(uri.to_owned());
        client.clone().call_owned(request.header("authorization", format!("Bearer {who}")))
    };
    let (alice, bob, nobody, elsewhere) = tokio::join!(
        of("http://notes.localhost/a", "alice"),
        of("http://notes.localhost/a", "bob"),
        of("http://notes.localhost/a", "mallory"),
        of("http://nobody.test/a", "alice"),
    );
    let all = [alice.status, bob.status, nobody.status, elsewhere.status];
    assert_eq!(all, [200, 403, 401, 404]);
    assert_eq!(gateway.one_seen().header("tidegate-subject"), Some("alice"));
    assert_eq!(gateway.world.records().len(), 4);
}

#[tokio::test]
async fn what_http1_refuses_is_refused_on_http2() {
    let gateway = Harness::start().await;
    let change = |name: &'static str, value: &'static str| {
        let mut all = fields("/healthz");
        all.retain(|(found, _)| *found != name);
        if name.starts_with(':') {
            all.insert(0, (name, value));
        } else {
            all.push((name, value));
        }
        all
    };
    let mut connect_to = fields("/healthz");
    connect_to.retain(|(name, _)| matches!(*name, ":authority" | "authorization"));
    connect_to.insert(0, (":method", "CONNECT"));
    let cases = [
        ("another Host", change("host", "opaque.localhost")),
        ("no path", change(":path", "*")),
        ("a query alone", change(":path", "?healthz")),
        ("a dot segment", change(":path", "/a/../healthz")),
        ("an encoded slash", change(":path", "/a%2fhealthz")),
        ("credentials in the authority", change(":authority", "a@notes.localhost")),
        ("a tunnel", connect_to),
        ("an unknown method", change(":method", "BREW")),
        ("another scheme", change(":scheme", "ftp")),
        ("no host", {
            let mut all = fields("/healthz");
            all.retain(|(name, _)| *name != ":authority");
            all
        }),
    ];
    for (index, (what, fields)) in cases.iter().enumerate() {
        let mut client = Raw::open(gateway.address()).await;
        client.send(&request(1, fields)).await;
        assert!(client.sees(HEADERS).await, "{what}: an answer");
        until(|| gateway.world.records().len() > index).await;
        let record = gateway.world.records().pop().expect("a record");
        assert_eq!((record.allowed, record.reason), (false, "bad-request"), "{what}");
    }
    // The library answers these with a reset of the stream, or the end of the connection.
    for (what, fields) in [
        ("a relative target", change(":path", "healthz")),
        ("an absolute target", change(":path", "http://notes.localhost/healthz")),
        ("Connection", change("connection", "close")),
        ("Transfer-Encoding", change("transfer-encoding", "chunked")),
        ("Upgrade", change("upgrade", "h2c")),
        ("another TE", change("te", "gzip")),
        ("upper case", change("X-Upper", "1")),
        ("a line end", change("x-a", "1\r\nx-b: 2")),
        ("NUL", change("x-a", "1\0")),
        ("a body that is not there", change("content-length", "5")),
        ("a protocol without CONNECT", change(":protocol", "websocket")),
        ("an unknown pseudo-header", change(":status", "200")),
    ] {
        let mut client = Raw::open(gateway.address()).await;
        client.send(&request(1, &fields)).await;
        assert!(client.sees(RST_STREAM).await || client.ends().await, "{what}");
    }
    assert_eq!(gateway.world.records().len(), cases.len());
    assert!(gateway.tool.seen().is_empty());
}

#[tokio::test]
async fn a_field_that_http1_would_read_differently_is_refused_on_http2() {
    let gateway = Harness::start().await;
    let with = |name: &'static str, value: &'static str| {
        let mut all = fields("/healthz");
        all.push((name, value));
        all
    };
    let mut twice = with("content-length", "0");
    twice.push(("content-length", "0"));
    for (what, fields) in [
        ("a blank before", with("x-team", " a")),
        ("a blank behind", with("x-team", "a\t")),
        ("a blank alone", with("x-team", " ")),
        ("another spelling of a length", with("content_length", "0")),
        ("another spelling of an encoding", with("transfer.encoding", "chunked")),
        ("a padded length", with("content-length", "00")),
        ("two lengths", twice),
    ] {
        let mut client = Raw::open(gateway.address()).await;
        client.send(&request(1, &fields)).await;
        assert!(client.sees(HEADERS).await, "{what}: an answer");
        assert_eq!(gateway.tool.connections(), 0, "{what}");
    }
}

#[tokio::test]
async fn a_name_that_http1_would_not_take_is_refused_on_http2() {
    let gateway = Harness::start().await;
    for name in ["\"x\"", "\"", "x\"y"] {
        let mut all = fields("/healthz");
        all.push((name, "1"));
        let mut client = Raw::open(gateway.address()).await;
        client.send(&request(1, &all)).await;
        assert!(client.sees(HEADERS).await || client.ends().await, "{name}: an answer");
    }
    assert!(gateway.tool.seen().is_empty());
}

#[tokio::test]
async fn a_body_of_unknown_length_goes_on_whatever_the_method() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    for method in ["GET", "POST"] {
        let mut all = fields("/a");
        all.retain(|(name, _)| *name != ":method");
        all.insert(0, (":method", method));
        let mut client = Raw::open(gateway.address()).await;
        client.send(&frame(HEADERS, END_HEADERS, 1, &block(&all))).await;
        client.send(&frame(0, 1, 1, b"its body")).await;
        assert!(client.sees(HEADERS).await, "{method}: an answer");
        assert_eq!(gateway.tool.seen().last().expect("seen").body, b"its body", "{method}");
    }
}

#[tokio::test]
async fn the_same_host_twice_is_one_host() {
    let gateway = Harness::start().await;
    let client = H2::plain(gateway.address()).await;
    let answer = client.call(ask("GET", "/healthz").header("host", "NOTES.localhost")).await;
    assert_eq!(answer.status, 200);
    // Without `:authority`, as a gateway in front may ask.
    let mut raw = Raw::open(gateway.address()).await;
    let mut bare = fields("/healthz?bare");
    bare.retain(|(name, _)| *name != ":authority");
    bare.push(("host", "notes.localhost"));
    raw.send(&request(1, &bare)).await;
    until(|| gateway.tool.seen().len() == 2).await;
    assert_eq!(gateway.tool.seen()[1].all("host"), ["notes.localhost"]);
}

#[tokio::test]
async fn heads_that_are_too_large_get_the_status_of_http1() {
    let gateway = Harness::start().await;
    let client = H2::plain(gateway.address()).await;
    let long = "a".repeat(8200);
    assert_eq!(client.get(&format!("/{long}")).await.status, 414);
    let large = ask("GET", "/healthz").header("x-large", &long);
    let answer = client.call(large).await;
    assert_eq!(answer.status, 431);
    assert!(answer.headers.contains_key("tidegate-decision-id"));
    let many = (0..41).fold(ask("GET", "/healthz"), |ask, n| ask.header(format!("x-{n}"), "1"));
    assert_eq!(client.call(many).await.status, 431);
    let labels = RequestLabels { tool: "none".into(), outcome: "refused", reason: "bad-request" };
    assert_eq!(gateway.shared.metrics.requests.get_or_create(&labels).value(), 3);
    // Far too large: the library's own answer.
    let huge = ask("GET", "/healthz").header("x-huge", "a".repeat(30_000));
    assert_eq!(client.call(huge).await.status, 431);
    assert_eq!(client.get("/healthz").await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn the_first_bytes_decide_however_they_are_cut() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let post = with("POST", "/a", "Content-Length: 1\r\n") + "x";
    for cut in 1..5 {
        let mut client = gateway.client().await;
        for piece in [&post.as_bytes()[..cut], &post.as_bytes()[cut..]] {
            client.send(piece).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(client.next().await.expect("an answer").status, 200, "{cut}");
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let rest = [frame(4, 0, 0, &[]), request(1, &fields("/healthz"))].concat();
    for cut in [1, 3, 14, 16, 23, 24] {
        let mut client = Raw {
            stream: tokio::net::TcpStream::connect(gateway.address()).await.expect("it listens"),
        };
        client.send(&preface[..cut]).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        client.send(&[&preface[cut..], &rest].concat()).await;
        assert!(client.sees(HEADERS).await, "{cut}");
    }
    // Almost the preface is a bad request of HTTP/1.1.
    let almost = gateway.raw(b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n").await.expect("an answer");
    assert_eq!(almost.status, 400);
}

#[tokio::test]
async fn where_http2_is_not_spoken_its_preface_is_a_bad_request() {
    let plain = Speaks { http2: false, tls: None };
    let gateway = Harness::speaking(limits(), vec![plain]).await;
    let answer = gateway.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("an answer");
    assert_eq!(answer.status, 400);
    assert_eq!(gateway.call(&get("/healthz")).await.status, 200);
}

#[tokio::test]
async fn draining_says_goodbye_and_finishes_what_runs() {
    let mut gateway = Harness::start().await;
    gateway.tool.answers(|seen| {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec();
        match seen.target() {
            "/healthz?slow" => Answer::Slow(vec![answer], Duration::from_millis(300)),
            _ => Answer::Bytes(answer),
        }
    });
    let client = H2::plain(gateway.address()).await;
    assert_eq!(client.get("/healthz").await.status, 200);
    let slow = ask("GET", "/healthz?slow").body(()).expect("a request");
    let (slow, _) = client.begin(slow, true).await.expect("taken");
    until(|| gateway.tool.seen().len() == 2).await;
    let mut watching = Raw::open(gateway.address()).await;
    watching.send(&request(1, &fields("/healthz?watch"))).await;
    assert!(watching.sees(HEADERS).await);
    gateway.drain.send_replace(true);
    assert!(watching.sees(GOAWAY).await);
    assert_eq!(status(slow).await.map(|status| status.as_u16()), Some(200));
    gateway.gateway.drained().await.expect("drained");
}

#[tokio::test]
async fn a_connection_that_comes_while_draining_gets_its_first_answer() {
    let gateway = Harness::start().await;
    // As long as another connection is open, new ones are taken.
    let mut kept = gateway.client().await;
    assert_eq!(kept.call(&get("/healthz")).await.status, 200);
    gateway.drain.send_replace(true);
    let late = H2::plain(gateway.address()).await;
    assert_eq!(late.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn idle_connections_and_slow_heads_are_ended() {
    let quick = Limits {
        header_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(400),
        ..limits()
    };
    let gateway = Harness::with(quick, |_| ()).await;
    let mut idle = Raw::open(gateway.address()).await;
    idle.send(&request(1, &fields("/healthz"))).await;
    assert!(idle.sees(HEADERS).await && idle.sees(GOAWAY).await && idle.ends().await);
    let mut half = Raw::open(gateway.address()).await;
    half.send(&frame(HEADERS, 0, 1, &block(&fields("/healthz")))).await;
    assert!(half.ends().await, "the rest of its header block never came");
    let mut silent = Raw {
        stream: tokio::net::TcpStream::connect(gateway.address()).await.expect("it listens"),
    };
    silent.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(silent.ends().await, "no settings came");
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_is_reset_and_its_place_is_free() {
    let quick = Limits { idle_timeout: Duration::from_millis(300), ..limits() };
    let gateway = Harness::with(quick, |_| ()).await;
    gateway.tool.answers(|_| {
        let body = vec![b'x'; 1 << 20];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        Answer::Bytes([head.into_bytes(), body].concat())
    });
    let mut stalls = Raw::open(gateway.address()).await;
    stalls.send(&request(1, &fields("/healthz"))).await;
    assert!(stalls.sees(HEADERS).await);
    assert!(stalls.sees(RST_STREAM).await, "64 KiB, and then nothing is taken");
    until(|| gateway.shared.metrics.http_server_active.get() == 0).await;
}

#[tokio::test]
async fn a_body_that_stops_coming_ends_its_request_and_no_other() {
    let quick = Limits { idle_timeout: Duration::from_millis(200), ..limits() };
    let gateway = Harness::with(quick, |tool| tool.timeouts.response = PATIENCE).await;
    gateway.partial_is_fine.store(true, std::sync::atomic::Ordering::SeqCst);
    gateway.world.grant(1, "alice", "notes", "operator");
    let client = H2::plain(gateway.address()).await;
    let upload = ask("POST", "/a").body(()).expect("a request");
    let (response, mut body) = client.begin(upload, false).await.expect("taken");
    body.send_data(Bytes::from_static(b"x"), false).expect("sent");
    let answer =
        whole(timeout(PATIENCE, response).await.expect("in time").expect("an answer")).await;
    assert_eq!((answer.status, answer.code()), (400, "bad-request".to_owned()));
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn an_early_answer_leaves_the_body_flowing() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let client = H2::plain(gateway.address()).await;
    let upload = ask("POST", "/early").body(()).expect("a request");
    let (response, mut body) = client.begin(upload, false).await.expect("taken");
    let answer =
        whole(timeout(PATIENCE, response).await.expect("in time").expect("an answer")).await;
    assert_eq!((answer.status, answer.body), (200, b"early".to_vec()));
    body.send_data(Bytes::from_static(b"the rest"), true).expect("still taken");
    until(|| gateway.tool.seen().len() == 1).await;
    assert_eq!(gateway.one_seen().body, b"the rest");
}

#[tokio::test]
async fn more_streams_than_allowed_at_once_are_refused_and_the_others_go_on() {
    let gateway = Harness::start().await;
    gateway.tool.answers(|_| {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec();
        Answer::Slow(vec![answer], Duration::from_millis(200))
    });
    let mut greedy = Raw::open(gateway.address()).await;
    let all: Vec<u8> = (0..30).flat_map(|n| request(n * 2 + 1, &fields("/healthz"))).collect();
    greedy.send(&all).await;
    let refused = greedy.next_of(RST_STREAM).await.expect("a refusal");
    assert_eq!(refused, 7_u32.to_be_bytes(), "REFUSED_STREAM");
    assert!(greedy.sees(HEADERS).await);
    assert!(gateway.tool.seen().len() <= 20);
}

#[tokio::test]
async fn a_panic_ends_one_stream_and_is_counted() {
    let gateway = Harness::start().await;
    let client = H2::plain(gateway.address()).await;
    gateway.world.change(|state| state.verdict = Verdict::Panic);
    let asked = ask("GET", "/policy/a").body(()).expect("a request");
    let (response, _) = client.begin(asked, true).await.expect("taken");
    assert_eq!(status(response).await, None);
    gateway.world.change(|state| state.verdict = Verdict::Allow);
    assert_eq!(client.get("/policy/a").await.status, 200);
    let labels = RequestLabels { tool: "none".into(), outcome: "failed", reason: "panic" };
    assert_eq!(gateway.shared.metrics.requests.get_or_create(&labels).value(), 1);
}

#[tokio::test]
async fn a_cancelled_request_frees_its_place_and_the_connection_goes_on() {
    let gateway = Harness::start().await;
    gateway.tool.answers(|seen| match seen.target() {
        "/healthz?never" => Answer::Silence,
        _ => Answer::ok(),
    });
    let client = H2::plain(gateway.address()).await;
    let asked = ask("GET", "/healthz?never").body(()).expect("a request");
    let (response, mut body) = client.begin(asked, true).await.expect("taken");
    until(|| gateway.tool.seen().len() == 1).await;
    body.send_reset(h2::Reason::CANCEL);
    drop(response);
    until(|| gateway.shared.metrics.http_server_active.get() == 0).await;
    assert_eq!(client.get("/healthz").await.status, 200);
}

/// The block may be cut anywhere.
#[tokio::test]
async fn a_header_block_in_pieces_is_one_head() {
    let gateway = Harness::start().await;
    let mut client = Raw::open(gateway.address()).await;
    let block = block(&fields("/healthz"));
    let (first, second) = block.split_at(20);
    let pieces = [frame(HEADERS, 1, 1, first), frame(9, END_HEADERS, 1, second)].concat();
    client.send(&pieces).await;
    assert!(client.sees(HEADERS).await);
    assert_eq!(gateway.one_seen().target(), "/healthz");
}
