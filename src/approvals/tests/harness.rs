use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

use super::super::ports::*;
use super::super::{Api, SharedApi, router::router, turns::Turns};
use crate::catalog::Shelf;
use crate::clock::ManualClock;
use crate::config::{AccessMode, SealKey};
use crate::domain::hierarchy::RoleHierarchy;
use crate::domain::ids::PartitionCount;
use crate::domain::made::MadeTemplates;
use crate::domain::subject::{Person, Subject};
use crate::domain::template::*;
use crate::domain::time::Timestamp;
use crate::explain::{Explain, Explanation, Known, RefusedShown, WhoseRefusals};
use crate::identity::Identity;
use crate::identity::roles::RoleRules;
use crate::policy::{Attributes, Decision, Query, Reason};
use crate::problem::ProblemCode;
use crate::store::SharedStore;
use crate::store::embedded::Embedded;
use crate::telemetry::decision::DecisionIds;
use crate::telemetry::ids::UserHashes;
use crate::telemetry::metrics::Metrics;

const ISSUER: &str = "https://idp.test";
pub const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// The API of one test, with a clock and a policy engine in its hand.
pub struct World {
    pub api: SharedApi,
    pub clock: Arc<ManualClock>,
    pub policy: Arc<Policy>,
    router: Router,
    _directory: tempfile::TempDir,
}

#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Reply {
    /// Status and code of a refusal; checks what every refusal has.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        assert_eq!(self.body["status"], self.status.as_u16());
        assert_eq!(
            self.body["decision_id"],
            self.headers["tidegate-decision-id"].to_str().unwrap()
        );
        assert!(self.headers["link"].to_str().unwrap().contains("rel=\"help\""));
        let kind = self.body["type"].as_str().expect("a type");
        (self.status.as_u16(), kind.trim_start_matches("urn:tidegate:problem:").to_owned())
    }

    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().expect("errors");
        errors.iter().filter_map(|error| error["pointer"].as_str()).collect()
    }

    pub fn id(&self) -> String {
        assert!(self.status.is_success(), "{}", self.text);
        self.body["id"].as_str().expect("an id").to_owned()
    }
}

/// `alice` and `dave` ask, `bob` and `carol` decide, `erin` audits, `root` administers, `mia` only
/// makes templates.
struct Tokens;

fn roles(name: &str) -> Vec<Arc<str>> {
    match name {
        "bob" | "carol" => vec!["approver".into()],
        "erin" => vec!["auditor".into()],
        "root" => vec!["admin".into()],
        "mia" => vec!["maker".into()],
        name if name.starts_with("lead") => vec!["approver".into()],
        _ => Vec::new(),
    }
}

fn groups(name: &str) -> Vec<Arc<str>> {
    match name {
        "carol" => vec!["security".into()],
        "bob" => vec!["on-call-leads".into()],
        name if name.starts_with("lead") => vec!["on-call-leads".into()],
        _ => vec!["engineering".into()],
    }
}

impl Authenticate for Tokens {
    fn authenticate<'a>(
        &'a self,
        headers: &'a HeaderMap,
        now: Timestamp,
    ) -> Boxed<'a, Result<Arc<Identity>, Unauthenticated>> {
        Box::pin(async move {
            let refused = Unauthenticated {
                code: ProblemCode::NoCredential,
                detail: "no token".into(),
                challenge: "Bearer error=\"invalid_request\"".into(),
            };
            let sent = headers.get("authorization").and_then(|value| value.to_str().ok());
            let name = sent.and_then(|sent| sent.strip_prefix("Bearer ")).ok_or(refused)?;
            let person = Person {
                email: Some(format!("{}@example.test", name.trim_end_matches("-too")).into()),
                groups: groups(name),
                ..Person::named(Subject::new(ISSUER, name))
            };
            Ok(Arc::new(Identity {
                key: person.subject.key(),
                person,
                roles: roles(name),
                claims: Arc::new(Attributes::new()),
                expires_at: now.plus(Duration::from_hours(1)),
                proof: crate::identity::Proof::default(),
                prepared: crate::identity::Prepared::default(),
            }))
        })
    }
}

/// What the shipped policies say, as a table.
#[derive(Default)]
pub struct Policy {
    pub down: AtomicBool,
    pub deny: AtomicBool,
    /// About tools it never comes to an end.
    pub hangs: AtomicBool,
}

impl Decide for Policy {
    fn decide<'a>(&'a self, query: &'a Query<'a>) -> Boxed<'a, Vec<Decision>> {
        let decide = |action: &&str| {
            if self.down.load(Ordering::SeqCst) {
                return Decision::unreachable("down");
            }
            let roles = query.principal.roles;
            let any_of = |wanted: &[&str]| roles.iter().any(|role| wanted.contains(role));
            let allowed = match (query.resource.kind, *action) {
                (_, "list_any" | "read_any") => any_of(&["approver", "auditor", "admin"]),
                (_, "approve" | "deny" | "revoke" | "review") => any_of(&["approver", "admin"]),
                (
                    _,
                    "revoke_any" | "review_any" | "kill_switch" | "create_on_behalf" | "replay",
                )
                | ("template", "update" | "delete") => any_of(&["admin"]),
                ("template", "create") => any_of(&["admin", "maker"]),
                ("tool", action) => {
                    action == "view"
                        && roles == ["user", "operator"]
                        && query.principal.id == "alice"
                }
                ("audit", "explain") => any_of(&["user"]),
                ("audit", _) => any_of(&["auditor"]),
                _ => any_of(&["user"]),
            } && !self.deny.load(Ordering::SeqCst);
            let reason = if allowed { Reason::Allowed } else { Reason::Denied };
            Decision::plain(allowed, reason, "resource.test.vdefault", "no rule matches")
        };
        if self.hangs.load(Ordering::SeqCst) && query.resource.kind == "tool" {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(query.actions.iter().map(decide).collect()))
    }
}

/// `other-...` was made elsewhere, `alices` is alice's, `nobodys` nobody's; that of `untold`
/// cannot be worked out.
struct Nothing;

impl Explain for Nothing {
    fn explain(&self, id: &str) -> Known<'_> {
        let about = match id {
            "alices" | "untold" => Some(Subject::new(ISSUER, "alice")),
            "nobodys" => None,
            other => {
                return other
                    .strip_prefix("other-")
                    .map_or(Known::Unknown, |_| Known::Elsewhere { instance: "other".into() });
            }
        };
        let id = id.to_owned();
        Known::Here(Box::new(move || told(id)), about)
    }

    fn refusals(&self, whose: &WhoseRefusals<'_>) -> Vec<RefusedShown> {
        let refused = RefusedShown {
            at: crate::domain::iso8601::time(whose.since),
            tool: whose.tools[0].to_string(),
            method: "DELETE".to_owned(),
            path: format!("/of/{}", whose.subject.name),
            reason: "no-grant".to_owned(),
        };
        vec![refused]
    }
}

fn told(id: String) -> Explanation {
    assert_ne!(id, "untold", "nobody may read this");
    Explanation { id, ..Explanation::default() }
}

struct OneIssuer;

impl ResolveSubject for OneIssuer {
    fn resolve(&self, name: &str) -> Option<Subject> {
        (!name.is_empty()).then(|| Subject::new(ISSUER, name))
    }
}

pub fn step(groups: &[&str], required: u32) -> Step {
    let groups = groups.iter().map(|group| (*group).into()).collect();
    Step { approvers: Approvers::Groups(groups), required }
}

pub fn template(name: &str, steps: Vec<Step>) -> Template {
    let hour = Duration::from_hours(1);
    Template {
        name: name.into(),
        title: name.into(),
        enabled: true,
        scopes: Vec::new(),
        accesses: vec![format!("{name}:operator").parse().expect("an access")],
        durations: vec![hour / 2, hour],
        default_duration: hour,
        pending_for: hour * 24,
        requesters: Requesters::Groups(vec!["engineering".into()]),
        require_justification: true,
        justification: None,
        fields: vec![Field {
            name: "ticket".into(),
            required: false,
            kind: FieldKind::Text { max: 10 },
        }],
        steps,
        self_approval: false,
        rules: crate::domain::rules::Rules::default(),
        made: None,
    }
}

fn catalog() -> Catalog {
    let hidden = Template { enabled: false, ..template("hidden", vec![step(&["security"], 1)]) };
    let scoped = Template {
        scopes: vec!["team-a".into()],
        ..template("scoped", vec![step(&["security"], 1)])
    };
    let closed = Template {
        requesters: Requesters::Groups(vec!["surgeons".into()]),
        ..template("closed", vec![step(&["security"], 1)])
    };
    let all = [
        template("notes", vec![step(&["on-call-leads"], 1)]),
        template("vault", vec![step(&["on-call-leads"], 1), step(&["security"], 1)]),
        template("pair", vec![step(&["on-call-leads"], 2)]),
        hidden,
        scoped,
        closed,
    ];
    let templates = all.into_iter().map(|t| (t.name.clone(), Arc::new(t)));
    Catalog { templates: templates.collect(), ..Catalog::default() }
}

/// The rules of `notes`.
fn rules() -> Vec<ToolRule> {
    let rule = |methods: &[&str], path: &str, access, action: &str| ToolRule {
        methods: methods.iter().map(|&method| method.into()).collect(),
        path: path.into(),
        access,
        action: action.into(),
        kind: "tool".into(),
        id: "notes".into(),
        scope: Arc::default(),
        default_effect_allow: false,
    };
    vec![
        rule(&[], "/healthz", AccessMode::Public, ""),
        rule(&["GET", "HEAD"], "/**", AccessMode::Grant, "view"),
        rule(&["DELETE"], "/**", AccessMode::Grant, "destroy"),
    ]
}

pub fn api(store: SharedStore, clock: Arc<ManualClock>, policy: Arc<Policy>) -> SharedApi {
    let shelf =
        Shelf::new(catalog(), vec!["notes".into(), "vault".into()], RoleHierarchy::default());
    Arc::new(Api {
        store,
        catalog: shelf.in_use(),
        shelf: Arc::new(shelf),
        shelf_reads: tokio::sync::Mutex::default(),
        clock,
        metrics: Metrics::unregistered(),
        users: Arc::new(UserHashes::new().expect("entropy")),
        authenticate: Arc::new(Tokens),
        decide: policy,
        subjects: Arc::new(OneIssuer),
        tools: Arc::new([("notes".into(), rules())].into()),
        roles: RoleRules::default(),
        decision_ids: Arc::new(DecisionIds::new("test").expect("entropy")),
        explain: Arc::new(Nothing),
        refusals: crate::approvals::refusals::Refusals::default(),
        people: Arc::default(),
        turns: Turns::default(),
        source: "/tidegate/test".into(),
        webhooks: ["webhook:siem".into(), "webhook:other".into()].into(),
        public_url: "http://api.test".into(),
    })
}

impl World {
    pub fn new() -> Self {
        Self::on(|store| store)
    }

    /// On what `wrap` makes of the embedded store.
    pub fn on(wrap: impl FnOnce(SharedStore) -> SharedStore) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = ManualClock::at(START);
        let keys = [SealKey { id: "k1".into(), bytes: vec![7; 32].into() }];
        let store = Embedded::open(directory.path(), &keys, PartitionCount::DEFAULT, clock.clone());
        let policy = Arc::new(Policy::default());
        let api = api(wrap(store.expect("a store").store()), clock.clone(), policy.clone());
        // Nothing was made over the API, and that is known.
        api.shelf.put_made(MadeTemplates::default());
        let router = router(api.clone());
        Self { api, clock, policy, router, _directory: directory }
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let service = TowerToHyperService::new(self.router.clone());
        let response = service.call(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Reply { status: head.status, headers: head.headers, body, text }
    }

    pub async fn call(
        &self,
        who: &str,
        line: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let (method, path) = line.split_once(' ').expect("METHOD /path");
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        request = request.header("authorization", format!("Bearer {who}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            None => Body::empty(),
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        self.send(request.body(body).expect("a request")).await
    }

    pub async fn get(&self, who: &str, path: &str) -> Reply {
        self.call(who, &format!("GET {path}"), None, &[]).await
    }

    pub async fn post(&self, who: &str, path: &str, body: Value) -> Reply {
        self.call(who, &format!("POST {path}"), Some(body), &[]).await
    }

    pub async fn ask(&self, who: &str, template: &str) -> Reply {
        let body = json!({ "template": template, "duration": "PT1H", "justification": "INC-1" });
        self.post(who, "/requests", body).await
    }

    pub async fn approve(&self, who: &str, id: &str) -> Reply {
        self.post(who, &format!("/requests/{id}/approve"), json!({})).await
    }

    /// A request for `notes` that bob approved: ids of request and grant.
    pub async fn granted(&self, who: &str) -> (String, String) {
        let id = self.ask(who, "notes").await.id();
        let approved = self.approve("bob", &id).await;
        assert_eq!(approved.status, 200, "{}", approved.text);
        (id, approved.body["grants"][0].as_str().expect("a grant").to_owned())
    }
}
