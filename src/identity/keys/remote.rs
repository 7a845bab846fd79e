//! Keys over the network: asked for in the background and when a token names an unknown key, by
//! one at a time, at most once per cool-down, and believed for a bounded time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Response, StatusCode, Uri, header};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{KeySet, jwks};
use crate::clock::SharedClock;
use crate::config::{Algorithm, Environment, IssuerConfig};
use crate::domain::time::Timestamp;
use crate::http_client::{ClientError, HttpClient};
use crate::strict_json::{self, JsonRefused};
use crate::telemetry::events::identity::{KeysFetched, KeysRead};
use crate::telemetry::metrics::Metrics;

/// After the start of a fetch, however it ends.
pub const COOL_DOWN: Duration = Duration::from_secs(30);
/// Between refreshes that succeed.
pub const REFRESH: Duration = Duration::from_secs(300);
/// For a whole fetch.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// A key id that the issuer was asked about in vain is not asked about again for this long.
const MISSING_FOR: Duration = Duration::from_secs(60);
const MAX_MISSING: usize = 1024;

#[derive(Clone, Debug)]
pub enum Location {
    Jwks(Uri),
    Discovery(Uri),
}

/// What a fetch needs beside its address.
#[derive(Clone)]
pub struct Around {
    pub client: HttpClient,
    pub clock: SharedClock,
    pub metrics: Metrics,
    pub environment: Environment,
    /// For a whole fetch, see [`DEADLINE`].
    pub deadline: Duration,
}

/// Why a fetch brought nothing; the keys before it stay until they are stale.
#[derive(Debug, thiserror::Error)]
pub enum FetchFailed {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the answer has status {0}; redirects are not followed")]
    Status(StatusCode),
    #[error("the answer is not JSON (Content-Type)")]
    ContentType,
    #[error("the discovery document is not acceptable JSON: {0}")]
    Discovery(#[from] JsonRefused),
    #[error("the discovery document is of another issuer")]
    OtherIssuer,
    #[error("the address of the keys is not acceptable: {0}")]
    Address(&'static str),
    #[error(transparent)]
    Document(#[from] jwks::DocumentRefused),
}

impl FetchFailed {
    /// A closed set of words, for the metric.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Client(ClientError::Deadline(_)) => "deadline",
            Self::Client(ClientError::TooLarge(_)) => "too-large",
            Self::Client(ClientError::Unreachable(_)) => "unreachable",
            Self::Client(ClientError::Broken(_) | ClientError::BadRequest(_)) => "broken",
            Self::Status(_) => "status",
            Self::ContentType => "content-type",
            Self::Discovery(_) | Self::OtherIssuer | Self::Address(_) => "discovery",
            Self::Document(_) => "document",
        }
    }
}

pub struct Remote {
    issuer: Arc<str>,
    algorithms: Vec<Algorithm>,
    location: Location,
    around: Around,
    /// After the last success the keys count no longer than this.
    max_stale: Duration,
    set: ArcSwapOption<KeySet>,
    flight: Mutex<Flight>,
}

#[derive(Default)]
struct Flight {
    /// When the last fetch was started.
    started: Option<Timestamp>,
    /// Closed when that fetch has ended.
    running: Option<watch::Receiver<()>>,
    missing: HashMap<Box<str>, Timestamp>,
}

impl Remote {
    /// # Errors
    /// The address is not one to get keys from.
    pub fn new(
        issuer: &IssuerConfig,
        location: Location,
        around: Around,
    ) -> Result<Self, &'static str> {
        let (Location::Jwks(uri) | Location::Discovery(uri)) = &location;
        check_address(uri, around.environment)?;
        Ok(Self {
            issuer: Arc::clone(&issuer.issuer),
            algorithms: issuer.algorithms.clone(),
            location,
            max_stale: issuer.max_stale,
            around,
            set: ArcSwapOption::empty(),
            flight: Mutex::default(),
        })
    }

    #[must_use]
    pub fn current(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        self.set.load_full().filter(|set| self.is_fresh(set, now))
    }

    #[must_use]
    pub fn is_current(&self, generation: u64, now: Timestamp) -> bool {
        let set = self.set.load();
        set.as_ref().is_some_and(|set| set.generation == generation && self.is_fresh(set, now))
    }

    /// Waits for a fetch: the one under way, or a new one unless it is too soon for one. Giving up
    /// waiting does not stop the fetch. `false`: it was too soon.
    pub async fn refetch(self: &Arc<Self>) -> bool {
        let Some(mut running) = self.start_or_join() else { return false };
        // Nothing is ever sent: the end is that the sender is gone.
        let _ended = running.changed().await;
        true
    }

    fn start_or_join(self: &Arc<Self>) -> Option<watch::Receiver<()>> {
        let mut flight = self.flight();
        if let Some(running) = flight.running.as_ref().filter(|it| it.has_changed().is_ok()) {
            return Some(running.clone());
        }
        let now = self.around.clock.now();
        if flight.started.is_some_and(|at| is_within(at, COOL_DOWN, now)) {
            return None;
        }
        let (ended, running) = watch::channel(());
        flight.started = Some(now);
        flight.running = Some(running.clone());
        let remote = Arc::clone(self);
        tokio::spawn(async move {
            remote.fetch_and_keep().await;
            drop(ended);
        });
        Some(running)
    }

    /// Whether it is worth asking the issuer about this key id.
    #[must_use]
    pub fn may_learn(&self, id: Option<&str>) -> bool {
        let Some(id) = id else { return false };
        let now = self.around.clock.now();
        self.flight().missing.get(id).is_none_or(|since| !is_within(*since, MISSING_FOR, now))
    }

    /// The issuer was asked and does not know this key id.
    pub fn is_missing(&self, id: &str) {
        let mut flight = self.flight();
        if flight.missing.len() >= MAX_MISSING {
            // The cool-down still bounds what a flood of ids can cause.
            flight.missing.clear();
        }
        flight.missing.insert(id.into(), self.around.clock.now());
    }

    /// Refreshes for ever: at once, then every five minutes, after a failure as soon as allowed.
    pub async fn refresh(self: Arc<Self>) {
        loop {
            let before = self.read_at();
            self.refetch().await;
            let pause = if self.read_at() > before { REFRESH } else { COOL_DOWN };
            tokio::time::sleep(pause).await;
        }
    }

    fn read_at(&self) -> Option<Timestamp> {
        self.set.load().as_ref().map(|set| set.read_at)
    }

    async fn fetch_and_keep(&self) {
        let fetched = self.fetch().await;
        let (issuer, metrics) = (&self.issuer, &self.around.metrics);
        KeysFetched { issuer, failure: fetched.as_ref().err().map(FetchFailed::kind) }
            .emit(metrics);
        match fetched {
            Ok(set) => self.keep(set),
            Err(error) => {
                tracing::warn!(issuer = %self.issuer, %error, "the key set could not be fetched");
            }
        }
    }

    fn keep(&self, set: KeySet) {
        let before = self.set.load_full();
        let set = set.after(before.as_deref());
        let news =
            before.is_none_or(|old| old.generation != set.generation || old.dropped != set.dropped);
        if news {
            set.log(&self.issuer);
            self.flight().missing.clear();
        }
        let (issuer, read_at) = (&self.issuer, set.read_at);
        KeysRead { issuer, read_at, usable: set.keys.len(), dropped: set.dropped.len() }
            .emit(&self.around.metrics);
        self.set.store(Some(Arc::new(set)));
    }

    async fn fetch(&self) -> Result<KeySet, FetchFailed> {
        let until = Instant::now() + self.around.deadline;
        let uri = match &self.location {
            Location::Jwks(uri) => uri.clone(),
            Location::Discovery(uri) => {
                let document = self.get(uri.clone(), until).await?;
                self.discovered(&document)?
            }
        };
        let document = self.get(uri, until).await?;
        Ok(jwks::parse(&document, &self.algorithms, self.around.clock.now())?)
    }

    async fn get(&self, uri: Uri, until: Instant) -> Result<Bytes, FetchFailed> {
        let left = until.saturating_duration_since(Instant::now());
        let response = self.around.client.get(uri, left, jwks::MAX_DOCUMENT).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchFailed::Status(response.status()));
        }
        if is_json(&response) { Ok(response.into_body()) } else { Err(FetchFailed::ContentType) }
    }

    /// `jwks_uri` of the issuer's metadata (`OpenID` Connect Discovery 1.0, section 4.3).
    fn discovered(&self, document: &[u8]) -> Result<Uri, FetchFailed> {
        let document = strict_json::parse_object(document)?;
        let text = |name: &str| document.get(name).and_then(serde_json::Value::as_str);
        if text("issuer") != Some(&self.issuer) {
            return Err(FetchFailed::OtherIssuer);
        }
        let uri = text("jwks_uri").and_then(|uri| uri.parse::<Uri>().ok());
        let uri = uri.ok_or(FetchFailed::Address("jwks_uri is missing or not a URL"))?;
        check_address(&uri, self.around.environment).map_err(FetchFailed::Address)?;
        Ok(uri)
    }

    /// Keys from the future mean that the clock went back: nobody knows how old they are.
    fn is_fresh(&self, set: &KeySet, now: Timestamp) -> bool {
        now.since(set.read_at) < self.max_stale && set.read_at <= now.plus(REFRESH)
    }

    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `span` has not passed since `start`. When the clock went back behind `start` it has: one early
/// fetch does less harm than none for as long as the clock was wrong.
fn is_within(start: Timestamp, span: Duration, now: Timestamp) -> bool {
    start <= now && now.since(start) < span
}

fn is_json(response: &Response<Bytes>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// HTTPS; plain HTTP on this machine or in development.
fn check_address(uri: &Uri, environment: Environment) -> Result<(), &'static str> {
    let host = uri.host().ok_or("the address has no host")?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("the address carries user information");
    }
    match (uri.scheme_str(), environment) {
        (Some("https"), Environment::Production | Environment::Development)
        | (Some("http"), Environment::Development) => Ok(()),
        (Some("http"), Environment::Production) if is_loopback(host) => Ok(()),
        (Some(_) | None, Environment::Production | Environment::Development) => {
            Err("keys are fetched over https only (plain http: in development, or on loopback)")
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
