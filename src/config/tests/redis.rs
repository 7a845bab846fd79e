use std::time::Duration;

use super::{Folder, changed};
use crate::config::{Acknowledge, Backend, RedisAddress, RedisConfig, RedisNodes};

fn read(environment: &str, redis: &str) -> (RedisConfig, Vec<String>) {
    let text = changed("embedded: { path: ./data }", &format!("redis: {redis}"));
    let text = text.replace("environment: production", &format!("environment: {environment}"));
    let loaded = Folder::new().load(&text).map_err(|p| p.to_string()).expect(redis);
    let Backend::Redis(config) = loaded.config.store.backend else { panic!("another store") };
    (*config, loaded.warnings)
}

fn redis(redis: &str) -> RedisConfig {
    let (config, warnings) = read("production", redis);
    assert_eq!(warnings, Vec::<String>::new());
    config
}

fn address(host: &str, port: u16) -> RedisAddress {
    RedisAddress { host: host.into(), port }
}

#[test]
fn an_address_alone_gets_the_documented_defaults() {
    let config = redis(r#"{ url: "redis://127.0.0.1" }"#);
    assert_eq!(config.nodes, RedisNodes::Standalone(address("127.0.0.1", 6379)));
    assert_eq!(config.timeout, Duration::from_millis(250));
    assert_eq!(config.acknowledge, Acknowledge::Memory);
    assert_eq!(config.max_replica_lag, Duration::from_secs(5));
    assert_eq!((config.replicas, config.database), (0, 0));
    assert!(config.tls.is_none() && config.login == crate::config::RedisLogin::default());
}

#[test]
fn a_login_comes_from_the_url_or_from_keys() {
    for text in [
        r#"{ url: "redis://me:hunter2-canary@127.0.0.1:7000/4" }"#,
        r#"{ url: "redis://127.0.0.1:7000", username: me, password: "${SECRET}", database: 4 }"#,
    ] {
        let config = redis(text);
        assert_eq!(config.nodes, RedisNodes::Standalone(address("127.0.0.1", 7000)));
        assert_eq!(config.login.username.as_deref(), Some("me"));
        assert_eq!(config.login.password.as_deref(), Some("hunter2-canary"));
        assert_eq!(config.database, 4);
    }
    assert_eq!(redis(r#"{ url: "redis://localhost", password: 123 }"#).login.username, None);
}

#[test]
fn rediss_or_the_key_tls_mean_tls() {
    assert!(redis(r#"{ url: "rediss://:p@redis.example.com" }"#).tls.is_some());
    assert!(redis(r#"{ url: "redis://127.0.0.1", tls: {} }"#).tls.is_some());
    let text = r#"{ url: "rediss://:p@10.0.0.1", tls: { ca: ./jwks.json, certificate: ./jwks.json, key: ./seal.key } }"#;
    let tls = redis(text).tls.expect("TLS");
    assert!(tls.ca.is_some() && tls.client.is_some());
}

#[test]
fn sentinel_and_cluster_take_lists() {
    let config = redis(
        r#"{ sentinel: { master: m, nodes: ["redis://127.0.0.1", "redis://[::1]:1"], password: s }, database: 2, replicas: 1, acknowledge: replicated }"#,
    );
    let RedisNodes::Sentinel { master, nodes, login } = config.nodes else { panic!("another") };
    assert_eq!((&*master, login.password.as_deref()), ("m", Some("s")));
    assert_eq!(nodes, [address("127.0.0.1", 26379), address("::1", 1)]);
    assert_eq!((config.database, config.acknowledge), (2, Acknowledge::Replicated));
    assert_eq!(config.login.password, None);
    let config =
        redis(r#"{ cluster: ["rediss://a.example:7", "rediss://b.example"], password: p }"#);
    let nodes = vec![address("a.example", 7), address("b.example", 6379)];
    assert_eq!(config.nodes, RedisNodes::Cluster(nodes));
    assert!(config.tls.is_some());
}

#[test]
fn development_warns_where_production_refuses_an_open_server() {
    let (config, warnings) = read("development", r#"{ url: "redis://10.0.0.1" }"#);
    assert!(config.tls.is_none());
    assert!(warnings[0].contains("store.redis: found a server off loopback"), "{warnings:?}");
}
