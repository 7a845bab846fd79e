//! The backends of one tool, as all cores see them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{ToolConfig, ToolTimeouts, Upstream, UpstreamOptions};
use crate::domain::time::Timestamp;
use crate::telemetry::events::upstreams::{BackendEjected, ToolMetrics};
use crate::telemetry::metrics::Metrics;

use super::backend::Backend;
use super::choose::Ring;
use super::resolver::Resolver;
use super::tls::Tls;

/// Numbers are never used twice, so that what a core keeps under one is never another tool's.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The backends of one tool, as all cores see them.
#[derive(Debug)]
pub struct Upstreams {
    /// Counts from 0.
    pub number: usize,
    pub tool: Arc<str>,
    pub timeouts: ToolTimeouts,
    pub options: UpstreamOptions,
    /// At least one.
    pub backends: Vec<Arc<Backend>>,
    /// There where backends are found by hash.
    pub ring: Option<Ring>,
    pub metrics: ToolMetrics,
    tls: Tls,
    taken: AtomicUsize,
    ejecting: Mutex<()>,
}

/// One request's place at a tool, until its response has been sent or given up.
#[derive(Debug)]
pub struct Place(Arc<Upstreams>);

impl Upstreams {
    /// # Errors
    /// TLS files that cannot be used, with the key path below the tool.
    pub fn open(
        config: &ToolConfig,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Result<Arc<Self>, String> {
        let tls = Tls::open(&config.upstream.tls, &config.upstreams, now)?;
        let resolver = Resolver::new(Arc::clone(&config.upstream.dns));
        let backend = |it: &Upstream| {
            let target = tls.target(it, &config.upstream.tls)?;
            Ok(Arc::new(Backend::new(it, target, &resolver)))
        };
        let backends: Vec<Arc<Backend>> =
            config.upstreams.iter().map(backend).collect::<Result<_, String>>()?;
        Ok(Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            tool: Arc::clone(&config.name),
            timeouts: config.timeouts,
            options: config.upstream.clone(),
            ring: Ring::of(&config.upstream.balance, &backends),
            backends,
            tls,
            metrics: ToolMetrics::new(metrics, &config.name),
            taken: AtomicUsize::new(0),
            ejecting: Mutex::default(),
        }))
    }

    /// Reads the TLS files anew.
    ///
    /// # Errors
    /// Which of them cannot be used; what was read before stays in use.
    pub fn reload(&self, now: Timestamp) -> Result<(), String> {
        let reloaded = self.tls.reload(&self.options.tls, now);
        reloaded.map_err(|why| format!("tools: {}: {why}", self.tool))
    }

    /// A place, where the tool has a limit of its own.
    ///
    /// # Errors
    /// As many requests as it allows are open.
    pub fn take_place(self: &Arc<Self>) -> Result<Option<Place>, Full> {
        let Some(most) = self.options.max_concurrent else { return Ok(None) };
        let more = |taken: usize| (taken < most).then_some(taken + 1);
        match self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(Some(Place(Arc::clone(self)))),
            Err(_) => Err(Full),
        }
    }

    /// A backend could not be connected to, broke off, was silent, or said that it cannot answer.
    pub fn failed(&self, backend: &Backend) {
        let Some(rule) = &self.options.ejection else { return };
        if self.backends.len() < 2 || backend.count_failure() < rule.failures {
            return;
        }
        // One at a time: two cores must not eject the last two.
        let _alone = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let ejected = self.backends.iter().filter(|it| it.is_ejected()).count();
        let others = self.backends.iter().filter(|it| !std::ptr::eq(Arc::as_ptr(it), backend));
        let is_last = !others.into_iter().any(|it| it.is_usable());
        if backend.is_ejected() || is_last || (ejected + 1) * 2 > self.backends.len() {
            return;
        }
        let span = backend.eject(rule);
        BackendEjected { tool: &self.tool, backend: backend.name(), span }.emit(&self.metrics);
    }
}

/// The tool has as many requests as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}
