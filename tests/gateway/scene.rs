//! A gateway for hostile clients: tools with a rule of every access mode, and people who have grants
//! or have none.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::Api;
use crate::harness::client::Client;
use crate::harness::gateway::{Gateway, write_files};
use crate::harness::tokens::{AUDIENCE, ISSUER, Issuer, now};

use super::draft::Fate;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Has one grant for each tool: she may read.
    Alice,
    /// Has two: she may do everything. Her name needs encoding.
    Anna,
    /// Has a token and no grant.
    Mallory,
    /// Is suspended.
    Dave,
    /// Has no token.
    Nobody,
}

impl Who {
    pub const ALL: [Self; 5] = [Self::Alice, Self::Anna, Self::Mallory, Self::Dave, Self::Nobody];

    pub const fn subject(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Anna => "anna, \u{f6}%41",
            Self::Mallory => "mallory",
            Self::Dave => "dave",
            Self::Nobody => "-",
        }
    }

    /// What becomes of a good request to an area of a tool.
    pub fn may(self, area: &str) -> Fate {
        let allowed = match (self, area) {
            (_, "public") | (Self::Anna, _) => true,
            (Self::Alice, area) => area != "write",
            (Self::Mallory, area) => area == "me",
            (Self::Dave, "me") => return Fate::OPEN,
            (Self::Dave | Self::Nobody, _) => false,
        };
        if allowed { Fate::ALLOWED } else { Fate::REFUSED }
    }
}

/// What the families build on.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Hosts, and what comes before a path on them.
    pub places: Vec<(String, &'static str)>,
    tokens: BTreeMap<Who, String>,
}

impl Ground {
    pub fn token(&self, who: Who) -> Option<&str> {
        self.tokens.get(&who).map(String::as_str)
    }

    /// The same people before other tools.
    pub fn at(&self, places: &[(&str, &'static str)]) -> Self {
        let places = places.iter().map(|(host, prefix)| ((*host).to_owned(), *prefix)).collect();
        Self { places, tokens: self.tokens.clone() }
    }
}

pub struct Scene {
    pub folder: tempfile::TempDir,
    pub gateway: Gateway,
    pub ground: Ground,
}

impl Scene {
    /// One tool `NAME.localhost` for each name, `/NAME` under any host too.
    pub fn start(tools: &[(&str, SocketAddr)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let issuer = Issuer::new();
        write_files(folder.path(), &issuer, &configuration(tools));
        let catalog = folder.path().join("catalog/catalog.yaml");
        std::fs::write(catalog, self::catalog(tools)).expect("written");
        let gateway = Gateway::logging(folder.path(), "warn");
        let anna = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": Who::Anna.subject(), "exp": now() + 3600,
            "groups": ["engineering"],
        });
        let tokens = [
            (Who::Alice, issuer.token_of("alice")),
            (Who::Anna, issuer.mint(&anna)),
            (Who::Mallory, issuer.token_of("mallory")),
            (Who::Dave, issuer.token_of("dave")),
        ];
        let ground = Ground { places: Vec::new(), tokens: BTreeMap::from(tokens) };
        let scene = Self { folder, gateway, ground };
        let lead = issuer.token_of("bob");
        scene.grant(Who::Alice, "reader", &lead);
        scene.grant(Who::Anna, "reader", &lead);
        scene.grant(Who::Anna, "writer", &lead);
        scene
    }

    fn grant(&self, who: Who, template: &str, lead: &str) {
        let token = self.ground.token(who).expect("has a token");
        let api = |token: &str| Api { client: Client::new(self.gateway.api), token: token.into() };
        let request = api(token).submit(template);
        let id = request["id"].as_str().expect("an id");
        let answer = api(lead).post(&format!("/requests/{id}/approve"), &json!({}));
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Ends the gateway, so that every record is in the file.
    pub fn stop(&mut self) -> PathBuf {
        self.gateway.stop();
        self.folder.path().join("audit.jsonl")
    }
}

fn configuration(tools: &[(&str, SocketAddr)]) -> String {
    let tools: String = tools.iter().map(|(name, address)| tool(name, *address)).collect();
    format!(
        r"
environment: development
deployment: test
listeners:
  proxy: [{{ address: 127.0.0.1:0 }}]
  api: {{ address: 127.0.0.1:0 }}
  admin: {{ address: 127.0.0.1:0 }}
store:
  embedded: {{ path: ./store }}
  seal_keys: [{{ id: k1, file: ./seal.key }}]
issuers:
  - issuer: {ISSUER}
    jwks_file: ./jwks.json
    audiences: [{AUDIENCE}]
    algorithms: [ES256]
tools:
{tools}
policy: {{ directory: {policies} }}
catalog: {{ directory: ./catalog }}
limits: {{ drain_timeout: 2s, header_timeout: 2s, idle_timeout: 2s }}
audit: {{ sinks: [{{ file: {{ path: ./audit.jsonl }} }}] }}
",
        policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").display(),
    )
}

fn tool(name: &str, address: SocketAddr) -> String {
    format!(
        r#"
  - name: {name}
    hosts: [{name}.localhost]
    path_prefix: /{name}/
    upstreams: ["http://{address}"]
    rules:
      - {{ methods: [GET, HEAD], path: "/public/**", access: public }}
      - {{ methods: [GET], path: "/me/**", access: authenticated }}
      - {{ methods: [GET], path: "/policy/**", access: policy, action: read }}
      - {{ methods: [GET, HEAD], path: "/**", action: read }}
      - {{ methods: [POST], path: "/write/**", action: write }}
"#
    )
}

fn catalog(tools: &[(&str, SocketAddr)]) -> String {
    let accesses = |role: &str| {
        let all: Vec<String> = tools.iter().map(|(name, _)| format!("\"{name}:{role}\"")).collect();
        all.join(", ")
    };
    let template = |name: &str, role: &str| {
        format!(
            "  - name: {name}\n    enabled: true\n    title: The {name}\n    accesses: [{}]\n    \
             durations: [PT1H]\n    steps: [{{ approvers: {{ groups: [leads] }} }}]\n",
            accesses(role)
        )
    };
    format!("templates:\n{}{}", template("reader", "viewer"), template("writer", "operator"))
}
