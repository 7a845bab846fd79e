use super::harness::{Harness, get, with};
use super::tool::Answer;
use super::world::grant_id;

#[tokio::test]
async fn only_our_identity_headers_arrive_whatever_a_client_sends() {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let forged = "Tidegate-Subject: bob\r\nTIDEGATE-SUBJECT: bob\r\ntidegate_subject: bob\r\n\
                  tidegate.subject: bob\r\nTidegate_Grants: grt\r\ntidegate-assertion: x\r\n\
                  tidegate-anything-at-all: x\r\ntidegate-email: b@x\r\ntidegate.groups: admin\r\n\
                  tidegate~subject: bob\r\nTidegate!Grants: x\r\ntidegate'email: x\r\n";
    assert_eq!(gateway.call(&with("GET", "/a", forged)).await.status, 200);
    let seen = gateway.one_seen();
    let ours: Vec<&str> = seen
        .head
        .split("\r\n")
        .filter(|line| line.to_ascii_lowercase().starts_with("tidegate"))
        .collect();
    let grants = format!("tidegate-grants: {}", grant_id(1));
    let expected = [
        "tidegate-subject: alice",
        "tidegate-email: alice@example.com",
        "tidegate-groups: engineering",
        grants.as_str(),
    ];
    assert_eq!(ours.len(), 4, "{ours:?}");
    assert!(expected.iter().all(|line| ours.contains(line)), "{ours:?}");
}

#[tokio::test]
async fn a_public_path_carries_no_forged_identity() {
    let gateway = Harness::start().await;
    let forged = "Tidegate-Subject: root\r\nTidegate_Grants: x\r\n";
    assert_eq!(gateway.call(&with("GET", "/healthz", forged)).await.status, 200);
    let seen = gateway.one_seen();
    assert!(!seen.head.to_ascii_lowercase().contains("tidegate"), "{}", seen.head);
    assert_eq!(seen.header("authorization"), None, "a token for us is not the tool's business");
}

#[tokio::test]
async fn what_would_mislead_the_tool_is_replaced_or_removed() {
    let gateway = Harness::start().await;
    let extra = "X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\n\
                 X-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /evil\r\nX-Forwarded-User: root\r\n\
                 Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Original-URL: /admin\r\n\
                 X-Rewrite-URL: /admin\r\nX-HTTP-Method-Override: DELETE\r\nX-Method-Override: PUT\r\n\
                 X-HTTP-Method: PUT\r\nX.Original.Host: evil\r\nTrue-Client-IP: 6.6.6.6\r\n\
                 Proxy: evil\r\nProxy-Authorization: Basic x\r\nX-Kept: yes\r\nCookie: a=b\r\n";
    assert_eq!(gateway.call(&with("GET", "/me", extra)).await.status, 200);
    let seen = gateway.one_seen();
    let head = seen.head.to_ascii_lowercase();
    for word in
        ["6.6.6.6", "evil", "/admin", "override", "x-http-method", "root", "proxy-", "basic"]
    {
        assert!(!head.contains(word), "{word}: {head}");
    }
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-host"), ["notes.localhost"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.all("forwarded"), ["for=127.0.0.1;proto=http;host=\"notes.localhost\""]);
    assert_eq!((seen.header("x-kept"), seen.header("cookie")), (Some("yes"), Some("a=b")));
    assert_eq!(seen.header("authorization"), None);
}

#[tokio::test]
async fn hop_by_hop_headers_and_upgrades_end_here() {
    let gateway = Harness::start().await;
    let extra = "Connection: keep-alive, X-Hop, Upgrade\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 1337\r\n\
                 Proxy-Connection: keep-alive\r\nHTTP2-Settings: AAA\r\n";
    let mut client = gateway.client().await;
    assert_eq!(client.call(&with("GET", "/me", extra)).await.status, 200);
    let seen = gateway.one_seen();
    for name in
        ["connection", "x-hop", "keep-alive", "te", "upgrade", "proxy-connection", "http2-settings"]
    {
        assert_eq!(seen.header(name), None, "{name}");
    }
    // What follows is a request, not the bytes of a tunnel.
    assert_eq!(
        client
            .call(&with("GET", "/healthz", "Upgrade: h2c\r\nConnection: upgrade\r\n"))
            .await
            .status,
        200
    );
    assert_eq!(client.call(&get("/a")).await.code(), "no-grant");
}

#[tokio::test]
async fn a_connection_header_cannot_take_a_protected_header_away() {
    let gateway = Harness::start().await;
    for name in [
        "tidegate-subject",
        "Tidegate_Subject",
        "tidegate-grants",
        "Host",
        "authorization",
        "cookie",
        "content-length",
        "Transfer-Encoding",
        "x-forwarded-for",
        "X_Real_IP",
        "traceparent",
        "a b",
        "é",
    ] {
        let extra = format!("Connection: close, {name}\r\n");
        assert_eq!(
            gateway.call(&with("GET", "/healthz", &extra)).await.code(),
            "bad-request",
            "{name}"
        );
    }
    assert!(gateway.tool.seen().is_empty());
}

#[tokio::test]
async fn identity_values_are_encoded_and_never_split() {
    let gateway = Harness::start().await;
    gateway.world.change(|state| {
        state.people[1].person.email = Some("b\r\nX-Evil: 1@x".into());
    });
    let request = "GET /me HTTP/1.1\r\nHost: notes.localhost\r\nAuthorization: Bearer bob\r\n\r\n";
    assert_eq!(gateway.call(request).await.status, 200);
    let seen = gateway.one_seen();
    assert_eq!(seen.header("tidegate-groups"), Some("a%2Cb,c%20d,z%C3%BCrich"));
    assert_eq!(seen.header("tidegate-email"), Some("b%0D%0AX-Evil:%201@x"));
    assert_eq!(seen.header("x-evil"), None);
}

#[tokio::test]
async fn a_consumed_credential_stays_here_unless_the_tool_wants_it() {
    let gateway = Harness::start().await;
    let cookies = "GET /a HTTP/1.1\r\nHost: opaque.localhost\r\n\
                   Cookie: x=1; session=alice; y=2\r\nCookie: session=alice\r\n\r\n";
    assert_eq!(gateway.call(cookies).await.status, 200);
    assert_eq!(gateway.one_seen().all("cookie"), ["x=1; y=2"]);
    let named = "GET /side/a HTTP/1.1\r\nHost: opaque.localhost\r\nX-Token: alice\r\n\
                 Authorization: Basic eA==\r\n\r\n";
    assert_eq!(gateway.call(named).await.status, 200);
    let seen = gateway.tool.seen()[1].clone();
    assert_eq!((seen.header("x-token"), seen.header("authorization")), (None, Some("Basic eA==")));

    let forwards =
        Harness::with(super::harness::limits(), |tool| tool.forward_credential = true).await;
    assert_eq!(forwards.get("/me").await.status, 200);
    assert_eq!(forwards.one_seen().header("authorization"), Some("Bearer alice"));
}

#[tokio::test]
async fn a_bearer_token_does_not_hide_behind_another_credential_on_a_public_route() {
    let gateway = Harness::start().await;
    let basic = "Authorization: Basic eA==\r\n";
    let bearer = "Authorization: bearer alice\r\n";
    let request =
        |lines: &str| format!("GET /healthz HTTP/1.1\r\nHost: notes.localhost\r\n{lines}\r\n");
    for lines in [format!("{basic}{bearer}"), format!("{bearer}{basic}"), bearer.to_owned()] {
        assert_eq!(gateway.call(&request(&lines)).await.status, 200);
        let seen = gateway.tool.seen().last().expect("seen").clone();
        assert_eq!(seen.header("authorization"), None, "{lines:?}");
    }
    assert_eq!(gateway.call(&request(basic)).await.status, 200);
    let seen = gateway.tool.seen().last().expect("seen").clone();
    assert_eq!(seen.header("authorization"), Some("Basic eA=="), "it is the tool's own");
}

#[tokio::test]
async fn a_tool_cannot_speak_for_us() {
    let gateway = Harness::start().await;
    gateway.tool.answers(|_| {
        Answer::text(
            "HTTP/1.1 200 OK\r\nTidegate-Decision-Id: forged\r\ntidegate_subject: x\r\nX-Request-ID: y\r\n\
             Connection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: x\r\n\
             Upgrade: h2c\r\nServer: s\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n",
        )
    });
    let response = gateway.call(&with("GET", "/healthz", "X-Request-ID: mine-1\r\n")).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-request-id"), Some("mine-1"));
    assert!(response.header("tidegate-decision-id").is_some_and(|id| id.starts_with("test-0-")));
    for name in [
        "x-secret",
        "tidegate_subject",
        "keep-alive",
        "proxy-authenticate",
        "upgrade",
        "connection",
    ] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_eq!(response.header("server"), Some("s"));
    assert_eq!(response.head.matches("set-cookie").count(), 2);
}

#[tokio::test]
async fn the_request_id_and_the_trace_go_on() {
    let gateway = Harness::start().await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let extra = format!("X-Request-ID: r-1\r\nTraceparent: {parent}\r\nTracestate: a=b\r\n");
    let response = gateway.call(&with("GET", "/healthz", &extra)).await;
    assert_eq!(response.header("x-request-id"), Some("r-1"));
    let seen = gateway.one_seen();
    let sent = seen.header("traceparent").expect("a trace");
    assert!(sent.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && sent != parent, "{sent}");
    assert_eq!(
        (seen.header("x-request-id"), seen.header("tracestate")),
        (Some("r-1"), Some("a=b"))
    );
    let trace = gateway.world.records()[0].trace.expect("a trace");
    assert_eq!(trace.trace_id_hex(), "0af7651916cd43dd8448eb211c80319c");

    for odd in ["X-Request-ID: a b\r\n", "", "X-Request-ID: a\r\nX-Request-ID: b\r\n"] {
        let extra = format!("{odd}traceparent: 00-0-0-00\r\nTracestate: a=b\r\n");
        let response = gateway.call(&with("GET", "/healthz", &extra)).await;
        assert_eq!(response.header("x-request-id"), response.header("tidegate-decision-id"));
        let seen = gateway.tool.seen().last().expect("seen").clone();
        assert_eq!(seen.all("x-request-id").len(), 1);
        assert_eq!(seen.all("traceparent").len(), 1);
        assert_eq!(seen.header("tracestate"), None);
        assert_eq!(seen.header("traceparent").map(str::len), Some(55));
    }
}

#[tokio::test]
async fn every_response_has_a_decision_id_of_its_own() {
    let gateway = Harness::start().await;
    let mut client = gateway.client().await;
    let mut ids = std::collections::BTreeSet::new();
    for path in ["/healthz", "/a", "/me", "/a/../b", "/policy/x"] {
        let response = client.call(&get(path)).await;
        ids.insert(response.header("tidegate-decision-id").expect("an id").to_owned());
    }
    assert_eq!(ids.len(), 5);
    let recorded: std::collections::BTreeSet<String> =
        gateway.world.records().iter().map(|record| record.id.to_string()).collect();
    assert_eq!(ids, recorded);
}

#[tokio::test]
async fn a_record_never_holds_the_query_or_the_token() {
    let gateway = Harness::start().await;
    let long = format!("/policy/{}", "x".repeat(5000));
    for path in ["/policy/a?token=hush", "/a/../b?token=hush", "/a?hush", long.as_str()] {
        let extra = "Cookie: hush=1\r\n";
        let response = gateway.call(&with("GET", path, extra)).await;
        assert!(!response.text().contains("hush"), "{path}");
    }
    let records = gateway.world.records();
    let shown = format!("{records:?}");
    assert!(!shown.contains("hush") && !shown.contains("Bearer"), "{shown}");
    assert!(records[3].target.len() < 4200 && records[3].target.ends_with("[cut]"));
    gateway.tool.log.seen.lock().expect("not poisoned").retain(|seen| seen.target().len() < 5000);
}
