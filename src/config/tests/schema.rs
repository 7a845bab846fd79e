use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::config::{file, yaml};

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    std::fs::read_to_string(path).expect("a shipped file")
}

/// To write it anew: `UPDATE_SCHEMA=1 cargo test the_committed_schema`.
#[test]
fn the_committed_schema_is_the_one_that_the_types_give() {
    let fresh = serde_json::to_string_pretty(&file::schema()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tidegate.schema.json");
        std::fs::write(path, &fresh).expect("written");
    }
    assert!(shipped("tidegate.schema.json") == fresh, "run this test with UPDATE_SCHEMA=1");
}

/// The reader's own list of keys, from what it says about an unknown one in every mapping.
#[test]
fn the_schema_has_exactly_the_keys_that_the_reader_knows() {
    let folder = super::Folder::new();
    let text = r#"
zzzzzzzz: 1
listeners: { zzzzzzzz: 1, api: { zzzzzzzz: 1, address: "127.0.0.1:1" }, proxy: [{ zzzzzzzz: 1, address: "127.0.0.1:2", tls: { zzzzzzzz: 1, certificates: [{ zzzzzzzz: 1, certificate: ./jwks.json, key: ./seal.key }] } }] }
store: { zzzzzzzz: 1, embedded: { zzzzzzzz: 1, path: ./data }, seal_keys: [{ zzzzzzzz: 1, id: k, file: ./seal.key }] }
issuers: [{ zzzzzzzz: 1, issuer: a, jwks_file: ./jwks.json, audiences: [a], claims: { zzzzzzzz: 1 } }]
api: { zzzzzzzz: 1 }
tools: [{ zzzzzzzz: 1, name: a, hosts: [a], upstreams: ["https://a"], resolver: { zzzzzzzz: 1, servers: [10.0.0.1] }, tls: { zzzzzzzz: 1 }, balance: consistent_hash, hash: { zzzzzzzz: 1, header: a }, health: { zzzzzzzz: 1, check: tcp }, ejection: { zzzzzzzz: 1 }, timeouts: { zzzzzzzz: 1 }, rules: [{ zzzzzzzz: 1, path: /, action: a }] }]
limits: { zzzzzzzz: 1 }
policy: { zzzzzzzz: 1, directory: ./policies, cerbos: { zzzzzzzz: 1, address: "unix:/pdp" }, shadow: { zzzzzzzz: 1, engine: embedded }, providers: [{ zzzzzzzz: 1, resource: a, key: { zzzzzzzz: 1 }, validate: [{ zzzzzzzz: 1, require: a, otherwise: denied }], sources: [{ http: { zzzzzzzz: 1, url: "http://127.0.0.1/{key}", cache: { zzzzzzzz: 1, ttl: 1s } } }, { redis: { zzzzzzzz: 1, url: "redis://127.0.0.1", key: "{key}" } }] }] }
catalog: { zzzzzzzz: 1, directory: ./catalog }
directory: { zzzzzzzz: 1, http: { zzzzzzzz: 1, url: "http://127.0.0.1/groups" } }
audit: { zzzzzzzz: 1, decisions: { zzzzzzzz: 1 }, sinks: [{ zzzzzzzz: 1, file: { zzzzzzzz: 1, path: ./a }, webhook: { zzzzzzzz: 1 } }] }
"#;
    let mut problems = folder.load(text).expect_err("unknown keys").0;
    // The shadow of this file is refused, too.
    problems.retain(|problem| problem.path.ends_with("zzzzzzzz"));
    assert_eq!(problems.len(), 38, "{problems:?}");
    let redis = r#"redis: { zzzzzzzz: 1, sentinel: { zzzzzzzz: 1, master: m, nodes: ["redis://127.0.0.1"] }, tls: { zzzzzzzz: 1 } }"#;
    let redis = super::changed("embedded: { path: ./data }", redis);
    problems.extend(folder.load(&redis).expect_err("unknown keys").0);
    assert_eq!(problems.len(), 41, "{problems:?}");
    let schema = file::schema();
    for problem in problems {
        let words = problem.expected.strip_prefix("one of the keys ").expect("a list of keys");
        let known: BTreeSet<&str> = words.split(", ").collect();
        let place = problem.path.trim_end_matches("zzzzzzzz").trim_end_matches('.');
        assert_eq!(keys(&schema, place), known, "{place}");
    }
}

#[test]
fn every_key_of_the_complete_example_is_in_the_schema_and_the_other_way_round() {
    let example = yaml::parse(&shipped("tidegate.yaml")).expect("YAML").expect("a document");
    let schema = file::schema();
    let yaml::Value::Map(entries) = &example.value else { panic!("a mapping") };
    let written: BTreeSet<&str> = entries.iter().map(|(key, _)| key.text.as_str()).collect();
    assert_eq!(keys(&schema, ""), written);
}

/// The properties of the schema at a key path like `tools[0].rules[0]`.
fn keys<'a>(schema: &'a Value, path: &str) -> BTreeSet<&'a str> {
    let mut at = schema;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let name = step.split('[').next().expect("a name");
        at = object(schema, at);
        at = &at["properties"][name];
        if step.contains('[') {
            at = &at["items"];
        }
    }
    let at = object(schema, at);
    at["properties"].as_object().expect(path).keys().map(String::as_str).collect()
}

/// Follows references, and takes the alternative that is a mapping.
fn object<'a>(schema: &'a Value, mut at: &'a Value) -> &'a Value {
    loop {
        if let Some(name) = at["$ref"].as_str() {
            at = schema.pointer(name.trim_start_matches('#')).expect("a definition");
        } else if let Some(choices) = at["anyOf"].as_array() {
            at = choices.iter().find(|choice| choice["$ref"].is_string()).expect("a mapping");
        } else {
            return at;
        }
    }
}
