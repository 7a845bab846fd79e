//! Who hears of what, end to end: the real binary on either store, and real endpoints that it calls.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::faults::PATIENT;
use crate::faults::servers::Server;
use crate::harness::gateway::Gateway;
use crate::harness::{World, eventually};

/// Every test of a file, on the embedded store and on a real Redis.
macro_rules! on_both_stores {
    ($($test:ident),* $(,)?) => {
        mod on_the_embedded_store {
            $(#[test] fn $test() { super::$test(crate::notices::Kept::Embedded); })*
        }
        mod on_redis {
            $(#[test] fn $test() { super::$test(crate::notices::Kept::Redis); })*
        }
    };
}

mod broken;
mod choosing;
mod crashes;
mod receiver;
mod telling;

use receiver::{Call, Receiver};

const SECRET: [u8; 32] = [7; 32];
/// `SECRET`, as a configuration has it.
const SECRET_TEXT: &str = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
/// Pauses between tries grow, and are drawn.
const SOON: Duration = Duration::from_secs(60);

/// Where everything is kept.
#[derive(Clone, Copy, Debug)]
pub enum Kept {
    Embedded,
    Redis,
}

/// An endpoint of the configuration.
pub struct Hook<'a> {
    pub name: &'a str,
    pub port: u16,
    pub timeout: &'a str,
}

impl<'a> Hook<'a> {
    pub fn to(name: &'a str, receiver: &Receiver) -> Self {
        Self { name, port: receiver.address.port(), timeout: "30s" }
    }
}

/// Leaders and security as their tokens say it, and a crowd that only the directory knows.
const DIRECTORY: &str = "{ groups: { leads: [{ name: bea, email: bea@example.test }, ben, bob], \
    security: [carol], crowd: [c1, c2, c3, c4, c5, c6, c7, c8] } }";

pub struct Scene {
    pub world: World,
    _catalog: TempDir,
    _server: Option<Server>,
}

impl Scene {
    /// A gateway with the templates and the endpoints.
    pub fn start(kept: Kept, templates: &Value, hooks: &[Hook<'_>]) -> Self {
        let server = match kept {
            Kept::Embedded => None,
            Kept::Redis => Some(Server::redis()),
        };
        let catalog = tempfile::tempdir().expect("a folder");
        let text = json!({ "templates": templates }).to_string();
        fs::write(catalog.path().join("all.yaml"), text).expect("written");
        let world = World::with(|config| {
            let folder = format!("catalog: {{ directory: {} }}", catalog.path().display());
            let mut config = replaced(&config, "catalog: { directory: ./catalog }", &folder);
            if let Some(server) = &server {
                let url = format!("redis: {{ url: \"redis://{}\", {PATIENT} }}", server.address());
                config = replaced(&config, "embedded: { path: ./store }", &url);
            }
            let file = "{ file: { path: ./audit.jsonl } }";
            let sinks: Vec<String> = hooks.iter().map(sink).collect();
            let all = [vec![file.to_owned()], sinks].concat().join(", ");
            format!("{}directory: {DIRECTORY}\n", replaced(&config, file, &all))
        });
        let scene = Self { world, _catalog: catalog, _server: server };
        scene.is_ready();
        scene
    }

    /// SIGKILL, and another process with the same store.
    pub fn restart(&mut self) {
        self.world.gateway.kill();
        self.world.gateway = Gateway::start(self.world.folder.path());
        self.is_ready();
    }

    fn is_ready(&self) {
        eventually("the gateway to be ready", Duration::from_secs(20), || {
            let mut admin = crate::harness::client::Client::new(self.world.gateway.admin);
            (admin.get("admin", "/readyz", None).status == 200).then_some(())
        });
    }

    /// The id of a request of `user`.
    pub fn ask(&self, user: &str, template: &str) -> String {
        let request = self.world.api(user).submit(template);
        request["id"].as_str().expect("an id").to_owned()
    }

    /// The answer to what `user` does with a request or grant.
    pub fn act(&self, user: &str, path: &str, body: &Value) -> Value {
        let answer = self.world.api(user).post(path, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// How often a sink's calls went so.
    pub fn calls(&self, sink: &str, outcome: &str) -> u64 {
        let mut admin = crate::harness::client::Client::new(self.world.gateway.admin);
        let text = admin.get("admin", "/metrics", None).text();
        let is_it = |line: &&str| {
            line.starts_with("tidegate_webhook_calls_total{")
                && line.contains(&format!("sink=\"webhook:{sink}\""))
                && line.contains(&format!("outcome=\"{outcome}\""))
        };
        let value = text.lines().find(is_it).and_then(|line| line.rsplit(' ').next());
        value.map_or(0, |value| value.parse().expect("a count"))
    }
}

fn replaced(config: &str, old: &str, new: &str) -> String {
    assert!(config.contains(old), "the configuration has no {old}");
    config.replace(old, new)
}

fn sink(hook: &Hook<'_>) -> String {
    let Hook { name, port, timeout } = hook;
    format!(
        "{{ webhook: {{ name: {name}, url: \"http://127.0.0.1:{port}/in\", secret: \"{SECRET_TEXT}\", \
         timeout: {timeout} }} }}"
    )
}

/// The first call that tells of `kind` and `resource`, when it has come. It is what it claims to be.
pub fn told(receiver: &Receiver, kind: &str, resource: &str) -> Call {
    let call = eventually(&format!("{kind} of {resource}"), SOON, || {
        let of = |call: &Call| call.kind() == kind && call.text("subject") == resource;
        receiver.calls().into_iter().find(of)
    });
    is_genuine(&call);
    call
}

/// Signed by the configured secret over exactly this body, and one `CloudEvents` event.
pub fn is_genuine(call: &Call) {
    assert!(call.is_signed_by(&SECRET) && !call.is_signed_by(&[8; 32]), "{call:?}");
    assert_eq!(call.header("content-type"), "application/cloudevents+json");
    assert_eq!((call.text("specversion"), call.text("id")), ("1.0", call.id()));
    let mut forged = call.clone();
    forged.body.push(b' ');
    assert!(!forged.is_signed_by(&SECRET), "the body is signed");
}

/// The names that a call is for. Its link only opens the request.
pub fn recipients(call: &Call) -> BTreeSet<String> {
    let notice = &call.event["data"]["notice"];
    let link = notice["link"].as_str().expect("a link");
    let opens = link.rsplit_once("/api/v1/requests/req_").map(|(_, id)| !id.contains('/'));
    assert_eq!(opens, Some(true), "{link}");
    let name = |it: &Value| it["name"].as_str().expect("a name").to_owned();
    notice["recipients"].as_array().expect("recipients").iter().map(name).collect()
}

pub fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|&name| name.to_owned()).collect()
}

/// A template that `groups` decide, with everything else that `more` says.
pub fn template(name: &str, groups: &[&str], more: &Value) -> Value {
    let mut all = json!({
        "name": name, "enabled": true, "accesses": ["warehouse:viewer"], "durations": ["PT1H"],
        "steps": [{ "approvers": { "groups": groups } }],
    });
    let members = all.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    all
}
