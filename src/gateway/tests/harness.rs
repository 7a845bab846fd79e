//! A gateway with everything around it, and the oracle: when a test ends, every request that the
//! tool saw must have exactly one earlier ALLOW record that says the same, and nothing else may
//! have reached it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::config::{
    AccessMode, CredentialSource, Encoded, Limits, Rule, ToolConfig, ToolTimeouts, Upstream,
    UpstreamOptions, ValuePart, ValueTemplate,
};
use crate::domain::access::PathPattern;
use crate::domain::hierarchy::RoleHierarchy;
use crate::domain::template::{Approvers, Catalog, Requesters, Step, Template};
use crate::gateway::{Gateway, Moves, Recent, Routes, Shared, Sockets, Speaks, spawn};
use crate::identity::roles::RoleRules;
use crate::telemetry::ids::UserHashes;
use crate::telemetry::metrics::Metrics;

use super::tool::{Seen, Tool};
use super::wire::{Client, Response};
use super::world::{World, ports};

pub struct Harness {
    pub world: Arc<World>,
    pub tool: Tool,
    pub shared: Arc<Shared>,
    pub gateway: Gateway,
    pub drain: watch::Sender<bool>,
    /// Set by tests in which a client breaks off a body that was rightly being forwarded.
    pub partial_is_fine: AtomicBool,
}

pub fn limits() -> Limits {
    Limits {
        // Longer than a busy machine keeps a core from looking at its leases.
        stream_grace: Duration::from_secs(5),
        drain_timeout: Duration::from_secs(5),
        clock_skew: Duration::from_secs(2),
        header_bytes: 8 * 1024,
        header_count: 40,
        header_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(20),
        tunnel_idle: Duration::from_secs(20),
        body_rate: NonZeroU32::new(64),
        concurrent_requests: 100,
        connections_per_client: 1000,
        streams_per_connection: 20,
    }
}

fn moves_of(world: &Arc<World>) -> Moves {
    let world = world.clone();
    Moves::new(move || world.moved.subscribe())
}

impl Harness {
    pub async fn start() -> Self {
        Self::with(limits(), |_| ()).await
    }

    pub async fn with(limits: Limits, change: impl Fn(&mut ToolConfig)) -> Self {
        Self::with_cores(1, limits, change).await
    }

    pub async fn with_cores(
        cores: usize,
        limits: Limits,
        change: impl Fn(&mut ToolConfig),
    ) -> Self {
        Self::holding(1000, cores, limits, change).await
    }

    /// One that holds at most so many connections at once.
    pub async fn holding(
        connections: usize,
        cores: usize,
        limits: Limits,
        change: impl Fn(&mut ToolConfig),
    ) -> Self {
        Self::whole(connections, cores, limits, change, Vec::new()).await
    }

    /// One that listens on so many addresses, and speaks this on them.
    pub async fn speaking(limits: Limits, speak: Vec<Speaks>) -> Self {
        Self::whole(1000, 1, limits, |_| (), speak).await
    }

    async fn whole(
        connections: usize,
        cores: usize,
        limits: Limits,
        change: impl Fn(&mut ToolConfig),
        speak: Vec<Speaks>,
    ) -> Self {
        let tool = Tool::start().await;
        let mut tools = tools(tool.address);
        tools.iter_mut().for_each(&change);
        let tools: Vec<Arc<ToolConfig>> = tools.into_iter().map(Arc::new).collect();
        let world = World::new();
        let metrics = Metrics::unregistered();
        let routes = Routes::open(&tools, &metrics, super::world::START).expect("usable TLS files");
        let shared = Arc::new(Shared {
            routes: Arc::new(ArcSwap::from_pointee(routes)),
            catalog: Arc::new(ArcSwap::from_pointee(catalog())),
            roles: roles(),
            limits,
            connections,
            public_url: "http://api.test".into(),
            instance: "test".into(),
            clock: world.clock.clone(),
            decisions: world.clone(),
            moves: moves_of(&world),
            uses: Arc::new(crate::gateway::Uses::new(cores)),
            recent: Recent::new("test".into(), cores),
            metrics,
            users: Arc::new(UserHashes::new().expect("entropy")),
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let addresses = vec![address; speak.len().max(1)];
        let sockets = Sockets::bind(&addresses, cores).expect("a free port").speaking(speak);
        let (drain, draining) = watch::channel(false);
        let fakes = world.clone();
        let gateway = spawn(sockets, &shared, &draining, move |_core| ports(&fakes));
        let gateway = gateway.expect("it starts");
        Self { world, tool, shared, gateway, drain, partial_is_fine: AtomicBool::new(false) }
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway.addresses()[0]
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address()).await
    }

    /// One request on a connection of its own.
    pub async fn call(&self, request: &str) -> Response {
        self.client().await.call(request).await
    }

    pub async fn get(&self, path: &str) -> Response {
        self.call(&get(path)).await
    }

    /// Bytes as they are; the first response, if one comes.
    pub async fn raw(&self, bytes: &[u8]) -> Option<Response> {
        let mut client = self.client().await;
        client.send(bytes).await;
        client.next().await
    }

    pub fn one_seen(&self) -> Seen {
        let seen = self.tool.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    /// `(allowed, reason)` of the only record.
    pub fn verdict(&self) -> (bool, &'static str) {
        let records = self.world.records();
        assert_eq!(records.len(), 1, "{records:?}");
        (records[0].allowed, records[0].reason)
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.drain.send_replace(true);
        if std::thread::panicking() {
            return;
        }
        let mut records = self.world.records.lock().expect("not poisoned").clone();
        for seen in self.tool.seen() {
            let matching = records.iter().position(|(at, record)| {
                *at <= seen.at && record.allowed && says_the_same(record, &seen)
            });
            let Some(found) = matching else {
                panic!("the tool saw a request without its ALLOW record: {seen:?}\n{records:?}");
            };
            records.remove(found);
        }
        let partial = self.tool.log.partial.lock().expect("not poisoned");
        let fine = self.partial_is_fine.load(Ordering::SeqCst);
        assert!(
            fine || partial.is_empty(),
            "bytes without a request reached the tool: {partial:?}"
        );
    }
}

fn says_the_same(record: &crate::telemetry::decision::DecisionRecord, seen: &Seen) -> bool {
    let host = seen.header("host").unwrap_or_default().to_ascii_lowercase();
    let host = host.split(':').next().unwrap_or_default();
    let path = seen.target().split('?').next().unwrap_or_default();
    let forwarded = record.upstream_path.as_ref().unwrap_or(&record.target);
    let grants: Vec<String> = record.grants.iter().map(ToString::to_string).collect();
    *record.method == *seen.method()
        && *record.host == *host
        && **forwarded == *path
        && record.subject.as_deref() == seen.header("tidegate-subject")
        && grants.join(",") == seen.header("tidegate-grants").unwrap_or_default()
        && seen.all("tidegate-subject").len() <= 1
        && seen.all("tidegate-grants").len() <= 1
}

pub fn get(path: &str) -> String {
    with("GET", path, "")
}

/// A request by alice for the tool `notes`; `extra` are whole header lines.
pub fn with(method: &str, path: &str, extra: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: notes.localhost\r\nAuthorization: Bearer alice\r\n\
         {extra}\r\n"
    )
}

fn rule(methods: &[&str], path: &str, access: AccessMode, action: &str) -> Rule {
    let methods = methods.iter().map(|method| method.parse().expect("a method")).collect();
    Rule {
        methods,
        path: PathPattern::new(path).expect("a pattern"),
        access,
        action: action.into(),
        resource: "tool".into(),
        id: None,
        scope: None,
        default_effect_allow: false,
    }
}

fn roles() -> RoleRules {
    let pairs = [("chief", "admin"), ("admin", "clerk"), ("away", "suspended"), ("away", "clerk")];
    let pairs = pairs.map(|(upper, lower)| (upper.into(), lower.into()));
    let group =
        |name: &str, roles: &[&str]| (name.into(), roles.iter().map(|&role| role.into()).collect());
    RoleRules {
        mapping: [
            group("engineering", &["viewer", "engineer"]),
            group("chiefs", &["chief"]),
            group("vacation", &["away"]),
        ]
        .into(),
        hierarchy: RoleHierarchy::of(&pairs).expect("no cycle"),
    }
}

fn template(part: ValuePart) -> ValueTemplate {
    ValueTemplate(vec![part])
}

fn notes_rules() -> Vec<Rule> {
    let document = |path: &str, id, scope| Rule {
        resource: "document".into(),
        id,
        scope,
        ..rule(&["GET"], path, AccessMode::Policy, "view")
    };
    let path_id = Some(template(ValuePart::Path("doc".into())));
    let query_id = Some(template(ValuePart::Query("id".into())));
    let team = Some(template(ValuePart::Header("x-team".parse().expect("a name"))));
    vec![
        rule(&["GET"], "/healthz", AccessMode::Public, ""),
        rule(&["GET"], "/me", AccessMode::Authenticated, ""),
        rule(&["GET"], "/policy/**", AccessMode::Policy, "read"),
        Rule {
            default_effect_allow: true,
            ..rule(&["GET"], "/default/**", AccessMode::Policy, "read")
        },
        document("/docs/{doc}", path_id, team),
        document("/query", query_id, None),
        rule(&["PURGE"], "/cache", AccessMode::Policy, "purge"),
        rule(&["GET", "HEAD"], "/**", AccessMode::Grant, "read"),
        rule(&["POST", "PUT"], "/**", AccessMode::Grant, "write"),
    ]
}

fn tools(address: SocketAddr) -> Vec<ToolConfig> {
    let notes = ToolConfig {
        name: "notes".into(),
        hosts: vec!["notes.localhost".into()],
        path_prefix: None,
        upstreams: vec![Upstream::Http { host: "127.0.0.1".into(), port: address.port() }],
        upstream: UpstreamOptions::default(),
        encoded: Encoded::Refuse,
        credential: CredentialSource::Bearer,
        forward_credential: false,
        rules: notes_rules(),
        timeouts: ToolTimeouts {
            connect: Duration::from_secs(1),
            response: Duration::from_millis(600),
            idle: Duration::from_secs(30),
        },
    };
    let anything = |access| vec![rule(&[], "/**", access, "read")];
    let ware = ToolConfig {
        name: "ware".into(),
        hosts: Vec::new(),
        path_prefix: Some("/ware/".into()),
        rules: anything(AccessMode::Policy),
        ..notes.clone()
    };
    let deep =
        ToolConfig { name: "deep".into(), path_prefix: Some("/ware/deep/".into()), ..ware.clone() };
    let opaque = ToolConfig {
        name: "opaque".into(),
        hosts: vec!["opaque.localhost".into()],
        encoded: Encoded::Opaque,
        rules: anything(AccessMode::Policy),
        credential: CredentialSource::Cookie("session".into()),
        ..notes.clone()
    };
    let side = ToolConfig {
        name: "side".into(),
        path_prefix: Some("/side/".into()),
        rules: anything(AccessMode::Public),
        credential: CredentialSource::Header("x-token".parse().expect("a name")),
        ..opaque.clone()
    };
    let down = ToolConfig {
        name: "down".into(),
        hosts: vec!["down.localhost".into()],
        // A port that nobody listens on: the discard port below 1024 on loopback.
        upstreams: vec![Upstream::Http { host: "127.0.0.1".into(), port: 9 }],
        rules: anything(AccessMode::Public),
        ..notes.clone()
    };
    vec![notes, ware, deep, opaque, side, down]
}

pub fn catalog() -> Catalog {
    let offer = |name: &str, access: &str, requesters| Template {
        name: name.into(),
        title: format!("The {name}").into(),
        enabled: true,
        scopes: Vec::new(),
        accesses: vec![access.parse().expect("an access")],
        durations: vec![Duration::from_mins(30), Duration::from_hours(1)],
        default_duration: Duration::from_mins(30),
        pending_for: Duration::from_hours(24),
        requesters,
        require_justification: false,
        justification: None,
        fields: Vec::new(),
        steps: vec![Step { approvers: Approvers::Anyone, required: 1 }],
        self_approval: false,
        rules: crate::domain::rules::Rules::default(),
        made: None,
    };
    let engineers = Requesters::Groups(vec!["engineering".into()]);
    let security = Requesters::Groups(vec!["security".into()]);
    let mut off = offer("notes-off", "notes:editor", Requesters::Anyone);
    off.enabled = false;
    let all = [
        offer("notes-operator", "notes:operator", engineers),
        offer("notes-admin", "notes:admin", security),
        offer("other", "ware:operator", Requesters::Anyone),
        off,
    ];
    let named = all.into_iter().map(|template| (template.name.clone(), Arc::new(template)));
    Catalog { templates: named.collect(), ..Catalog::default() }
}
