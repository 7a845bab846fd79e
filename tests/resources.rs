//! Attributes of resources through the real binary: a static map, a real Redis, an HTTP server; what
//! they say decides, and what they cannot say refuses.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::faults::servers::Server;
use crate::harness::World;
use crate::harness::client::Answer;

const POLICY: &str = r#"
apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: document
  version: default
  importDerivedRoles: [suspension]
  rules:
    - { actions: ["*"], effect: EFFECT_DENY, derivedRoles: [suspended] }
    - actions: [view]
      effect: EFFECT_ALLOW
      roles: [user]
      condition: { match: { expr: R.attr.owner == P.id && R.attr.tool == "warehouse" } }
    - { actions: [view], effect: EFFECT_ALLOW, roles: [reviewer] }
"#;

/// Another file: one holds one document.
const SCOPED: &str = r#"
apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: document
  version: default
  scope: team-a
  importDerivedRoles: [suspension]
  rules:
    - { actions: ["*"], effect: EFFECT_DENY, derivedRoles: [suspended] }
"#;

/// `/documents/KEY` of a server that says what stands in `documents`.
struct Documents {
    address: SocketAddr,
    answers: Arc<Mutex<Vec<(String, String)>>>,
}

impl Documents {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let answers: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let known = answers.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let target = read_target(&mut stream);
                let known = known.lock().expect("not poisoned");
                let body = known.iter().find(|(key, _)| target == format!("/documents/{key}"));
                let (status, body) =
                    body.map_or(("404 Not Found", ""), |(_, body)| ("200 OK", body));
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { address, answers }
    }

    fn has(&self, key: &str, body: &str) {
        self.answers.lock().expect("not poisoned").push((key.to_owned(), body.to_owned()));
    }
}

fn read_target(stream: &mut std::net::TcpStream) -> String {
    use std::io::{BufRead, BufReader};

    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    lines.find(String::is_empty);
    first.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// With the folder of its policies.
fn world(policy: &str) -> (World, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let policies = folder.path().join("policies");
    fs::create_dir(&policies).expect("a folder");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for name in
        ["suspended.yaml", "tool.yaml", "access_request.yaml", "template.yaml", "grant.yaml"]
    {
        fs::copy(shipped.join(name), policies.join(name)).expect("copied");
    }
    fs::write(policies.join("document.yaml"), POLICY.trim_start()).expect("written");
    fs::write(policies.join("document_team_a.yaml"), SCOPED.trim_start()).expect("written");
    let policy = format!("policy:\n  directory: {}\n{policy}", policies.display());
    let rule = "      - { methods: [GET], path: \"/docs/{doc}\", access: policy, action: view, resource: document, id: \"{path.doc}\", scope: \"{header.x-team}\", default_effect: allow }\n      - { methods: [GET], path: \"/find\", access: policy, action: view, resource: document, id: \"{query.id}\" }\n      - { methods: [GET], path: \"/me\"";
    let world = World::with(|config| {
        let line =
            config.lines().find(|line| line.starts_with("policy:")).expect("a line").to_owned();
        config.replace(&line, &policy).replace("      - { methods: [GET], path: \"/me\"", rule)
    });
    (world, folder)
}

fn find(world: &World, user: &str, id: &str) -> Answer {
    world.proxy().get("warehouse.localhost", &format!("/find?id={id}"), Some(&world.token(user)))
}

fn verdict(answer: &Answer) -> (u16, String) {
    (answer.status, if answer.status == 200 { String::new() } else { answer.problem() })
}

#[test]
fn attributes_decide_in_the_order_of_their_sources_and_a_broken_source_refuses() {
    let (mut redis, documents) = (Server::redis(), Documents::start());
    let (world, _policies) = world(&format!(
        r#"  providers:
    - resource: document
      sources:
        - static: {{ fixed: {{ owner: alice }} }}
        - redis: {{ url: "redis://{redis}", key: "doc:{{key}}", timeout: 5s }}
        - http: {{ url: "http://{http}/documents/{{key}}", timeout: 5s }}
      validate:
        - {{ require: "!has(R.attr.deleted_at)", otherwise: not-found }}
        - {{ require: "!has(R.attr.state) || R.attr.state != 'archived'", otherwise: denied, message: the document is archived }}
"#,
        redis = redis.address(),
        http = documents.address,
    ));
    redis.ask(&["HSET", "doc:r", "owner", "alice", "tool", "forged"]);
    redis.ask(&["HSET", "doc:fixed", "owner", "mallory"]);
    redis.ask(&["HSET", "doc:gone", "owner", "alice", "deleted_at", "1"]);
    redis.ask(&["HSET", "doc:old", "owner", "alice", "state", "archived"]);
    redis.ask(&["SET", "doc:text", "alice"]);
    documents.has("a%2Fb%20%C3%BC", r#"{"owner": "alice"}"#);
    documents.has("list", "[]");
    let denied = (403, "policy-denied".to_owned());
    let unreachable = (503, "policy-unreachable".to_owned());
    for (id, expected) in [
        ("fixed", (200, String::new())),
        ("r", (200, String::new())),
        ("a%2Fb%20%C3%BC", (200, String::new())),
        ("none", (404, "not-found".to_owned())),
        ("gone", (404, "not-found".to_owned())),
        ("old", denied.clone()),
        ("text", unreachable.clone()),
        ("list", unreachable.clone()),
        ("..", (404, "not-found".to_owned())),
        ("x%0D%0Ay", (400, "bad-request".to_owned())),
    ] {
        assert_eq!(verdict(&find(&world, "alice", id)), expected, "{id}");
    }
    assert!(find(&world, "alice", "old").text().contains("the document is archived"));
    // Somebody else's.
    assert_eq!(verdict(&find(&world, "bob", "r")), denied);
    redis.kill();
    assert_eq!(verdict(&find(&world, "alice", "r")), unreachable);
    assert_eq!(verdict(&find(&world, "alice", "a%2Fb%20%C3%BC")), unreachable);
    assert_eq!(verdict(&find(&world, "alice", "fixed")), (200, String::new()));
    let metrics = crate::metrics::scrape(&world);
    for line in [
        "tidegate_provider_requests_total{provider_kind=\"static\",outcome=\"found\"} 2\n",
        "tidegate_provider_requests_total{provider_kind=\"redis\",outcome=\"unreachable\"} 3\n",
        "tidegate_provider_requests_total{provider_kind=\"http\",outcome=\"unreachable\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
}

#[test]
fn a_resource_of_another_scope_is_denied_and_a_role_reaches_it_through_groups_and_hierarchy() {
    let (world, _policies) = world(
        r#"  role_mapping: { security: [chief], leads: [away] }
  role_hierarchy: ["chief > reviewer", "away > reviewer", "away > suspended"]
  providers:
    - resource: document
      sources:
        - static:
            mine: { owner: alice, scope: team-a }
            theirs: { owner: alice, scope: team-b }
            plain: { owner: nobody }
"#,
    );
    let view = |user: &str, id: &str, team: &str| {
        let bearer = format!("Bearer {}", world.token(user));
        let headers = [("authorization", bearer.as_str()), ("x-team", team)];
        world.proxy().send("GET", "warehouse.localhost", &format!("/docs/{id}"), &headers, b"")
    };
    assert_eq!(view("alice", "mine", "team-a").status, 200);
    for (id, team) in [("theirs", "team-a"), ("mine", "team-b"), ("mine", "TEAM-A")] {
        let answer = view("alice", id, team);
        assert_eq!(verdict(&answer), (403, "policy-denied".to_owned()), "{id} {team}");
        assert!(answer.text().contains("the document belongs to another scope"), "{id} {team}");
    }
    assert_eq!(view("alice", "doc%2d1", "team-a").problem(), "bad-request");
    assert_eq!(view("alice", "none", "team-a").problem(), "not-found");
    // carol is in the group security, bob leads.
    assert_eq!(find(&world, "alice", "plain").status, 403);
    assert_eq!(find(&world, "carol", "plain").status, 200);
    let suspended = find(&world, "bob", "plain");
    assert_eq!(verdict(&suspended), (403, "policy-denied".to_owned()));
    assert!(suspended.text().contains("explicitly denied by role 'suspended'"), "{suspended:?}");
}
