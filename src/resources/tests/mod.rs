//! Providers over real sockets: a small HTTP server that says what a test wants, and bytes where
//! Redis would be. The real Redis is asked from outside (`tests/resources.rs`).

mod http;
mod lookups;
mod redis;
mod server;
mod validation;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{NotProvided, Provided, Providers, Wanted};
use crate::clock::ManualClock;
use crate::config::{
    Attributes, CheckConfig, HttpSourceConfig, KeyConfig, LookupPart, LookupTemplate, Otherwise,
    ProviderConfig, RedisAddress, RedisLogin, RedisSourceConfig, SourceConfig,
};
use crate::domain::time::Timestamp;
use crate::telemetry::metrics::Metrics;

const START: Timestamp = Timestamp::from_millis(1_795_339_800_000);
/// Long enough never to be what ends a question that gets an answer.
const PATIENT: Duration = Duration::from_secs(20);

fn template(parts: &[LookupPart]) -> LookupTemplate {
    LookupTemplate(parts.to_vec())
}

fn text(text: &str) -> LookupPart {
    LookupPart::Text(text.into())
}

fn object(value: &Value) -> Attributes {
    value.as_object().cloned().expect("an object")
}

fn fixed(documents: &[(&str, Value)]) -> SourceConfig {
    let documents = documents.iter().map(|(id, value)| ((*id).into(), object(value)));
    SourceConfig::Static(Arc::new(documents.collect()))
}

fn http(origin: &str) -> HttpSourceConfig {
    HttpSourceConfig {
        origin: origin.into(),
        target: template(&[text("/documents/"), LookupPart::Key]),
        timeout: PATIENT,
        token_file: None,
        cache: None,
    }
}

fn redis(port: u16) -> RedisSourceConfig {
    RedisSourceConfig {
        address: RedisAddress { host: "127.0.0.1".into(), port },
        login: RedisLogin::default(),
        database: 0,
        key: template(&[text("doc:"), LookupPart::Key]),
        timeout: PATIENT,
    }
}

fn provider(sources: Vec<SourceConfig>) -> ProviderConfig {
    let template = template(&[LookupPart::Id]);
    ProviderConfig {
        resource: "document".into(),
        key: KeyConfig { template, strip_prefix: None, lower_case: false },
        sources,
        validate: Vec::new(),
        default: None,
    }
}

fn check(require: &str, otherwise: Otherwise) -> CheckConfig {
    CheckConfig { require: require.into(), otherwise, message: None }
}

fn open(config: ProviderConfig) -> Providers {
    opened(config, &ManualClock::at(START))
}

fn opened(config: ProviderConfig, clock: &Arc<ManualClock>) -> Providers {
    let clock = clock.clone();
    Providers::open(&[config], &(clock as _), &Metrics::unregistered()).expect("it opens")
}

fn wanted(id: &str) -> Wanted<'_> {
    Wanted { kind: "document", id, tool: "notes", scope: "team-a" }
}

async fn ask(providers: &Providers, id: &str) -> Result<Provided, NotProvided> {
    providers.attributes(&wanted(id)).await
}

/// The attributes, or the word for why there are none.
async fn told(providers: &Providers, id: &str) -> Value {
    match ask(providers, id).await {
        Ok(provided) => Value::Object((*provided.known.attributes).clone()),
        Err(NotProvided::Unclear(_)) => json!("unclear"),
        Err(NotProvided::NotFound(_)) => json!("not found"),
        Err(NotProvided::Denied(_)) => json!("denied"),
        Err(NotProvided::Unreachable(_)) => json!("unreachable"),
    }
}
