//! Bad configuration files, each through the real binary: refused with the key path, what was found
//! and what was expected, exit code 64, and nothing bound or made before.

use std::fs;
use std::process::Command;

use crate::harness::gateway::{self, binary};
use crate::harness::tokens::Issuer;
use crate::harness::upstream::Upstream;

/// Without the feature the engine is refused by its name; with it, it has to be said where it is.
const CERBOS: &[&str] = if cfg!(feature = "cerbos") {
    &["policy.cerbos"]
} else {
    &["policy.engine", "feature `cerbos`"]
};

/// What to replace in a good file, by what, and the words of the refusal.
const MISTAKES: [(&str, &str, &[&str]); 46] = [
    ("environment: development", "environment: prod", &["environment", "prod", "production"]),
    ("environment: development", "enviroment: development", &["enviroment", "environment"]),
    ("deployment: test", "deployment: [test]", &["deployment"]),
    (
        "  api: { address: 127.0.0.1:0 }",
        "  api: { address: localhost }",
        &["listeners.api.address"],
    ),
    ("  api: { address: 127.0.0.1:0 }", "  api: { adress: 127.0.0.1:0 }", &["adress", "address"]),
    ("  admin: { address: 127.0.0.1:0 }", "  admin: { address: 0.0.0.0:0 }", &["listeners.admin"]),
    ("  proxy: [{ address: 127.0.0.1:0 }]", "  proxy: []", &["listeners.proxy"]),
    (
        "  proxy: [{ address: 127.0.0.1:0 }]",
        "  proxy: [{ address: 127.0.0.1:0, tls: {} }]",
        &["tls"],
    ),
    ("  embedded: { path: ./store }", "  embedded: { pth: ./store }", &["store.embedded", "path"]),
    ("  embedded: { path: ./store }", "  redis: { url: 'http://127.0.0.1' }", &["store.redis.url"]),
    ("  embedded: { path: ./store }", "  embedded: { path: ./seal.key }", &["store.embedded.path"]),
    ("file: ./seal.key", "file: ./no.key", &["store.seal_keys[0].file"]),
    ("file: ./seal.key", "file: ./short.key", &["store.seal_keys[0].file", "32"]),
    ("[{ id: k1, file: ./seal.key }]", "[]", &["store.seal_keys"]),
    ("jwks_file: ./jwks.json", "jwks_fil: ./jwks.json", &["jwks_fil", "jwks_file"]),
    ("jwks_file: ./jwks.json", "jwks_file: ./none.json", &["none.json"]),
    (
        "jwks_file: ./jwks.json",
        "jwks_url: 'http://idp.example.com/keys'\n    leeway: 5m",
        &["leeway"],
    ),
    ("audiences: [tidegate]", "audiences: []", &["issuers[0].audiences"]),
    ("audiences: [tidegate]", "audience: [tidegate]", &["audience", "audiences"]),
    ("algorithms: [ES256]", "algorithms: [none]", &["issuers[0].algorithms[0]", "none"]),
    ("algorithms: [ES256]", "algorithms: [HS256]", &["issuers[0].algorithms", "HS256"]),
    ("name: warehouse", "name: ware house", &["tools[0].name"]),
    ("hosts: [warehouse.localhost]", "hosts: ['*']", &["tools[0].hosts[0]"]),
    ("hosts: [warehouse.localhost]", "hosts: ['warehouse.localhost:8080']", &["tools[0].hosts[0]"]),
    ("path_prefix: /warehouse/", "path_prefix: warehouse", &["tools[0].path_prefix"]),
    ("path_prefix: /warehouse/", "path_prefix: /../", &["tools[0].path_prefix"]),
    ("upstreams: [\"http://", "upstreams: [\"ftp://", &["tools[0].upstreams[0]"]),
    ("upstreams: [\"http://", "upstreams: [\"gopher://", &["tools[0].upstreams[0]"]),
    ("access: public", "access: open", &["tools[0].rules[0].access", "open", "public"]),
    ("path: \"/me\"", "path: \"me\"", &["tools[0].rules[1].path"]),
    ("path: \"/me\"", "path: \"/m**\"", &["tools[0].rules[1].path"]),
    ("access: policy, action: read", "access: policy", &["tools[0].rules[2].action"]),
    ("methods: [POST]", "methods: ['PO ST']", &["tools[0].rules[4].methods[0]"]),
    (
        "action: write }",
        "action: write, id: '{path.nobody}' }",
        &["tools[0].rules[4].id", "nobody"],
    ),
    ("action: write }", "action: write, resorce: x }", &["resorce", "resource"]),
    ("policy: { directory:", "policy: { engine: cerbos, directory:", CERBOS),
    ("policy: { directory:", "policy: { engine: opa, directory:", &["policy.engine", "opa"]),
    (
        "policy: { directory:",
        "policy: { role_hierarchy: ['a > b', 'b > a'], directory:",
        &["policy.role_hierarchy[1]", "puts b above itself", "without a cycle"],
    ),
    (
        "policy: { directory:",
        "policy: { providers: [{ resource: d, sources: [{ static: {} }], validate: [{ require: R.atr.x, otherwise: denied }] }], directory:",
        &["policy.providers[0].validate[0].require", "atr"],
    ),
    ("catalog: { directory: ./catalog }", "catalog: { directory: ./nowhere }", &["nowhere"]),
    ("drain_timeout: 2s", "drain_timeout: 2", &["limits.drain_timeout"]),
    ("drain_timeout: 2s", "drain_timeout: soon", &["limits.drain_timeout", "soon"]),
    ("drain_timeout: 2s", "concurrent_requests: 0", &["limits.concurrent_requests"]),
    ("sinks: [{ file: { path: ./audit.jsonl } }]", "sinks: [{ fil: {} }]", &["audit.sinks[0]"]),
    ("sinks: [{", "decisions: { on_full: wait }, sinks: [{", &["audit.decisions.on_full", "wait"]),
    ("deployment: test", "deployment: ${NOT_SET_ANYWHERE}", &["deployment", "NOT_SET_ANYWHERE"]),
];

#[test]
fn every_bad_configuration_is_refused_with_its_key_before_anything_happens() {
    let (issuer, upstream) = (Issuer::new(), Upstream::start());
    let good = gateway::configuration(&upstream);
    let mut wrong = Vec::new();
    for (number, (from, to, words)) in MISTAKES.iter().enumerate() {
        assert!(good.contains(from), "{from:?} is not in the good configuration");
        let folder = tempfile::tempdir().expect("a folder");
        gateway::write_files(folder.path(), &issuer, &good.replacen(from, to, 1));
        fs::write(folder.path().join("short.key"), [7; 31]).expect("written");
        let output = Command::new(binary())
            .args(["serve", "--config"])
            .arg(folder.path().join("tidegate.yaml"))
            .output()
            .expect("a process");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let made =
            folder.path().join("store").exists() || folder.path().join("audit.jsonl").exists();
        let named = words.iter().all(|word| told.contains(word));
        if output.status.code() != Some(64) || made || !named || !output.stdout.is_empty() {
            wrong.push(format!(
                "{number}: {to}\n  exit {:?}, made {made}\n  {told}",
                output.status.code()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
