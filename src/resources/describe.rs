//! What is configured, for people who look at a running gateway. Nothing secret is in it.

use serde_json::{Value, json};

use crate::config::{LookupPart, LookupTemplate, Otherwise, SourceConfig};

use super::{Provider, Providers};

impl Providers {
    /// One object for each kind, sorted.
    #[must_use]
    pub fn describe(&self) -> Value {
        let mut kinds: Vec<&Provider> = self.kinds.values().collect();
        kinds.sort_by_key(|provider| provider.config.resource.clone());
        kinds.into_iter().map(provider).collect()
    }
}

fn provider(provider: &Provider) -> Value {
    let config = &provider.config;
    let checks = config.validate.iter().map(|check| {
        let otherwise = match check.otherwise {
            Otherwise::NotFound => "not-found",
            Otherwise::Denied => "denied",
        };
        json!({ "require": check.require, "otherwise": otherwise })
    });
    json!({
        "resource": config.resource,
        "key": {
            "template": text(&config.key.template),
            "strip_prefix": config.key.strip_prefix,
            "lower_case": config.key.lower_case,
        },
        "sources": config.sources.iter().map(source).collect::<Vec<_>>(),
        "validate": checks.collect::<Vec<_>>(),
        "default": config.default.is_some(),
    })
}

fn source(config: &SourceConfig) -> Value {
    match config {
        SourceConfig::Static(documents) => json!({ "static": { "entries": documents.len() } }),
        SourceConfig::Http(http) => json!({ "http": {
            "url": format!("{}{}", http.origin, text(&http.target)),
            "timeout_ms": millis(http.timeout),
            "cache": http.cache.map(|it| json!({ "ttl_ms": millis(it.ttl), "entries": it.entries })),
        } }),
        SourceConfig::Redis(redis) => json!({ "redis": {
            "address": format!("{}:{}", redis.address.host, redis.address.port),
            "database": redis.database,
            "key": text(&redis.key),
            "timeout_ms": millis(redis.timeout),
        } }),
    }
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// As the configuration writes it.
fn text(template: &LookupTemplate) -> String {
    let part = |part: &LookupPart| match part {
        LookupPart::Text(text) => text.to_string(),
        LookupPart::Id => "{id}".to_owned(),
        LookupPart::Kind => "{kind}".to_owned(),
        LookupPart::Tool => "{tool}".to_owned(),
        LookupPart::Key => "{key}".to_owned(),
    };
    template.0.iter().map(part).collect()
}
