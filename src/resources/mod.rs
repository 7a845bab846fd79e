//! Attributes of resources, from where the resources live: a static map, HTTP or Redis.
//!
//! The sources of a kind are asked in their order; the first that has the resource tells. A source
//! that fails ends the search: what it would have said is not known, so no less preferred source
//! and no default stands in for it. What a source says is checked by conditions, and carries at most
//! what the policy may read: the attributes that describe the request itself are not a source's to
//! say.

mod cache;
mod check;
mod describe;
mod http;
mod known;
mod lookup;
mod redis;
mod resp;
mod source;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::clock::SharedClock;
use crate::config::ProviderConfig;
use crate::telemetry::metrics::Metrics;

use check::Check;
pub use known::{Attributes, Known};
use lookup::Key;
use source::{Found, Source};

/// What a policy is about to be asked about.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub kind: &'a str,
    pub id: &'a str,
    pub tool: &'a str,
    /// The scope of the request.
    pub scope: &'a str,
}

/// The attributes of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Provided {
    pub known: Known,
    pub from: Origin,
}

/// Where attributes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The source with this index in the configuration.
    Source { index: usize, kind: &'static str },
    /// No source has the resource.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Source { index, kind } => write!(f, "source {index} ({kind})"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Why there are none. The text is for people, without anything that a source said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotProvided {
    /// The id can be read in more than one way.
    Unclear(String),
    NotFound(String),
    Denied(String),
    /// A source failed; why is in the log.
    Unreachable(String),
}

/// The providers of all kinds. Shared by all cores: nothing in it belongs to a runtime.
#[derive(Default)]
pub struct Providers {
    kinds: FxHashMap<Arc<str>, Provider>,
}

pub type SharedProviders = Arc<Providers>;

struct Provider {
    key: Key,
    sources: Vec<Source>,
    checks: Vec<Check>,
    default: Option<Known>,
    config: ProviderConfig,
}

impl Providers {
    /// # Errors
    /// Every condition that is no CEL over the resource, token that cannot be used, and scope that
    /// is no text.
    pub fn open(
        configs: &[ProviderConfig],
        clock: &SharedClock,
        metrics: &Metrics,
    ) -> Result<Self, Vec<String>> {
        let (mut kinds, mut problems) = (FxHashMap::default(), Vec::new());
        for (index, config) in configs.iter().enumerate() {
            let place = format!("policy.providers[{index}]");
            match Provider::open(config, &place, clock, metrics) {
                Ok(provider) => {
                    kinds.insert(Arc::clone(&config.resource), provider);
                }
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(Self { kinds }) } else { Err(problems) }
    }

    /// Whether somebody knows resources of this kind.
    #[must_use]
    pub fn know(&self, kind: &str) -> bool {
        self.kinds.contains_key(kind)
    }

    /// # Errors
    /// See [`NotProvided`]; also for a kind that nobody knows.
    pub async fn attributes(&self, wanted: &Wanted<'_>) -> Result<Provided, NotProvided> {
        match self.kinds.get(wanted.kind) {
            Some(provider) => provider.attributes(wanted).await,
            None => Err(NotProvided::Unreachable(format!("nobody knows a {}", wanted.kind))),
        }
    }
}

impl Provider {
    fn open(
        config: &ProviderConfig,
        place: &str,
        clock: &SharedClock,
        metrics: &Metrics,
    ) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut sources = Vec::new();
        for (index, source) in config.sources.iter().enumerate() {
            match Source::open(source, &config.resource, clock, metrics) {
                Ok(source) => sources.push(source),
                Err(why) => problems.push(format!("{place}.sources[{index}]: {why}")),
            }
        }
        let mut checks = Vec::new();
        for (index, check) in config.validate.iter().enumerate() {
            match Check::compile(check, clock) {
                Ok(check) => checks.push(check),
                Err(why) => problems.push(format!("{place}.validate[{index}].require: {why}")),
            }
        }
        let default = config.default.clone().map(Known::of).transpose();
        let default = default.map_err(|why| problems.push(format!("{place}.default: {why}")));
        match default {
            Ok(default) if problems.is_empty() => {
                let (key, config) = (Key::new(&config.key), config.clone());
                Ok(Self { key, sources, checks, default, config })
            }
            Ok(_) | Err(()) => Err(problems),
        }
    }

    async fn attributes(&self, wanted: &Wanted<'_>) -> Result<Provided, NotProvided> {
        // What an escape stands for is the tool's to say: `%2d` and `-` may be one resource to it.
        if wanted.id.contains('%') {
            let detail = format!("the id of the {} has an escape in it", wanted.kind);
            return Err(NotProvided::Unclear(detail));
        }
        if let Some(key) = self.key.of(wanted) {
            for (index, source) in self.sources.iter().enumerate() {
                let found = source.ask(wanted, &key).await.map_err(|_logged| {
                    let kind = wanted.kind;
                    NotProvided::Unreachable(format!("the attributes of the {kind} cannot be read"))
                })?;
                if let Found::There(known) = found {
                    self.checked(wanted, &known)?;
                    return Ok(Provided {
                        known,
                        from: Origin::Source { index, kind: source.kind() },
                    });
                }
            }
        }
        match &self.default {
            Some(default) => Ok(Provided { known: default.clone(), from: Origin::Default }),
            None => Err(NotProvided::NotFound(format!("there is no such {}", wanted.kind))),
        }
    }

    fn checked(&self, wanted: &Wanted<'_>, known: &Known) -> Result<(), NotProvided> {
        self.checks.iter().try_for_each(|check| check.holds(wanted, known))
    }
}
