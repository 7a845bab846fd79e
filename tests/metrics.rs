//! What `/metrics` says of the whole program: the documented names, right numbers, closed labels.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::{World, eventually};

/// Every documented family with its type, as `# TYPE` names it.
const DOCUMENTED: [&str; 27] = [
    "tidegate_requests counter",
    "tidegate_request_duration_seconds histogram",
    "tidegate_step_duration_seconds histogram",
    "tidegate_open_leases gauge",
    "tidegate_leases_cut counter",
    "tidegate_revocation_effect_seconds histogram",
    "tidegate_store_errors counter",
    "tidegate_provider_requests counter",
    "tidegate_approvals counter",
    "tidegate_decision_wait_seconds histogram",
    "tidegate_pending_requests gauge",
    "tidegate_active_grants gauge",
    "tidegate_clock_skew_seconds gauge",
    "tidegate_jwks_last_refresh_success_timestamp_seconds gauge",
    "tidegate_directory_age_seconds gauge",
    "tidegate_directory_failures counter",
    "tidegate_outbox_oldest_event_age_seconds gauge",
    "tidegate_webhook_calls counter",
    "tidegate_dead_letters counter",
    "tidegate_config_last_reload_successful gauge",
    "tidegate_policy_last_reload_successful gauge",
    "tidegate_build info",
    "tidegate_decision_records_dropped counter",
    "http_server_request_duration_seconds histogram",
    "http_client_request_duration_seconds histogram",
    "http_server_active_requests gauge",
    "EOF",
];

/// Every label that a series may have.
const LABELS: [&str; 19] = [
    "tool",
    "outcome",
    "reason",
    "step",
    "cause",
    "kind",
    "template",
    "issuer",
    "sink",
    "source",
    "version",
    "revision",
    "le",
    "http_request_method",
    "http_response_status_code",
    "http_route",
    "url_scheme",
    "error_type",
    "provider_kind",
];

pub fn scrape(world: &World) -> String {
    let answer = Client::new(world.gateway.admin).get("admin", "/metrics", None);
    assert_eq!(answer.status, 200, "{answer:?}");
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    answer.text()
}

/// From series (name and labels) to value, without exemplars.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parsed = lines.map(|line| {
        let line = line.split(" # ").next().unwrap_or(line);
        let (series, value) = line.rsplit_once(' ').expect("a series and a value");
        (series.to_owned(), value.parse().expect("a number"))
    });
    parsed.collect()
}

/// The labels of one series. No value of this test has a comma or a quote in it.
fn labels(series: &str) -> Vec<(&str, &str)> {
    let Some((_, rest)) = series.split_once('{') else { return Vec::new() };
    let rest = rest.strip_suffix("\"}").expect("the end of a value");
    let pairs = rest.split("\",").map(|pair| pair.split_once("=\"").expect("a label"));
    pairs.collect()
}

#[test]
fn every_documented_metric_is_there_from_the_start() {
    let world = World::start();
    let text = scrape(&world);
    let marks = ["TYPE ", ""].map(|kind| format!("# {kind}"));
    let named: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| marks.iter().find_map(|m| line.strip_prefix(m.as_str())))
        .collect();
    for family in DOCUMENTED {
        assert!(named.contains(family), "{family}\n{text}");
    }
    let values = series(&text);
    assert_eq!(values.get("tidegate_clock_skew_seconds"), Some(&0.0));
    assert_eq!(values.get("tidegate_config_last_reload_successful"), Some(&1.0));
    assert_eq!(values.get("tidegate_policy_last_reload_successful"), Some(&1.0));
    assert!(values.keys().any(|name| name.starts_with("tidegate_build_info{version=\"")), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_story_of_a_grant_is_counted_step_by_step() {
    let world = World::start();
    assert_eq!(world.visit("alice").problem(), "no-grant");
    let granted = world.grant("alice");
    for _ in 0..3 {
        assert_eq!(world.visit("alice").status, 200);
    }
    let grant = granted["grants"][0].as_str().expect("a grant");
    let revoked =
        world.api("bob").post(&format!("/grants/{grant}/revoke"), &json!({ "reason": "over" }));
    assert_eq!(revoked.status, 200);
    assert_eq!(world.visit("alice").problem(), "grant-revoked");
    let denied = world.api("alice").submit("reader");
    let denied = denied["id"].as_str().expect("an id");
    assert_eq!(world.api("bob").post(&format!("/requests/{denied}/deny"), &json!({})).status, 200);

    let text = scrape(&world);
    let values = series(&text);
    let answered = |status: u16, error: &str| {
        format!(
            "http_server_request_duration_seconds_count{{http_request_method=\"GET\",\
             http_response_status_code=\"{status}\",http_route=\"/**\",url_scheme=\"http\",\
             error_type=\"{error}\"}}"
        )
    };
    for (name, value) in [
        ("tidegate_requests_total{tool=\"warehouse\",outcome=\"allowed\",reason=\"allowed\"}", 3.0),
        (
            "tidegate_requests_total{tool=\"warehouse\",outcome=\"refused\",reason=\"no-grant\"}",
            1.0,
        ),
        (
            "tidegate_requests_total{tool=\"warehouse\",outcome=\"refused\",reason=\"grant-revoked\"}",
            1.0,
        ),
        ("tidegate_request_duration_seconds_count{tool=\"warehouse\"}", 5.0),
        ("tidegate_step_duration_seconds_count{step=\"identity\"}", 5.0),
        ("tidegate_step_duration_seconds_count{step=\"grants\"}", 5.0),
        ("tidegate_step_duration_seconds_count{step=\"policy\"}", 3.0),
        ("tidegate_step_duration_seconds_count{step=\"upstream\"}", 3.0),
        ("tidegate_approvals_total{template=\"reader\",outcome=\"submitted\"}", 2.0),
        ("tidegate_approvals_total{template=\"reader\",outcome=\"approved\"}", 1.0),
        ("tidegate_approvals_total{template=\"reader\",outcome=\"denied\"}", 1.0),
        ("tidegate_decision_wait_seconds_count{template=\"reader\"}", 2.0),
        (answered(200, "").as_str(), 3.0),
        (answered(403, "no-grant").as_str(), 1.0),
        (answered(403, "grant-revoked").as_str(), 1.0),
    ] {
        assert_eq!(values.get(name), Some(&value), "{name}\n{text}");
    }
    eventually("no request to be active", Duration::from_secs(5), || {
        (series(&scrape(&world))["http_server_active_requests"] == 0.0).then_some(())
    });
}

#[test]
fn open_streams_are_counted_while_they_are_open() {
    let world = World::start();
    world.grant("alice");
    let shows = |name: &str, wanted: f64| {
        eventually(name, Duration::from_secs(10), || {
            (series(&scrape(&world)).get(name) == Some(&wanted)).then_some(())
        });
    };
    let mut stream = TcpStream::connect(world.gateway.proxy).expect("a connection");
    let token = world.token("alice");
    write!(
        stream,
        "GET /stream HTTP/1.1\r\nhost: warehouse.localhost\r\nauthorization: Bearer {token}\r\n\r\n"
    )
    .expect("written");
    shows("tidegate_open_leases", 1.0);
    shows("http_server_active_requests", 1.0);
    drop(stream);
    shows("tidegate_open_leases", 0.0);
    shows("http_server_active_requests", 0.0);
}

#[test]
fn no_label_is_free_text_whatever_clients_send() {
    let world = World::start();
    let granted = world.grant("canary-person");
    let token = world.token("canary-person");
    let mut proxy = world.proxy();
    for target in ["/canary-path?canary=query", "/a/canary-segment", "/canary%2fpath"] {
        proxy.get("warehouse.localhost", target, Some(&token));
    }
    proxy.get("canary.host.test", "/canary-prefix", Some(&token));
    proxy.get("warehouse.localhost", "/", Some("canary.token.text"));
    proxy.send("CANARYMETHOD", "warehouse.localhost", "/", &[], b"");
    let id = granted["id"].as_str().expect("an id");
    let body = json!({ "text": "canary-comment" });
    world.api("canary-person").post(&format!("/requests/{id}/comments"), &body);
    let mut api = world.api("canary-person");
    api.post("/requests", &json!({ "template": "canary-template", "justification": "canary" }));
    api.get("/requests/canary-id");

    let text = scrape(&world);
    assert!(!text.to_ascii_lowercase().contains("canary"), "{text}");
    let ids = [id, granted["grants"][0].as_str().expect("a grant")];
    assert!(!ids.iter().any(|id| text.contains(id)), "{text}");
    for (name, _) in series(&text) {
        for (label, value) in labels(&name) {
            assert!(LABELS.contains(&label), "{name}");
            assert!(!value.contains(' ') && value.len() <= 64, "{name}");
        }
    }
}

#[test]
fn an_exemplar_leads_from_a_number_to_the_trace_that_a_client_brought() {
    let world = World::start();
    world.proxy().get("warehouse.localhost", "/healthz", None);
    assert!(!scrape(&world).contains("trace_id="), "nobody would know that trace");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [("traceparent", parent.as_str())];
    world.proxy().send("GET", "warehouse.localhost", "/healthz", &headers, b"");
    let text = scrape(&world);
    let mark = format!(" # {{trace_id=\"{trace}\"}} ");
    for name in ["tidegate_requests_total{", "tidegate_request_duration_seconds_bucket{"] {
        let marked = text.lines().any(|line| line.starts_with(name) && line.contains(&mark));
        assert!(marked, "{name}\n{text}");
    }
}
