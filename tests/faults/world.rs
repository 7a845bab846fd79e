//! One real Redis, the proxy in front of it, and gateways that share it: the same seal key, issuer
//! and catalog; each with its own tool and audit file, and so with its own sink oracle.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate::config::SealKey;
use tidegate::domain::ids::{Partition, PartitionCount};
use tidegate::domain::subject::Subject;
use tidegate::store::keys::{self, Key};
use tidegate::store::seal::Sealer;

use crate::harness::client::{Answer, Client};
use crate::harness::gateway::{self, Gateway, binary};
use crate::harness::tokens::{ISSUER, Issuer};
use crate::harness::upstream::Upstream;
use crate::harness::{Api, eventually, oracle};

use super::proxy::Proxy;
use super::resp::Raw;
use super::servers::Server;

/// A refusal takes at most 300 ms and recovery 2 s; where tests run, four times that.
pub const PROMPT: Duration = Duration::from_millis(1_200);
pub const RECOVERY: Duration = Duration::from_secs(8);
pub const PATIENT: &str = "timeout: 2s";
pub const HOST: &str = "warehouse.localhost";

pub struct Node {
    pub folder: tempfile::TempDir,
    pub upstream: Upstream,
    pub gateway: Gateway,
    /// Switched off by tests that kill the gateway: what was in its buffer then is gone.
    pub oracle: bool,
}

pub struct RedisWorld {
    pub nodes: Vec<Node>,
    pub proxy: Proxy,
    pub server: Server,
    pub issuer: Issuer,
    tokens: std::sync::Mutex<std::collections::BTreeMap<String, String>>,
}

impl RedisWorld {
    pub fn start() -> Self {
        Self::on(Server::redis(), 1)
    }

    pub fn gateways(count: usize) -> Self {
        Self::on(Server::redis(), count)
    }

    pub fn on(server: Server, gateways: usize) -> Self {
        let mut world = Self::without_gateways(server);
        for node in 0..gateways {
            world.join(|config| config);
            world.is_ready(node);
        }
        world
    }

    /// With gateways that wait longer for the server: for tests of what they answer, not how soon, so
    /// that a busy machine does not refuse for them.
    pub fn patient(server: Server, gateways: usize) -> Self {
        let mut world = Self::without_gateways(server);
        for node in 0..gateways {
            world.join(beside_url(PATIENT));
            world.is_ready(node);
        }
        world
    }

    pub fn without_gateways(server: Server) -> Self {
        let proxy = Proxy::start(server.address());
        let (issuer, tokens) = (Issuer::new(), std::sync::Mutex::default());
        Self { nodes: Vec::new(), proxy, server, issuer, tokens }
    }

    /// One more gateway, whose configuration `change` may edit first.
    pub fn join(&mut self, change: impl FnOnce(String) -> String) {
        self.join_prepared(change, |_| ());
    }

    /// One more gateway, whose folder `prepare` may add to first.
    pub fn join_prepared(
        &mut self,
        change: impl FnOnce(String) -> String,
        prepare: impl FnOnce(&Path),
    ) {
        let (folder, upstream) = (tempfile::tempdir().expect("a folder"), Upstream::start());
        self.write_files(folder.path(), &upstream, change);
        prepare(folder.path());
        let gateway = Gateway::start(folder.path());
        self.nodes.push(Node { folder, upstream, gateway, oracle: true });
    }

    fn write_files(
        &self,
        folder: &Path,
        upstream: &Upstream,
        change: impl FnOnce(String) -> String,
    ) {
        let url = format!("redis: {{ url: \"redis://{}\" }}", self.proxy.address);
        let usual = gateway::configuration(upstream);
        let config = usual.replace("embedded: { path: ./store }", &url);
        assert_ne!(config, usual, "the store is configured elsewhere");
        gateway::write_files(folder, &self.issuer, &change(config));
    }

    /// Exit code and standard error of a gateway that is not to start.
    pub fn refused_start(
        &self,
        change: impl FnOnce(String) -> String,
        prepare: impl FnOnce(&Path),
    ) -> (Option<i32>, String) {
        let (folder, upstream) = (tempfile::tempdir().expect("a folder"), Upstream::start());
        self.write_files(folder.path(), &upstream, change);
        prepare(folder.path());
        let log = fs::File::create(folder.path().join("log")).expect("a log file");
        let mut child = Command::new(binary())
            .args(["serve", "--config"])
            .arg(folder.path().join("tidegate.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a process");
        let start = Instant::now();
        let status = loop {
            match child.try_wait().expect("a child") {
                Some(status) => break status.code(),
                None if start.elapsed() > Duration::from_secs(10) => {
                    child.kill().expect("a child");
                    child.wait().expect("its end");
                    break None;
                }
                None => std::thread::park_timeout(Duration::from_millis(10)),
            }
        };
        (status, fs::read_to_string(folder.path().join("log")).unwrap_or_default())
    }

    pub fn token(&self, user: &str) -> String {
        let mut tokens = self.tokens.lock().expect("no panic inside");
        tokens.entry(user.to_owned()).or_insert_with(|| self.issuer.token_of(user)).clone()
    }

    pub fn api(&self, node: usize, user: &str) -> Api {
        Api { client: Client::new(self.nodes[node].gateway.api), token: self.token(user) }
    }

    pub fn client(&self, node: usize) -> Client {
        Client::new(self.nodes[node].gateway.proxy)
    }

    /// `GET target` of the tool through gateway `node`, as `user`.
    pub fn get(&self, node: usize, target: &str, user: &str) -> Answer {
        self.client(node).get(HOST, target, Some(&self.token(user)))
    }

    pub fn visit(&self, node: usize, user: &str) -> Answer {
        self.get(node, "/", user)
    }

    pub fn status(&self, node: usize, user: &str) -> u16 {
        self.visit(node, user).status
    }

    /// The same; `None`: the answer was broken off.
    pub fn whole_status(&self, node: usize, user: &str) -> Option<u16> {
        let bearer = format!("Bearer {}", self.token(user));
        let headers = [("authorization", bearer.as_str())];
        self.client(node).try_send("GET", HOST, "/", &headers, b"").ok().map(|it| it.status)
    }

    /// A live grant for `user` through gateway 0. Gives its id.
    pub fn grant(&self, user: &str) -> String {
        self.grant_for(user, &json!({}))
    }

    /// What the approval says beside, like a shorter duration.
    pub fn grant_for(&self, user: &str, approval: &Value) -> String {
        self.grant_of("reader", user, approval)
    }

    pub fn grant_of(&self, template: &str, user: &str, approval: &Value) -> String {
        let request = self.api(0, user).submit(template);
        let id = request["id"].as_str().expect("an id");
        let answer = self.api(0, "bob").post(&format!("/requests/{id}/approve"), approval);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["grants"][0].as_str().expect("a grant").to_owned()
    }

    pub fn revoke(&self, node: usize, grant: &str) -> Answer {
        let path = format!("/grants/{grant}/revoke");
        self.api(node, "bob").post(&path, &json!({ "reason": "over" }))
    }

    pub fn revoked(&self, node: usize, grant: &str) {
        let answer = self.revoke(node, grant);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub fn admin(&self, node: usize, path: &str) -> Answer {
        Client::new(self.nodes[node].gateway.admin).get("admin", path, None)
    }

    /// Why gateway `node` is not ready; empty: it is.
    pub fn reasons(&self, node: usize) -> String {
        let answer = self.admin(node, "/readyz");
        let ready = answer.status == 200;
        assert_eq!(ready, answer.json()["reasons"] == json!([]), "{answer:?}");
        if ready { String::new() } else { answer.text() }
    }

    /// On a busy machine also a healthy server may be late at first.
    pub fn is_ready(&self, node: usize) {
        eventually("the gateway to be ready", Duration::from_secs(20), || {
            self.reasons(node).is_empty().then_some(())
        });
    }

    /// The sum over all counters of gateway `node` that begin with `name`.
    pub fn metric(&self, node: usize, name: &str) -> u64 {
        self.values(node, name).iter().map(|value| value.parse::<u64>().expect("a count")).sum()
    }

    pub fn gauge(&self, node: usize, name: &str) -> f64 {
        let values = self.values(node, name);
        values.first().expect("a value").parse().expect("a number")
    }

    fn values(&self, node: usize, name: &str) -> Vec<String> {
        let text = self.admin(node, "/metrics").text();
        let of_name = text.lines().filter(|line| line.starts_with(name));
        let value = |line: &str| line.split(" # ").next()?.rsplit(' ').next().map(str::to_owned);
        of_name.filter_map(value).collect()
    }

    pub fn store_errors(&self, node: usize) -> u64 {
        self.metric(node, "tidegate_store_errors_total")
    }

    /// How often a record was found that cannot be trusted.
    pub fn invalid_records(&self, node: usize) -> u64 {
        self.metric(node, "tidegate_store_errors_total{kind=\"grant-record-invalid\"}")
    }

    /// Raw commands, past the proxy.
    pub fn redis(&self) -> Raw {
        Raw::connect(self.server.address()).expect("the server")
    }

    /// Until everything is as it should be: `user` is let in everywhere and all are ready. Gives how
    /// long that took.
    pub fn recovers(&self, user: &str) -> Duration {
        let start = Instant::now();
        for node in 0..self.nodes.len() {
            self.settles(node, user, 200);
            eventually("the gateway to be ready", RECOVERY, || {
                self.reasons(node).is_empty().then_some(())
            });
        }
        start.elapsed()
    }

    /// Until every core of gateway `node` answers `user` with `status`: each new connection may
    /// come to another one.
    pub fn settles(&self, node: usize, user: &str, status: u16) {
        eventually("every core to answer so", RECOVERY, || {
            (0..16).all(|_| self.status(node, user) == status).then_some(())
        });
    }

    pub fn logs(&self) -> String {
        let logs = self.nodes.iter().map(|node| node.gateway.log());
        logs.collect::<Vec<_>>().join("\n--- next gateway ---\n")
    }
}

impl Drop for RedisWorld {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- gateways ---\n{}\n--- redis ---\n{}", self.logs(), self.server.log());
            return;
        }
        self.proxy.heal();
        for node in &mut self.nodes {
            node.gateway.stop();
            if node.oracle {
                oracle::check(&node.upstream.seen(), &node.folder.path().join("audit.jsonl"));
            }
        }
    }
}

/// For [`RedisWorld::join`]: more keys beside `url`.
pub fn beside_url(keys: &str) -> impl FnOnce(String) -> String + use<'_> {
    move |config| config.replacen("\" }\n  seal_keys", &format!("\", {keys} }}\n  seal_keys"), 1)
}

/// For [`RedisWorld::join`]: what stands under `redis`, instead of the address of the proxy.
pub fn instead_of_url(keys: &str) -> impl FnOnce(String) -> String + use<'_> {
    move |config| {
        let (before, rest) = config.split_once("redis: { url").expect("the store");
        let (_, after) = rest.split_once(" }\n  seal_keys").expect("its end");
        format!("{before}redis: {{ {keys} }}\n  seal_keys{after}")
    }
}

pub fn subject(user: &str) -> Subject {
    Subject::new(ISSUER, user)
}

pub fn partition(user: &str) -> Partition {
    subject(user).key().partition(PartitionCount::DEFAULT)
}

pub fn live_key(user: &str) -> Key {
    keys::live(partition(user), subject(user).key())
}

/// Names of `count` users, each in a partition of their own, none in one of `apart`.
pub fn users_apart(count: usize, apart: &[&str]) -> Vec<String> {
    let mut taken: Vec<Partition> = apart.iter().map(|user| partition(user)).collect();
    let names = (0..).map(|number| format!("user-{number}")).filter(|name| {
        let partition = partition(name);
        let free = !taken.contains(&partition);
        taken.push(partition);
        free
    });
    names.take(count).collect()
}

/// `count` other users of the same partition.
pub fn neighbours(user: &str, count: usize) -> Vec<String> {
    let names = (0..).map(|number| format!("neighbour-{number}"));
    names.filter(|name| partition(name) == partition(user)).take(count).collect()
}

/// The key of every gateway of these tests (`seal.key`).
pub fn sealer() -> Sealer {
    Sealer::new(&[SealKey { id: "k1".into(), bytes: [7; 32].into() }]).expect("usable")
}
