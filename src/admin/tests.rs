use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Serves `checks` on a free port and gets `path` from it: status, head, body.
async fn get_from(checks: Vec<Check>, path: &str) -> (u16, String, String) {
    let (_metrics, metrics) = MetricsHandle::new();
    let debug = [
        DebugSection::new("policy", || json!({ "rows": 3 })),
        DebugSection::new("broken", || panic!("a defect in a section")),
    ];
    let router = router(Admin { metrics, checks: checks.into(), debug: debug.into() });
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    ask(router, &request).await
}

async fn ask(router: Router, request: &str) -> (u16, String, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reads");
    server.abort();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn json_of(body: &str) -> Value {
    serde_json::from_str(body).expect("JSON")
}

#[tokio::test]
async fn a_process_that_runs_is_live_even_when_it_is_not_ready() {
    let checks = vec![Check::new("store", || async { Err("is away".to_owned()) })];
    assert_eq!(get_from(checks, "/livez").await.0, 200);
}

#[tokio::test]
async fn it_is_ready_when_every_check_says_so() {
    let checks =
        vec![Check::new("store", || async { Ok(()) }), Check::new("keys", || async { Ok(()) })];
    let (status, head, body) = get_from(checks, "/readyz").await;
    assert_eq!((status, json_of(&body)), (200, json!({"status": "ready", "reasons": []})));
    assert!(head.contains("cache-control: no-store"));
}

#[tokio::test]
async fn every_reason_is_told_and_a_check_that_hangs_or_panics_is_one() {
    let checks = vec![
        Check::new("store", std::future::pending),
        Check::new("keys", || async { Ok(()) }),
        Check::new("policy", || async { panic!("a defect in a check") }),
        Check::new("draining", || async { Err("the gateway is draining".to_owned()) }),
    ];
    // The check that hangs would hang for ever: that there is an answer says that it is not waited for.
    let (status, head, body) = get_from(checks, "/readyz").await;
    let reasons = json!([
        {"check": "store", "reason": "did not answer"},
        {"check": "policy", "reason": "did not answer"},
        {"check": "draining", "reason": "the gateway is draining"},
    ]);
    assert_eq!((status, json_of(&body)), (503, json!({"status": "not-ready", "reasons": reasons})));
    assert!(head.contains("retry-after: 1"));
}

#[tokio::test]
async fn readiness_is_asked_anew_every_time() {
    let broken = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&broken);
    let check = Check::new("store", move || {
        let broken = seen.load(Ordering::SeqCst);
        async move { if broken { Err("is away".to_owned()) } else { Ok(()) } }
    });
    for now in [false, true, false] {
        broken.store(now, Ordering::SeqCst);
        let readiness = Readiness::ask(std::slice::from_ref(&check), readiness::DEADLINE).await;
        assert_eq!(readiness.is_ready(), !now);
    }
}

#[tokio::test]
async fn metrics_are_served_as_open_metrics() {
    let (status, head, body) = get_from(vec![], "/metrics").await;
    assert_eq!(status, 200);
    let media = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.contains(media), "{head}");
    assert!(body.contains("tidegate_build_info{") && body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn nothing_else_is_served() {
    for path in ["/", "/debug", "/debug/authz/", "/config", "/metrics/", "/debug/pprof"] {
        assert_eq!(get_from(vec![], path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn every_section_is_shown_and_one_that_panics_is_null() {
    let (status, head, body) = get_from(vec![], "/debug/authz").await;
    assert_eq!((status, json_of(&body)), (200, json!({"policy": {"rows": 3}, "broken": null})));
    assert!(head.contains("cache-control: no-store"));
}

#[tokio::test]
async fn where_there_is_a_token_every_request_carries_it_or_learns_nothing() {
    let (_metrics, metrics) = MetricsHandle::new();
    let open = router(Admin { metrics, checks: Arc::new([]), debug: Arc::new([]) });
    let token = Token::new("0123456789abcdef0123456789abcdef");
    let router = guarded(open, Some(token.clone()));
    let right = "authorization: Bearer 0123456789abcdef0123456789abcdef\r\n";
    for (lines, status) in [
        (right.to_owned(), 200),
        (right.replace("Bearer", "bearer"), 200),
        (String::new(), 401),
        (right.replace("Bearer", "Basic"), 401),
        (right.replace("ef\r", "e\r"), 401),
        (right.replace("ef\r", "ee\r"), 401),
        (right.replace("ef\r", "eff\r"), 401),
        ("authorization: Bearer\r\n".to_owned(), 401),
        (right.repeat(2), 401),
    ] {
        for path in ["/livez", "/readyz", "/metrics", "/debug/authz", "/none"] {
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n");
            let (found, head, body) = ask(router.clone(), &request).await;
            if status == 401 {
                assert_eq!(found, 401, "{path} {lines}");
                assert!(head.contains("www-authenticate: bearer") && !body.contains("tidegate_"));
            } else {
                assert_eq!(found, if path == "/none" { 404 } else { 200 }, "{path} {lines}");
            }
        }
    }
    let request =
        |lines: &str| format!("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n");
    token.becomes(&"another-".repeat(5));
    assert_eq!(ask(router.clone(), &request(right)).await.0, 401, "the old one is over");
    let now = format!("authorization: Bearer {}\r\n", "another-".repeat(5));
    assert_eq!(ask(router, &request(&now)).await.0, 200);
}
