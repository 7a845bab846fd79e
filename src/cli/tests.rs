//! The verbs against a small API on a free port, and the exit codes of the program.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::client::{Api, ApiArgs, Failed};
use super::output::{self, Format, Output};
use super::store::StoreTools;
use super::{
    Arguments, Checks, Command, Exit, approve, audit, check, deny, extend, grants, request,
    requests, review, revoke,
};
use crate::app::InspectError;
use clap::Parser;

/// What a call looked like: `POST /path?query`, the token, the body.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    token: String,
    key: Option<String>,
    body: Value,
}

type Answers = fn(&Method, &Uri) -> (u16, &'static str, Value);

struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: tokio::runtime::Runtime,
}

async fn handle(
    State((seen, answers)): State<(Arc<Mutex<Vec<Seen>>>, Answers)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    seen.lock().expect("lock").push(Seen {
        line: format!("{method} {uri}"),
        token: token.unwrap_or_default().to_owned(),
        key: headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    let (status, kind, body) = answers(&method, &uri);
    let status = StatusCode::from_u16(status).expect("status");
    (status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
}

impl Server {
    fn start(answers: Answers) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().fallback(handle).with_state((seen.clone(), answers));
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("port");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, seen, _runtime: runtime }
    }

    /// Runs a command line against this server.
    fn run(&self, line: &[&str]) -> Result<Output, Failed> {
        let all = [&["tidegate"], line, &["--api", &self.url]].concat();
        let command = Arguments::try_parse_from(all).expect("arguments").command;
        let api = |args: &ApiArgs| Api::new(args, Some("canary-token"));
        match command {
            Command::Request(args) => request::call(&api(&args.api)?, &args),
            Command::Approve(args) => approve::call(&api(&args.api)?, &args),
            Command::Audit(args) => audit::call(&api(args.command.api())?, &args),
            Command::Deny(args) => deny::call(&api(&args.api)?, &args),
            Command::Review(args) => review::call(&api(&args.api)?, &args),
            Command::Revoke(args) => revoke::call(&api(&args.api)?, &args),
            Command::Extend(args) => extend::call(&api(&args.api)?, &args),
            Command::Grants(args) => grants::call(&api(&args.api)?, &args),
            Command::Requests(args) => requests::call(&api(&args.api)?, &args),
            Command::Dev(_)
            | Command::Serve(_)
            | Command::Check(_)
            | Command::Policy(_)
            | Command::Explain(_)
            | Command::Store(_) => panic!("no verb"),
        }
    }

    fn done(&self, line: &[&str]) -> Output {
        self.run(line).map_err(|failed| output::failure(&failed)).expect("done")
    }

    fn last(&self) -> Seen {
        self.seen.lock().expect("lock").last().cloned().expect("a call")
    }
}

fn usual(method: &Method, uri: &Uri) -> (u16, &'static str, Value) {
    let request = json!({"id": "r1", "status": "pending", "template": "operator", "subject": "alice", "duration": "PT1H", "grants": []});
    let body = match (method.as_str(), uri.path()) {
        ("GET", "/api/v1/catalog") => json!({"items": [{"name": "operator", "fields": [
            {"name": "paged", "type": "checkbox"}, {"name": "boxes", "type": "number"}, {"name": "ticket", "type": "text"}]}]}),
        ("GET", "/api/v1/grants") if uri.query().is_some_and(|q| q.contains("cursor=two")) => {
            json!({"items": [{"id": "g2", "subject": "bob", "tool": "t", "role": "r", "status": "active"}], "next_cursor": null})
        }
        ("GET", "/api/v1/grants") => {
            json!({"items": [{"id": "g1", "subject": "alice", "tool": "t", "role": "r", "status": "active", "expires_at": "2026-11-22T09:30:00Z"}], "next_cursor": "two"})
        }
        ("GET", "/api/v1/requests") => {
            json!({"items": [{"id": "r1", "subject": "alice", "justification": "\u{1b}[2Jgone\nROOT \u{202e}x \u{9b}31m"}]})
        }
        ("GET", "/api/v1/audit/dead-letters") => {
            json!({"items": [{"sink": "webhook:siem", "id": "e1\u{1b}[2J", "tries": 5, "reason": "failed", "status": 503, "replay": false}], "next_cursor": null})
        }
        ("POST", "/api/v1/audit/dead-letters/replay") => json!({"replayed": 2}),
        ("POST", "/api/v1/revocations") => json!({"revoked": 0, "cancelled": 0, "pending": true}),
        ("POST", path) if path.ends_with("/extend") => {
            json!({"id": "g1", "status": "active", "expires_at": "2026-11-22T10:00:00Z"})
        }
        ("POST", path) if path.ends_with("/revoke") => json!({"id": "g1", "status": "revoked"}),
        _ => request,
    };
    (200, "application/json", body)
}

fn no(_: &Method, _: &Uri) -> (u16, &'static str, Value) {
    let problem = json!({"type": "urn:tidegate:problem:self-approval", "title": "Nobody decides on their own request",
        "status": 403, "detail": "ask \u{1b}[31mbob", "decision_id": "d1", "errors": [{"pointer": "/duration", "detail": "too long"}]});
    (403, "application/problem+json", problem)
}

const NO_STORE: StoreTools = StoreTools {
    show: |_, _| Err(InspectError::Usage("not asked here".to_owned())),
    status: |_| Err(InspectError::Usage("not asked here".to_owned())),
};
const NOTHING: Checks = Checks {
    policies: |_| Vec::new(),
    doubts: |_| Vec::new(),
    keys_and_store: |_| Vec::new(),
    store: NO_STORE,
};

#[test]
fn a_request_is_asked_for_with_the_types_that_the_template_names() {
    let server = Server::start(usual);
    let line = ["request", "operator", "--for", "PT1H", "--because", "INC-1", "--subject", "eve"];
    let fields = ["--field", "paged=true", "--field", "boxes=3", "--field", "ticket=3=4"];
    let output = server.done(&[&line[..], &fields[..]].concat());
    assert_eq!(output.text, ["request r1 is pending: operator for alice, PT1H"]);
    let seen = server.last();
    assert_eq!(seen.line, "POST /api/v1/requests");
    assert_eq!(seen.token, "Bearer canary-token");
    let fields = json!({"paged": true, "boxes": 3, "ticket": "3=4"});
    assert_eq!(
        seen.body,
        json!({"template": "operator", "duration": "PT1H", "justification": "INC-1", "subject": "eve", "fields": fields})
    );
}

#[test]
fn a_request_without_options_sends_nothing_that_was_not_said() {
    let server = Server::start(usual);
    server.done(&["request", "operator"]);
    assert_eq!(server.last().body, json!({"template": "operator"}));
    assert_eq!(server.seen.lock().expect("lock").len(), 1, "the catalog is not asked for");
    server.done(&["request", "operator", "--break-glass", "--because", "fire"]);
    let body = json!({"template": "operator", "justification": "fire", "break_glass": true});
    assert_eq!(server.last().body, body);
}

#[test]
fn decisions_go_to_the_request_that_was_named_and_to_no_other_path() {
    let server = Server::start(usual);
    server.done(&["approve", "r1", "--for", "PT30M", "--comment", "fine"]);
    assert_eq!(server.last().line, "POST /api/v1/requests/r1/approve");
    assert_eq!(server.last().body, json!({"comment": "fine", "duration": "PT30M"}));
    server.done(&["approve", "r1", "--until", "2026-11-22T09:30:00Z"]);
    assert_eq!(server.last().body, json!({"expires_at": "2026-11-22T09:30:00Z"}));
    let output = server.done(&["review", "r1", "--comment", "right"]);
    assert_eq!(output.text, ["the break-glass r1 of alice is reviewed"]);
    assert_eq!(server.last().line, "POST /api/v1/requests/r1/review");
    assert_eq!(server.last().body, json!({"comment": "right"}));
    server.done(&["deny", "../grants/g1?x=", "--reason", "no"]);
    assert_eq!(server.last().line, "POST /api/v1/requests/%2E%2E%2Fgrants%2Fg1%3Fx%3D/deny");
    assert_eq!(server.last().body, json!({"reason": "no"}));
}

#[test]
fn revoking_takes_one_grant_or_one_kind_of_everything() {
    let server = Server::start(usual);
    let output = server.done(&["revoke", "g1", "--reason", "over"]);
    assert_eq!(output.text, ["grant g1 is revoked"]);
    assert_eq!(server.last().line, "POST /api/v1/grants/g1/revoke");
    assert_eq!(server.last().body, json!({"reason": "over"}));
    let output = server.done(&["revoke", "--tool", "warehouse"]);
    assert!(output.text[1].contains("binds from now on"), "{:?}", output.text);
    assert_eq!(server.last().line, "POST /api/v1/revocations");
    assert_eq!(
        server.last().body,
        json!({"tool": "warehouse", "reason": "revoked from the command line"})
    );
}

#[test]
fn an_extension_says_when_the_grant_ends_now() {
    let server = Server::start(usual);
    let line = ["extend", "g/1", "--by", "PT30M", "--justification", "INC-1 goes on"];
    let output = server.done(&line);
    assert_eq!(output.text, ["grant g1 ends at 2026-11-22T10:00:00Z"]);
    assert_eq!(output.json["status"], "active");
    assert_eq!(server.last().line, "POST /api/v1/grants/g%2F1/extend");
    let body = json!({"duration": "PT30M", "justification": "INC-1 goes on"});
    assert_eq!(server.last().body, body);
    server.done(&["extend", "g1", "--by", "PT30M"]);
    assert_eq!(server.last().body, json!({"duration": "PT30M"}));
}

#[test]
fn a_list_has_all_pages() {
    let server = Server::start(usual);
    let output = server.done(&["grants", "--subject", "a&b", "--status", "active"]);
    assert_eq!(output.json["items"].as_array().expect("items").len(), 2);
    assert_eq!(output.text.len(), 3);
    assert!(output.text[1].starts_with("g1     alice    t     r     active"), "{:?}", output.text);
    let seen = server.seen.lock().expect("lock").clone();
    assert_eq!(seen[0].line, "GET /api/v1/grants?subject=a%26b&status=active");
    assert_eq!(seen[1].line, "GET /api/v1/grants?subject=a%26b&status=active&cursor=two");
}

#[test]
fn what_others_wrote_cannot_steer_the_terminal() {
    let server = Server::start(usual);
    let output = server.done(&["requests", "--status", "pending", "--status", "denied"]);
    assert_eq!(output.json["items"].as_array().expect("items").len(), 2);
    let text = output.text.join("|");
    let json = output::json(&output.json);
    for (printed, escape) in [
        (&text, "\\u{1b}[2Jgone\\u{a}ROOT \\u{202e}x \\u{9b}"),
        (&json, "\\u001b[2Jgone\\nROOT \\u202ex \\u009b"),
    ] {
        assert!(printed.contains(escape), "{printed}");
        assert!(!printed.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{printed:?}");
    }
    assert_eq!(serde_json::from_str::<Value>(&json).expect("still JSON"), output.json);
}

#[test]
fn every_call_that_changes_something_has_an_idempotency_key_of_its_own() {
    let server = Server::start(usual);
    let verbs: [&[&str]; 8] = [
        &["request", "operator", "--because", "x"],
        &["approve", "r1"],
        &["deny", "r1", "--reason", "x"],
        &["review", "r1"],
        &["revoke", "g1"],
        &["revoke", "--tool", "t"],
        &["extend", "g1", "--by", "PT30M"],
        &["audit", "replay", "--sink", "siem"],
    ];
    let mut keys = std::collections::BTreeSet::new();
    for verb in verbs {
        server.done(verb);
        let seen = server.last();
        assert!(seen.line.starts_with("POST "), "{}", seen.line);
        let key = seen.key.unwrap_or_else(|| panic!("no key: {verb:?}"));
        assert!(key.len() == 32 && keys.insert(key), "{verb:?}");
    }
    server.done(&["grants"]);
    assert_eq!(server.last().key, None);
}

#[test]
fn a_refusal_is_exit_1_with_the_problem() {
    let server = Server::start(no);
    let failed = server.run(&["approve", "r1"]).err().expect("refused");
    assert_eq!(failed.exit(), Exit::Refused);
    let told = output::failure(&failed);
    assert_eq!(
        told[0],
        "tidegate: refused: 403 self-approval: Nobody decides on their own request"
    );
    assert_eq!(told[2..], ["  /duration: too long", "  decision d1"]);
}

#[test]
fn an_api_that_is_not_there_or_is_something_else_is_exit_69() {
    let free =
        std::net::TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("address");
    let args = ApiArgs { api: format!("http://{free}"), output: Format::Text };
    let api = Api::new(&args, Some("canary-token")).map_err(|f| f.exit()).expect("client");
    let failed = api.get("/x", &[]).expect_err("nothing there");
    assert_eq!(failed.exit(), Exit::Unreachable);
    assert!(!output::failure(&failed).join(" ").contains("canary"));
    let other = Server::start(|_, _| (200, "text/html", json!("<html>")));
    assert_eq!(other.run(&["grants"]).err().map(|f| f.exit()), Some(Exit::Unreachable));
    let proxy = Server::start(|_, _| (502, "text/html", json!("<html>")));
    assert_eq!(proxy.run(&["grants"]).err().map(|f| f.exit()), Some(Exit::Unreachable));
}

#[test]
fn a_missing_or_broken_token_and_a_strange_address_are_usage_errors() {
    let exit = |api: &str, token: Option<&str>| {
        let args = ApiArgs { api: api.to_owned(), output: Format::Text };
        Api::new(&args, token)
            .err()
            .map(|failed| (failed.exit(), output::failure(&failed).join("")))
    };
    let url = "http://127.0.0.1:1";
    for (api, token) in [
        (url, None),
        (url, Some("")),
        (url, Some("canary\nx")),
        ("127.0.0.1", Some("canary")),
        ("ftp://a", Some("canary")),
        ("http://me:canary@a", Some("t")),
        ("http://a?x=canary", Some("t")),
    ] {
        let (exit, told) = exit(api, token).expect(api);
        assert_eq!(exit, Exit::Usage, "{api}");
        assert!(!told.contains("canary"), "{told}");
    }
    assert!(exit("https://a.example/base/", Some("t")).is_none());
}

#[test]
fn a_token_that_would_travel_in_the_clear_is_noticed() {
    let exposed = |api: &str| {
        let args = ApiArgs { api: api.to_owned(), output: Format::Text };
        Api::new(&args, Some("t")).map_err(|failed| failed.exit()).expect(api).is_exposed()
    };
    for near in ["https://a.example", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost"] {
        assert!(!exposed(near), "{near}");
    }
    assert!(exposed("http://a.example") && exposed("http://10.0.0.1:8081"));
}

#[test]
fn wrong_arguments_are_exit_64_and_help_is_exit_0() {
    let run = |line: &[&str]| super::run([&["tidegate"], line].concat(), NOTHING);
    for line in [
        &[][..],
        &["fly"],
        &["request"],
        &["request", "t", "--for", "1h"],
        &["request", "t", "--field", "novalue"],
        &["request", "t", "--token", "x"],
        &["approve", "r", "--for", "PT1H", "--until", "2026-11-22T09:30:00Z"],
        &["approve", "r", "--until", "tomorrow"],
        &["request", "t", "--break-glass"],
        &["request", "t", "--break-glass", "--because", "x", "--subject", "eve"],
        &["review"],
        &["revoke"],
        &["extend", "g1"],
        &["extend", "g1", "--by", "PT0S"],
        &["revoke", "g1", "--tool", "t"],
        &["grants", "--output", "xml"],
        &["check"],
        &["dev", "--proxy", "here"],
    ] {
        assert_eq!(run(line), Exit::Usage, "{line:?}");
    }
    assert_eq!(run(&["--help"]), Exit::Done);
    assert_eq!(run(&["--version"]), Exit::Done);
    assert_eq!(run(&["check", "--config", "/nowhere.yaml"]), Exit::Usage);
    let codes =
        [Exit::Done, Exit::Refused, Exit::Usage, Exit::Data, Exit::Unreachable, Exit::Misfit];
    assert_eq!(codes.map(Exit::code), [0, 1, 64, 65, 69, 78]);
}

#[test]
fn check_lists_the_problems_of_configuration_catalog_and_policies_together() {
    let folder = crate::config::tests::Folder::new();
    let file = folder.write("tidegate.yaml", crate::config::tests::GOOD);
    let none = |_: &str| None;
    assert!(check::check(&file, &none, NOTHING).problems.is_empty());
    let of_keys = Checks { keys_and_store: |_| vec!["a key".to_owned()], ..NOTHING };
    assert_eq!(check::check(&file, &none, of_keys).problems, ["a key"]);
    let doubtful = Checks { doubts: |_| vec!["a doubt".to_owned()], ..NOTHING };
    let report = check::check(&file, &none, doubtful);
    assert!(report.problems.is_empty() && report.warnings.contains(&"a doubt".to_owned()));
    folder.write("catalog/a.yaml", "templates: [{ name: x }]");
    folder.write("tidegate.yaml", &crate::config::tests::GOOD.replace("seal.key", "short.key"));
    let of_policies = Checks {
        policies: |directory| {
            vec![format!("{}: no such rule", directory.file_name().expect("name").display())]
        },
        ..NOTHING
    };
    let report = check::check(&file, &none, of_policies);
    let told = report.problems.join("\n");
    for word in [
        "templates[0].accesses",
        "templates[0].durations",
        "templates[0].steps",
        "policies: no such rule",
        "store.seal_keys[0].file",
    ] {
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn dead_letters_are_listed_and_sent_again() {
    let server = Server::start(usual);
    let listed = server.done(&["audit", "dead-letters", "--sink", "siem"]);
    assert_eq!(server.last().line, "GET /api/v1/audit/dead-letters?sink=siem");
    assert!(listed.text[1].contains("webhook:siem") && listed.text[1].contains("503"));
    assert!(listed.text[1].contains("\\u{1b}"), "{:?}", listed.text);
    let told = server.done(&["audit", "replay", "--sink", "siem", "--id", "e1"]);
    assert_eq!(server.last().line, "POST /api/v1/audit/dead-letters/replay");
    assert_eq!(server.last().body, json!({"sink": "siem", "id": "e1"}));
    assert_eq!(told.text, ["2 dead letters are to be sent again"]);
    server.done(&["audit", "replay", "--sink", "siem"]);
    assert_eq!(server.last().body, json!({"sink": "siem"}));
}
