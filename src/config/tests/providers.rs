//! `policy.role_hierarchy` and `policy.providers`.

use std::time::Duration;

use serde_json::json;

use super::{Folder, GOOD, changed};
use crate::config::{LookupPart, Otherwise, PolicyConfig, SourceConfig};

fn with(lines: &str) -> String {
    changed(
        "policy: { directory: ./policies }",
        &format!("policy:\n  directory: ./policies\n{lines}"),
    )
}

fn policy(folder: &Folder, lines: &str) -> PolicyConfig {
    folder.load(&with(lines)).map_err(|p| p.to_string()).expect("loads").config.policy
}

#[test]
fn a_hierarchy_is_read_line_by_line_and_implies_transitively() {
    let folder = Folder::new();
    let lines =
        "  role_hierarchy: [\"admin > editor>viewer\", \"security > auditor\", \"editor > x\"]";
    let hierarchy = policy(&folder, lines).role_hierarchy;
    let implied: Vec<&str> = hierarchy.implied("admin").map(|role| &**role).collect();
    assert_eq!(implied, ["editor", "viewer", "x"]);
    assert_eq!(hierarchy.implied("viewer").count(), 0);
    assert_eq!(policy(&folder, "  role_hierarchy: []").role_hierarchy.iter().count(), 0);
}

#[test]
fn every_source_is_read_with_its_defaults() {
    let folder = Folder::new();
    folder
        .write("documents.yaml", "doc-1: { owner: alice, tags: [a, 1, true, null] }\n\"2\": {}\n");
    let lines = r#"
  providers:
    - resource: document
      key: { template: "{tool}:{id}", strip_prefix: "notes:", lower_case: true }
      sources:
        - static: { file: ./documents.yaml }
        - static: { file: { owner: bob, "quoted": "1", n: -1.5 } }
        - http: { url: "https://docs.example.com/{kind}/{key}?t={tool}", cache: { ttl: 5s } }
        - redis: { url: "redis://:secret@127.0.0.1:6380/2", key: "doc:{key}", timeout: 1s }
      validate: [{ require: "has(R.attr.owner)", otherwise: not-found }]
      default: { owner: "" }
    - { resource: other, sources: [{ static: {} }] }
"#;
    let providers = policy(&folder, lines).providers;
    let [document, other] = providers.as_slice() else { panic!("{providers:?}") };
    assert_eq!(
        document.key.template.0,
        [LookupPart::Tool, LookupPart::Text(":".into()), LookupPart::Id]
    );
    assert_eq!(other.key.template.0, [LookupPart::Id]);
    assert_eq!(document.validate[0].otherwise, Otherwise::NotFound);
    assert_eq!(document.default.as_ref().map(|it| json!(it)), Some(json!({ "owner": "" })));
    let [
        SourceConfig::Static(file),
        SourceConfig::Static(inline),
        SourceConfig::Http(http),
        SourceConfig::Redis(redis),
    ] = document.sources.as_slice()
    else {
        panic!("{document:?}")
    };
    assert_eq!(json!(file["doc-1"]), json!({ "owner": "alice", "tags": ["a", 1, true, null] }));
    assert!(file["2"].is_empty());
    assert_eq!(json!(inline["file"]), json!({ "owner": "bob", "quoted": "1", "n": -1.5 }));
    assert_eq!(&*http.origin, "https://docs.example.com");
    assert_eq!(
        (http.timeout, http.cache.expect("a cache").entries),
        (Duration::from_millis(250), 1000)
    );
    assert_eq!(
        (redis.address.port, redis.database, redis.timeout),
        (6380, 2, Duration::from_secs(1))
    );
    assert!(!format!("{redis:?}").contains("secret"));
}

#[test]
fn problems_of_a_file_of_attributes_name_that_file() {
    let folder = Folder::new();
    folder.write(
        "documents.yaml",
        "doc-1: { a: 1, a: 2 }\ndoc-2: text\ndoc-3: { n: 0x10, i: .inf }\n",
    );
    let lines =
        "  providers: [{ resource: document, sources: [{ static: { file: ./documents.yaml } }] }]";
    let problems = folder.load(&with(lines)).expect_err("refused").0;
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(problems.len() >= 2, "{told:#?}");
    assert!(problems.iter().all(|problem| problem.file.ends_with("documents.yaml")), "{told:#?}");
    assert!(told.iter().any(|text| text.contains("doc-1.a: found the key again")), "{told:#?}");
    assert!(told.iter().any(|text| text.contains("doc-2: found")), "{told:#?}");
}

#[test]
fn a_source_off_loopback_needs_tls_in_production() {
    let folder = Folder::new();
    for (source, path) in [
        ("http: { url: \"http://docs.example.com/{key}\" }", "http.url"),
        ("redis: { url: \"redis://docs.example.com\", key: \"{key}\" }", "redis.url"),
    ] {
        let lines = format!("  providers: [{{ resource: document, sources: [{{ {source} }}] }}]");
        let problems = folder.load(&with(&lines)).expect_err("refused").0;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, format!("policy.providers[0].sources[0].{path}"));
        assert!(problems[0].found.contains("off loopback without TLS"), "{problems:?}");
        let development =
            with(&lines).replace("environment: production", "environment: development");
        let warnings =
            folder.load(&development).map_err(|p| p.to_string()).expect("loads").warnings;
        assert!(warnings.iter().any(|warning| warning.contains("off loopback")), "{warnings:?}");
    }
    assert!(GOOD.contains("environment: production"));
}
