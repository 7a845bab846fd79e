//! W3C trace context through the whole program: from the client to the tool, and from a call of
//! the API into the events.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::gateway::Gateway;
use crate::harness::{World, eventually, oracle};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn parent() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

/// The parts of a `traceparent`: trace, span.
fn parts(traceparent: &str) -> (String, String) {
    let parts: Vec<&str> = traceparent.split('-').collect();
    assert_eq!(parts.len(), 4, "{traceparent}");
    assert_eq!((parts[0], parts[3]), ("00", "01"), "{traceparent}");
    (parts[1].to_owned(), parts[2].to_owned())
}

/// The first event of the sink file that `fits`.
fn event(audit: &Path, fits: impl Fn(&Value) -> bool) -> Value {
    eventually("an event", Duration::from_secs(10), || {
        oracle::events(audit).into_iter().find(&fits)
    })
}

#[test]
fn a_trace_goes_on_through_the_proxy_under_spans_of_our_own() {
    let world = World::start();
    let headers = [("traceparent", parent()), ("tracestate", "vendor=1".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = world.proxy().send("GET", "warehouse.localhost", "/healthz", &headers, b"");
    assert_eq!(answer.status, 200);
    let seen = world.upstream.last();
    let (trace, client_span) = parts(seen.header("traceparent").expect("a trace"));
    assert_eq!(trace, TRACE);
    assert_ne!(client_span, CALLER);
    assert_eq!((seen.count("traceparent"), seen.header("tracestate")), (1, Some("vendor=1")));

    let record =
        event(&world.audit_file(), |event| event["type"] == "dev.tidegate.decision.allowed.v1");
    let (trace, server_span) = parts(record["traceparent"].as_str().expect("a trace"));
    assert_eq!(trace, TRACE);
    assert!(server_span != CALLER && server_span != client_span, "{record}");
    assert_eq!(record["data"]["trace"], TRACE);
}

#[test]
fn a_trace_that_nobody_brought_begins_here_anew_for_each_request() {
    let world = World::start();
    let forged = format!("00-{}-{CALLER}-01", "0".repeat(32));
    for headers in [vec![], vec![("traceparent", forged.as_str()), ("tracestate", "vendor=1")]] {
        world.proxy().send("GET", "warehouse.localhost", "/healthz", &headers, b"");
    }
    let seen = world.upstream.seen();
    let traces = seen.iter().map(|seen| parts(seen.header("traceparent").expect("a trace")).0);
    let traces: Vec<String> = traces.collect();
    assert_ne!(traces[0], traces[1]);
    assert!(!traces.contains(&"0".repeat(32)));
    assert_eq!(seen[1].header("tracestate"), None, "it belongs to a trace that was not continued");
}

#[test]
fn the_trace_of_a_call_stands_in_the_events_it_made() {
    let world = World::start();
    let bearer = format!("Bearer {}", world.token("alice"));
    let parent = parent();
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("traceparent", parent.as_str()),
    ];
    let body = json!({ "template": "reader", "justification": "INC-1 disk is full" }).to_string();
    let answer = world.api("alice").client.send(
        "POST",
        "api.localhost",
        "/api/v1/requests",
        &headers,
        body.as_bytes(),
    );
    assert_eq!(answer.status, 201, "{answer:?}");
    let subject = format!("requests/{}", answer.json()["id"].as_str().expect("an id"));
    let submitted = event(&world.audit_file(), |event| {
        event["type"] == "dev.tidegate.request.submitted.v1" && event["subject"] == subject.as_str()
    });
    let (trace, span) = parts(submitted["traceparent"].as_str().expect("a trace"));
    assert_eq!(trace, TRACE);
    assert_ne!(span, CALLER, "the call has a span of its own");
}

/// The spans that the log told, in the order of their ends; `outer` is the id of the outermost span
/// around each.
fn spans(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ended = lines.filter(|line| line["target"] == "tidegate::trace");
    let span = |line: Value| {
        let mut span = line["span"].clone();
        let around = line["spans"].get(0).unwrap_or(&line["span"]);
        span["outer"] = around["span_id"].clone();
        span
    };
    ended.map(span).collect()
}

#[test]
fn a_refused_and_an_allowed_request_can_be_followed_span_by_span() {
    let world = World::logging("info,tidegate::trace=debug", |config| config);
    assert_eq!(world.visit("alice").status, 403);
    world.grant("alice");
    let bearer = format!("Bearer {}", world.token("alice"));
    let parent = parent();
    let headers = [("authorization", bearer.as_str()), ("traceparent", parent.as_str())];
    let answer = world.proxy().send("GET", "warehouse.localhost", "/a/b?canary=1", &headers, b"");
    assert_eq!(answer.status, 200);
    let decision = answer.header("tidegate-decision-id").expect("an id");

    let told = eventually("the spans", Duration::from_secs(5), || {
        let told = spans(&world.gateway);
        told.iter().any(|span| span["tidegate.decision_id"] == decision).then_some(told)
    });
    let server = told.iter().find(|span| span["tidegate.decision_id"] == decision).expect("told");
    for (field, value) in [
        ("otel.name", json!("GET /**")),
        ("otel.kind", json!("server")),
        ("trace_id", json!(TRACE)),
        ("parent_span_id", json!(CALLER)),
        ("http.request.method", json!("GET")),
        ("http.route", json!("/**")),
        ("http.response.status_code", json!(200)),
        ("url.path", json!("/a/b")),
        ("server.address", json!("warehouse.localhost")),
        ("tidegate.tool", json!("warehouse")),
    ] {
        assert_eq!(server[field], value, "{field}: {server}");
    }
    let inside: Vec<&Value> =
        told.iter().filter(|span| span["outer"] == server["span_id"]).collect();
    let names: Vec<&str> = inside.iter().filter_map(|span| span["name"].as_str()).collect();
    let steps = ["tidegate.identity", "tidegate.grants", "tidegate.policy", "client", "server"];
    assert_eq!(names, steps);
    let sent = world.upstream.last();
    let (_, span) = parts(sent.header("traceparent").expect("a trace"));
    let client = inside[3];
    assert_eq!((&client["span_id"], &client["otel.name"]), (&json!(span), &json!("GET")));
    assert_eq!(client["parent_span_id"], server["span_id"]);
    assert_eq!(client["server.port"], world.upstream.address.port());

    let refused = told.iter().find(|span| span["error.type"] == "no-grant").expect("told");
    assert_eq!(
        (&refused["otel.name"], &refused["http.response.status_code"]),
        (&json!("GET /**"), &json!(403))
    );
    assert_eq!(refused["user.hash"], server["user.hash"], "one person");
    assert_eq!(server["user.hash"].as_str().map(str::len), Some(16));
    let approved = json!("POST /api/v1/requests/{id}/approve");
    assert!(
        told.iter()
            .any(|span| span["otel.name"] == approved && span["user.hash"] != server["user.hash"])
    );
    let told = serde_json::to_string(&told).expect("JSON");
    assert!(
        !told.contains("alice") && !told.contains("canary") && !told.contains("Bearer"),
        "{told}"
    );
}

#[test]
fn nothing_is_told_of_spans_unless_it_is_asked_for() {
    let world = World::start();
    world.visit("alice");
    world.api("alice").get("/catalog");
    assert!(spans(&world.gateway).is_empty(), "{}", world.gateway.log());
}
