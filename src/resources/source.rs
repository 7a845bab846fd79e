//! One source: it has the resource, has it not, or failed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::SharedClock;
use crate::config::SourceConfig;
use crate::telemetry::events::resources::{Outcome, SourceAsked};
use crate::telemetry::metrics::Metrics;

use super::Wanted;
use super::http::Http;
use super::known::Known;
use super::redis::Redis;

#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    There(Known),
    NotThere,
}

/// Why a source gave no answer that can be used. It has no part of the answer in it, and no
/// credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub String);

pub struct Source {
    place: Place,
    resource: Arc<str>,
    metrics: Metrics,
}

enum Place {
    Static(BTreeMap<Arc<str>, Known>),
    Http(Box<Http>),
    Redis(Redis),
}

impl Source {
    /// # Errors
    /// What keeps it from ever being asked.
    pub fn open(
        config: &SourceConfig,
        resource: &Arc<str>,
        clock: &SharedClock,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let place = match config {
            SourceConfig::Static(documents) => Place::Static(fixed(documents)?),
            SourceConfig::Http(config) => {
                Place::Http(Box::new(Http::open(config, Arc::clone(clock))?))
            }
            SourceConfig::Redis(config) => Place::Redis(Redis::new(config)),
        };
        Ok(Self { place, resource: Arc::clone(resource), metrics: metrics.clone() })
    }

    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.place {
            Place::Static(_) => "static",
            Place::Http(_) => "http",
            Place::Redis(_) => "redis",
        }
    }

    /// # Errors
    /// It failed, in time or too late; that is told and counted here.
    pub async fn ask(&self, wanted: &Wanted<'_>, key: &str) -> Result<Found, Failed> {
        let (found, is_cached) = match &self.place {
            Place::Static(documents) => {
                let known = documents.get(key).cloned();
                (Ok(known.map_or(Found::NotThere, Found::There)), false)
            }
            Place::Http(http) => http.ask(wanted, key).await,
            Place::Redis(redis) => (redis.ask(wanted, key).await, false),
        };
        let outcome = match &found {
            Ok(_) if is_cached => Outcome::Cached,
            Ok(Found::There(_)) => Outcome::Found,
            Ok(Found::NotThere) => Outcome::NotFound,
            Err(Failed(why)) => Outcome::Unreachable(why),
        };
        let names = matches!(&found, Ok(Found::There(known)) if known.had_request_names);
        let (kind, resource) = (self.kind(), &self.resource);
        SourceAsked { kind, resource, outcome, has_request_names: names }.emit(&self.metrics);
        found
    }
}

fn fixed(
    documents: &BTreeMap<Arc<str>, crate::config::Attributes>,
) -> Result<BTreeMap<Arc<str>, Known>, String> {
    let known = documents.iter().map(|(id, attributes)| {
        let known = Known::of(attributes.clone()).map_err(|why| format!("{id}: {why}"))?;
        Ok((Arc::clone(id), known))
    });
    known.collect()
}
