use std::path::Path;
use std::time::Duration;

use super::{Folder, GOOD, changed};
use crate::config::{
    AccessMode, AdminToken, Backend, Environment, ProxyListener, SinkConfig, Upstream, load,
};

/// The example as it is shipped, with the files that it names beside it.
#[test]
fn the_complete_example_loads_and_so_does_its_catalog() {
    let folder = Folder::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let config = folder.path().join("config");
    std::fs::create_dir_all(config.join("catalog")).expect("folder");
    for name in ["tidegate.yaml", "catalog/warehouse.yaml"] {
        std::fs::copy(root.join(name), config.join(name)).expect("the example");
    }
    for name in ["seal.key", "jwks.json"] {
        std::fs::copy(folder.path().join(name), config.join(name)).expect("copied");
    }
    let loaded = load(&config.join("tidegate.yaml"), &|_| None).map_err(|p| p.to_string());
    let loaded = loaded.expect("loads");
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let config = loaded.config;
    assert_eq!(config.environment, Environment::Production);
    assert_eq!(config.tools[0].rules.len(), 4);
    assert_eq!(config.audit.sinks[0], SinkConfig::Stdout);
    assert!(!config.catalog.as_ref().expect("a catalog").join("no").exists());
    let catalog = crate::catalog::load(&config.catalog.expect("a catalog"), &["warehouse".into()]);
    let catalog = catalog.map_err(|p| p.to_string()).expect("loads");
    assert_eq!(catalog.templates.len(), 2);
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let folder = Folder::new();
    let config = folder.load(GOOD).map_err(|p| p.to_string()).expect("loads").config;
    let plain = ProxyListener::plain("127.0.0.1:8080".parse().expect("address"));
    assert_eq!(config.listeners.proxy, [plain]);
    assert_eq!(config.listeners.admin, "127.0.0.1:9090".parse().expect("address"));
    assert_eq!(&*config.api.public_url, "http://127.0.0.1:8081");
    assert_eq!(config.api.audiences, [std::sync::Arc::<str>::from("tidegate")]);
    assert_eq!(config.limits.clock_skew, Duration::from_secs(2));
    assert_eq!(config.limits.header_bytes, 16_384);
    assert_eq!(config.audit.retention, Duration::from_secs(90 * 86_400));
    let issuer = &config.issuers[0];
    assert!(issuer.allow_absent_typ && issuer.leeway.is_zero() && issuer.prefix.is_empty());
    let tool = &config.tools[0];
    assert_eq!(tool.upstreams, [Upstream::Http { host: "127.0.0.1".into(), port: 3000 }]);
    assert_eq!(tool.rules[0].access, AccessMode::Grant);
    assert_eq!(&*tool.rules[0].resource, "tool");
    assert!(!tool.forward_credential && !tool.rules[0].default_effect_allow);
    let Backend::Embedded { path } = config.store.backend else { panic!("another store") };
    assert_eq!(path, folder.path().join("./data"));
    assert!(!path.exists(), "loading creates nothing");
}

#[test]
fn an_absent_environment_is_production() {
    let config = Folder::new().load(&changed("environment: production\n", ""));
    assert_eq!(config.expect("loads").config.environment, Environment::Production);
}

#[test]
fn variables_reach_every_kind_of_scalar_and_aliases_are_followed() {
    let text = changed(
        "issuers:",
        "listeners: { api: { address: \"127.0.0.1:${PORT}\" } }\nlimits: { header_count: \"${COUNT:-50}\", idle_timeout: &t 5s, header_timeout: *t }\nissuers:",
    );
    let config = Folder::new().load(&text).map_err(|p| p.to_string()).expect("loads").config;
    assert_eq!(config.listeners.api.port(), 8090);
    assert_eq!(config.limits.header_count, 50);
    assert_eq!(config.limits.header_timeout, Duration::from_secs(5));
}

#[test]
fn development_warns_where_production_refuses() {
    let folder = Folder::new();
    let text = GOOD.replace("./seal.key", "./open.key");
    assert!(folder.load(&text).is_err());
    let loaded = folder.load(&text.replace("production", "development")).expect("loads");
    assert!(loaded.warnings[0].contains("store.seal_keys[0].file"), "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("644"), "{:?}", loaded.warnings);
}

#[test]
fn a_rule_after_one_that_matches_everything_is_warned_about() {
    let text = changed(
        "- { methods: [GET], path: \"/docs/{doc}\"",
        "- { path: \"/**\", action: all }\n      - { path: \"/docs/{doc}\"",
    );
    let loaded = Folder::new().load(&text).map_err(|p| p.to_string()).expect("loads");
    assert!(loaded.warnings[0].contains("tools[0].rules"), "{:?}", loaded.warnings);
}

#[test]
fn an_api_on_every_address_is_warned_to_name_its_own() {
    let folder = Folder::new();
    let listeners = "listeners: { api: { address: \"0.0.0.0:8081\" } }";
    for (api, warned) in [
        ("", true),
        ("api: { audiences: [a] }", true),
        ("api: { public_url: \"https://a\" }", false),
    ] {
        let text = changed("store:", &format!("{listeners}\n{api}\nstore:"));
        let warnings = folder.load(&text).map_err(|p| p.to_string()).expect("loads").warnings;
        assert_eq!(warnings.iter().any(|w| w.contains("api.public_url")), warned, "{warnings:?}");
    }
}

#[test]
fn identity_keys_are_subject_and_email_unless_named_and_the_same_for_all_issuers() {
    let folder = Folder::new();
    let config = folder.load(GOOD).expect("good");
    assert_eq!(config.config.issuers[0].identity_keys, crate::config::IdentityKeys::default());
    let named = "environment: production\nidentity_keys: [subject, employee_id, person.number]";
    let config = folder.load(&changed("environment: production", named)).expect("good");
    let keys = &config.config.issuers[0].identity_keys;
    assert!(!keys.email);
    assert_eq!(keys.claims, ["employee_id", "person.number"].map(std::sync::Arc::<str>::from));
}

#[test]
fn a_directory_is_read_from_every_source_with_its_defaults() {
    let folder = Folder::new();
    folder.write("directory.json", r#"{"groups": {"dba": ["ken"]}}"#);
    let text = r#"directory:
  groups: { sre: [bob, { name: ben, email: ben@example.com }] }
  file: ./directory.json
  http: { url: "https://directory.example.com/groups?all=1" }
store:"#;
    let config = folder.load(&changed("store:", text)).map_err(|p| p.to_string()).expect("loads");
    let directory = config.config.directory;
    let members = &directory.groups["sre"];
    let told: Vec<_> = members.iter().map(|it| (&*it.name, it.email.as_deref())).collect();
    assert_eq!(told, [("bob", None), ("ben", Some("ben@example.com"))]);
    let file = directory.file.expect("a file");
    assert_eq!(crate::config::directory_file(&file).expect("good")["dba"][0].name.as_ref(), "ken");
    let http = directory.http.expect("an endpoint");
    assert_eq!(http.url, "https://directory.example.com/groups?all=1");
    let spans = (http.timeout.as_secs(), http.refresh.as_secs());
    assert_eq!(spans, (2, 60));
    folder.write("directory.json", "{\"groups\": {\"dba\": [7]}}");
    let problems = folder.load(&changed("store:", text)).expect_err("refused").0;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].file.ends_with("directory.json"), "{problems:?}");
    assert_eq!(problems[0].path, "groups.dba[0]");
    assert!(folder.load(GOOD).expect("good").config.directory.groups.is_empty());
}

#[test]
fn off_loopback_the_admin_listener_has_tls_and_a_token() {
    let folder = Folder::new();
    let token = "0123456789abcdef0123456789abcdef";
    let tls = "tls: { certificate: ./jwks.json, key: ./seal.key }";
    let listeners = format!(
        "listeners: {{ admin: {{ address: \"0.0.0.0:9090\", {tls}, token: {token} }} }}\nstore:"
    );
    let loaded = folder.load(&changed("store:", &listeners)).map_err(|p| p.to_string());
    let config = loaded.expect("loads").config;
    assert_eq!(config.listeners.admin_token, Some(AdminToken { text: token.into(), file: None }));
    assert!(config.listeners.admin_tls.is_some());
    assert!(!format!("{config:?}").contains(token), "it is a secret");
}
