//! A whole Tidegate for a test: the real binary, real tokens, a tool that records what reaches it.
//!
//! Every test runs under the sink oracle: when the [`World`] is dropped, each request that the tool
//! saw must have exactly one earlier ALLOW record, and nothing else may have reached it.

pub mod client;
pub mod gateway;
pub mod oracle;
pub mod tokens;
pub mod upstream;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use client::{Answer, Client};
use gateway::Gateway;
use tokens::Issuer;
use upstream::Upstream;

/// How much larger the full run is than the one of every change (`scripts/bench` sets it).
pub fn scale(small: usize, full: usize) -> usize {
    if std::env::var_os("TIDEGATE_FULL").is_some() { full } else { small }
}

/// Waits until `done` gives something, at most `limit`. For conditions, never for luck.
pub fn eventually<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub issuer: Issuer,
    pub upstream: Upstream,
    pub gateway: Gateway,
    /// Switched off by tests that kill the gateway: what was in its buffer then is gone.
    pub oracle: bool,
}

impl World {
    pub fn start() -> Self {
        Self::with(|config| config)
    }

    /// A world whose configuration `change` may edit first.
    pub fn with(change: impl FnOnce(String) -> String) -> Self {
        Self::logging("info", change)
    }

    /// A world whose gateway logs what `filter` lets through.
    pub fn logging(filter: &str, change: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (issuer, upstream) = (Issuer::new(), Upstream::start());
        let config = change(gateway::configuration(&upstream));
        gateway::write_files(folder.path(), &issuer, &config);
        let gateway = Gateway::logging(folder.path(), filter);
        Self { folder, issuer, upstream, gateway, oracle: true }
    }

    pub fn audit_file(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    pub fn token(&self, user: &str) -> String {
        self.issuer.token_of(user)
    }

    pub fn api(&self, user: &str) -> Api {
        Api { client: Client::new(self.gateway.api), token: self.token(user) }
    }

    /// `GET` of the admin listener, whose answer is JSON.
    pub fn admin(&self, path: &str) -> Value {
        let answer = Client::new(self.gateway.admin).get("localhost", path, None);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub fn proxy(&self) -> Client {
        Client::new(self.gateway.proxy)
    }

    /// `GET /` of the tool, as `user`.
    pub fn visit(&self, user: &str) -> Answer {
        self.proxy().get("warehouse.localhost", "/", Some(&self.token(user)))
    }

    /// A live grant for `alice`: asked for, approved by `bob`. Gives the request.
    pub fn grant(&self, user: &str) -> Value {
        let request = self.api(user).submit("reader");
        let id = request["id"].as_str().expect("an id");
        let answer = self.api("bob").post(&format!("/requests/{id}/approve"), &json!({}));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- gateway ---\n{}", self.gateway.log());
            return;
        }
        self.gateway.stop();
        if self.oracle {
            oracle::check(&self.upstream.seen(), &self.audit_file());
        }
    }
}

/// The approval API as one person.
pub struct Api {
    pub client: Client,
    pub token: String,
}

impl Api {
    pub fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, None)
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body))
    }

    pub fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let body = body.map(ToString::to_string).unwrap_or_default();
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let target = format!("/api/v1{path}");
        self.client.send(method, "api.localhost", &target, &headers, body.as_bytes())
    }

    /// Asks for `template` with its defaults.
    pub fn submit(&mut self, template: &str) -> Value {
        let body = json!({ "template": template, "justification": "INC-1 disk is full" });
        let answer = self.post("/requests", &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }
}
