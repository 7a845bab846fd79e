use super::harness::{Harness, get, with};
use super::wire::Client;

#[tokio::test]
async fn a_path_that_could_be_read_in_two_ways_is_refused() {
    let gateway = Harness::start().await;
    for path in [
        "/a/../b",
        "/a/..",
        "/..",
        "/./a",
        "/a/.",
        "/a/%2e%2e/b",
        "/a/%2E%2e/b",
        "/a/.%2e/b",
        "/%2e/a",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%5Cb",
        "/a\\b",
        "/..\\a",
        "/a%00",
        "/a%25b",
        "/a%252e",
        "/a%3bb",
        "/a%3Bb",
        "/a;b",
        "/a/..;/b",
        "//a",
        "/a//b",
        "/a//",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%u002e",
        "/a%23b",
        "/a%3fb",
        "/a%c0%ae",
        "/a%ff",
        "/a%0a",
        "/a%0d%0aX:y",
        "/a%1f",
        "/a%7f",
        "/%c0%af",
    ] {
        let refused = gateway.get(path).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad-request"), "{path}");
        let detail = refused.json()["detail"].as_str().expect("text").to_owned();
        assert!(detail.contains("path"), "{path}: {detail}");
        assert!(refused.header("tidegate-decision-id").is_some());
    }
    assert!(gateway.tool.seen().is_empty());
    assert_eq!(gateway.world.records().len(), 38);
}

#[tokio::test]
async fn what_a_path_may_have_is_forwarded_byte_for_byte() {
    let gateway = Harness::start().await;
    for target in [
        "/policy/",
        "/policy/a/",
        "/policy/A%41%20b",
        "/policy/a.b/...",
        "/policy/..a/b..",
        "/policy/%c3%bc",
        "/policy/~'()*!$&+,=:@-_",
        "/policy/a?b=//../%2e%2e/%00;x\\y?z",
        "/policy/a?",
        "/policy/file%2etxt",
    ] {
        assert_eq!(gateway.get(target).await.status, 200, "{target}");
        assert_eq!(gateway.tool.seen().last().expect("seen").target(), target);
    }
}

#[tokio::test]
async fn an_opaque_tool_gets_its_escapes_but_no_dots() {
    let gateway = Harness::start().await;
    let ask = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: opaque.localhost\r\nCookie: session=alice\r\n\r\n")
    };
    for path in ["/a%2fb", "/a%2Fb;c", "/a%3bb", "/a%25b", "/a//b", "//a", "/a%2520"] {
        assert_eq!(gateway.call(&ask(path)).await.status, 200, "{path}");
        assert_eq!(gateway.tool.seen().last().expect("seen").target(), path);
    }
    for path in [
        "/a%2f..%2fb",
        "/a/..;x/b",
        "/a/..%3bx",
        "/a/%252e%252e/b",
        "/a/%25252e%25252e/b",
        "/a/%25%32%65%25%32%65/b",
        "/a/%25%32%65./b",
        "/a%25%32%66..%25%32%66b",
        &format!("/%{}2e", "25".repeat(20)),
        "/a%5cb",
        "/a%00",
        "/a\\b",
        "/a%2f%2e%2e",
        "/%2e%2e%2fa",
        "/a%zz",
        "/a/../b",
    ] {
        assert_eq!(gateway.call(&ask(path)).await.code(), "bad-request", "{path}");
    }
}

#[tokio::test]
async fn only_the_origin_form_is_a_target() {
    let gateway = Harness::start().await;
    let mut client = gateway.client().await;
    for target in ["http://notes.localhost/healthz", "http://evil.test/", "*", "notes.localhost:80"]
    {
        let refused = client.call(&get(target)).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad-request"), "{target}");
    }
    let refused = client.call(&with("CONNECT", "notes.localhost:80", "")).await;
    assert_eq!(refused.code(), "bad-request");
    assert!(gateway.tool.seen().is_empty());
}

#[tokio::test]
async fn a_request_needs_exactly_one_plain_host() {
    let gateway = Harness::start().await;
    for host in [
        "",
        "Host:\r\n",
        "Host: notes.localhost\r\nHost: notes.localhost\r\n",
        "Host: notes.localhost, evil.test\r\n",
        "Host: notes.localhost.\r\n",
        "Host: a@notes.localhost\r\n",
        "Host: notes.localhost:\r\n",
        "Host: notes.localhost:8x\r\n",
        "Host: notes.localhost/healthz\r\n",
        "Host: notes localhost\r\n",
        "Host: [::1\r\n",
        "Host: [x]\r\n",
        "Host: notes.localhost:123456\r\n",
        "Host: http://notes.localhost\r\n",
        "Host: .localhost\r\n",
        "Host: n\u{f6}tes.localhost\r\n",
    ] {
        let refused = gateway.call(&format!("GET /healthz HTTP/1.1\r\n{host}\r\n")).await;
        assert_eq!(refused.code(), "bad-request", "{host:?}");
    }
    for host in ["notes.localhost", "NOTES.localhost", "notes.localhost:8080", "Notes.Localhost:1"]
    {
        let response =
            gateway.call(&format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(response.status, 200, "{host}");
        assert_eq!(gateway.tool.seen().last().expect("seen").header("host"), Some(host));
    }
    for host in ["other.localhost", "localhost", "[::1]:80", "notes_localhost", "xnotes.localhost"]
    {
        let refused = gateway.call(&format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!((refused.status, refused.code().as_str()), (404, "no-route"), "{host}");
    }
}

#[tokio::test]
async fn an_unknown_method_is_refused_and_a_named_one_is_known() {
    let gateway = Harness::start().await;
    for method in ["get", "TRACE", "FOO", "Get", "TRACK", "PROPFIND"] {
        assert_eq!(
            gateway.call(&with(method, "/healthz", "")).await.code(),
            "bad-request",
            "{method}"
        );
    }
    assert_eq!(gateway.call(&with("PURGE", "/cache", "")).await.status, 200);
    assert_eq!(gateway.call(&with("DELETE", "/healthz", "")).await.code(), "policy-denied");
}

#[tokio::test]
async fn a_request_that_no_rule_lists_is_denied_before_identity() {
    let gateway = Harness::start().await;
    let refused = gateway.call("DELETE /a HTTP/1.1\r\nHost: notes.localhost\r\n\r\n").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "policy-denied"));
    assert_eq!(refused.json()["detail"], "no rule lists DELETE /a");
    assert_eq!(gateway.world.identified.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(gateway.world.records()[0].tool.as_deref(), Some("notes"));
}

#[tokio::test]
async fn rules_match_whole_segments_in_the_case_they_are_written() {
    let gateway = Harness::start().await;
    for path in ["/healthz/", "/Healthz", "/healthzz", "/healthz%2e"] {
        assert_eq!(gateway.get(path).await.code(), "no-grant", "{path}");
    }
    assert_eq!(gateway.get("/healthz?x=/policy").await.status, 200, "the query is no part of it");
}

#[tokio::test]
async fn a_prefix_is_stripped_and_told() {
    let gateway = Harness::start().await;
    let ask = |host: &str, path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer alice\r\n\r\n")
    };
    for (path, tool, forwarded, prefix) in [
        ("/ware/", "ware", "/", "/ware"),
        ("/ware/a/b?c=d", "ware", "/a/b?c=d", "/ware"),
        ("/ware/deep/x", "deep", "/x", "/ware/deep"),
        ("/ware/deeper", "ware", "/deeper", "/ware"),
    ] {
        assert_eq!(gateway.call(&ask("any.test", path)).await.status, 200, "{path}");
        let seen = gateway.tool.seen().last().expect("seen").clone();
        assert_eq!((seen.target(), seen.header("x-forwarded-prefix")), (forwarded, Some(prefix)));
        let record = gateway.world.records().last().expect("a record").clone();
        assert_eq!(record.tool.as_deref(), Some(tool));
        assert_eq!(&*record.target, path.split('?').next().expect("a path"));
        assert_eq!(record.upstream_path.as_deref(), forwarded.split('?').next());
    }
    for path in ["/ware", "/warehouse/x", "/Ware/x", "/"] {
        assert_eq!(gateway.call(&ask("any.test", path)).await.code(), "no-route", "{path}");
    }
    for path in ["/ware//evil.test/", "/ware/../healthz", "/x/../ware/", "/nowhere/%2e%2e/"] {
        assert_eq!(gateway.call(&ask("any.test", path)).await.code(), "bad-request", "{path}");
    }
    // A host that belongs to a tool as a whole is not shadowed by a prefix of another.
    assert_eq!(gateway.call(&ask("notes.localhost", "/ware/x")).await.code(), "no-grant");
    assert_eq!(gateway.world.records().last().expect("one").tool.as_deref(), Some("notes"));
    // Host and prefix together come before the host alone.
    assert_eq!(gateway.call(&ask("opaque.localhost", "/side/x")).await.status, 200);
    assert_eq!(gateway.world.records().last().expect("one").tool.as_deref(), Some("side"));
}

async fn ids(client: &mut Client, query: &str) -> u16 {
    client.call(&get(&format!("/query{query}"))).await.status
}

#[tokio::test]
async fn the_resource_and_its_scope_come_from_the_request() {
    let gateway = Harness::start().await;
    let mut client = gateway.client().await;
    assert_eq!(client.call(&with("GET", "/docs/a%41", "X-Team: red\r\n")).await.status, 200);
    let asked = gateway.world.asked();
    assert_eq!(
        (asked.kind.as_str(), asked.id.as_str(), asked.scope.as_str()),
        ("document", "a%41", "red")
    );
    assert_eq!(asked.resource["tool"], "notes");
    for team in [
        "",
        "X-Team:\r\n",
        "X-Team: a\r\nX-Team: b\r\n",
        "X-Team: a\r\nx_team: b\r\n",
        "X-Team: a\r\nConnection: x-team\r\n",
        "X-Team: \u{e4}\r\n",
    ] {
        let refused = client.call(&with("GET", "/docs/7", team)).await;
        assert_eq!(refused.code(), "bad-request", "{team:?}");
    }
    assert_eq!(ids(&mut client, "?x=1&id=a%2Fb&y").await, 200);
    assert_eq!(gateway.world.asked().id, "a/b");
    for query in [
        "",
        "?",
        "?id",
        "?id=",
        "?id=1&id=2",
        "?id=1&%69d=2",
        "?id=%zz",
        "?id=%ff",
        "?id=a+b",
        "?id=1;id=2",
        "?id=%0a",
        "?ID=1",
        "?%zz=1&id=1",
    ] {
        assert_eq!(ids(&mut client, query).await, 400, "{query}");
    }
    assert_eq!(gateway.tool.seen().len(), 2);
}
