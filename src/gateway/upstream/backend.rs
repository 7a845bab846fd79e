//! One backend, as all cores see it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::{EjectionConfig, Upstream};

use super::names::{Host, Reached};
use super::resolver::Resolver;
use super::tls::TlsTarget;

/// One backend, as all cores see it. Nothing of it decides on access: one that is unhealthy or
/// ejected is only asked last.
#[derive(Debug)]
pub struct Backend {
    pub upstream: Upstream,
    /// There for https.
    pub tls: Option<TlsTarget>,
    host: Option<Host>,
    /// For logs: scheme, host and port.
    name: Box<str>,
    unhealthy: AtomicBool,
    failures: AtomicU32,
    ejections: AtomicU32,
    /// In milliseconds since `began`; 0: never.
    ejected_until: AtomicU64,
    began: Instant,
}

impl Backend {
    #[must_use]
    pub fn new(upstream: &Upstream, tls: Option<TlsTarget>, resolver: &Resolver) -> Self {
        Self {
            upstream: upstream.clone(),
            tls,
            host: upstream
                .host_and_port()
                .map(|(host, port)| Host::new(host, port, resolver.clone())),
            name: upstream.to_string().into(),
            unhealthy: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Host and port, or a socket's path and no port.
    #[must_use]
    pub fn address(&self) -> (&str, Option<u16>) {
        match &self.upstream {
            Upstream::Unix(_) => (self.name(), None),
            Upstream::Http { host, port }
            | Upstream::Https { host, port }
            | Upstream::H2c { host, port } => (host, Some(*port)),
        }
    }

    #[must_use]
    pub fn is_h2c(&self) -> bool {
        matches!(self.upstream, Upstream::H2c { .. })
    }

    #[must_use]
    pub fn may_speak_http2(&self) -> bool {
        self.is_h2c() || self.tls.as_ref().is_some_and(|tls| tls.offers_http2)
    }

    /// There for all but sockets.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// Whether a connection goes to where the backend still is.
    #[must_use]
    pub fn is_still_at(&self, reached: &Reached) -> bool {
        self.host.as_ref().is_none_or(|host| host.is_still_at(reached))
    }

    /// Neither unhealthy nor ejected.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.is_healthy() && !self.is_ejected()
    }

    /// What the last checks say; without checks it is.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Ordering::Relaxed)
    }

    pub(super) fn set_healthy(&self, is_healthy: bool) {
        self.unhealthy.store(!is_healthy, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_ejected(&self) -> bool {
        let until = self.ejected_until.load(Ordering::Relaxed);
        until != 0 && self.now() < until
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// It answered.
    pub(super) fn forget_failures(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// How many failed in a row.
    pub(super) fn count_failure(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Leaves it alone for a while: longer each time, unless the last time is long ago.
    pub(super) fn eject(&self, rule: &EjectionConfig) -> Duration {
        let (now, last) = (self.now(), self.ejected_until.load(Ordering::Relaxed));
        let most = u64::try_from(rule.most.as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(last) > most {
            self.ejections.store(0, Ordering::Relaxed);
        }
        let times = self.ejections.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let span = rule.base.saturating_mul(times).min(rule.most);
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.ejected_until.store(now.saturating_add(millis).max(1), Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        span
    }
}
