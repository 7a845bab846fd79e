//! What all cores share, and what each has for itself.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use http::Method;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use tokio::time::Instant;
use tracing::Instrument;

use crate::clock::SharedClock;
use crate::config::Limits;
use crate::domain::template::Catalog;
use crate::entropy::{self, NoEntropy};
use crate::identity::roles::{RoleRules, USER, Withheld};
use crate::telemetry::decision::SharedDecisionLog;
use crate::telemetry::events::gateway::Step;
use crate::telemetry::hot::HotMetrics;
use crate::telemetry::ids::UserHashes;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::spans;

use super::framing::HeadLimits;
use super::lease::{Leases, Moves};
use super::limits::Slots;
use super::ports::Ports;
use super::recent::Recent;
use super::refusal::Refusal;
use super::route::Routes;
use super::texts::Texts;
use super::timers::Timers;
use super::upstream::Pool;
use super::uses::Uses;

/// Beyond this a target is answered with 414.
const TARGET_BYTES: usize = 8 * 1024;

/// Everything that the cores share. Routes and catalog may be swapped while it runs.
pub struct Shared {
    pub routes: Arc<ArcSwap<Routes>>,
    pub catalog: Arc<ArcSwap<Catalog>>,
    pub roles: RoleRules,
    pub limits: Limits,
    /// The most client connections that are held at once; more wait to be accepted.
    pub connections: usize,
    /// The API as people reach it.
    pub public_url: Arc<str>,
    /// The beginning of every decision id that this process makes: visible ASCII.
    pub instance: Arc<str>,
    pub clock: SharedClock,
    pub decisions: SharedDecisionLog,
    /// When to look at what permits the open exchanges.
    pub moves: Moves,
    /// Recent decisions, so that they can be explained.
    pub recent: Arc<Recent>,
    /// How often grants let requests through.
    pub uses: Arc<Uses>,
    pub metrics: Metrics,
    /// Names people in spans.
    pub users: Arc<UserHashes>,
}

/// One core: its ports, its connections to tools, its counters.
pub struct Core<P> {
    pub ports: P,
    pub shared: Arc<Shared>,
    pub pool: Rc<Pool>,
    pub leases: Rc<Leases>,
    pub slots: Slots,
    pub index: usize,
    pub ids: Ids,
    pub texts: Texts,
    pub timers: Timers,
    pub metrics: HotMetrics,
    /// Its part of the connections that the process may hold.
    pub connections: usize,
    pub draining: Cell<bool>,
    pub user_role: Arc<str>,
    no_text: Arc<str>,
    withheld: RefCell<Own<Catalog, Withheld>>,
    /// The routes, over names of this core.
    routes: RefCell<Own<Routes, Routes>>,
    hosts: RefCell<FxHashSet<Arc<str>>>,
    methods: RefCell<FxHashSet<Arc<str>>>,
}

impl<P: Ports> Core<P> {
    /// # Errors
    /// No random bytes to start the identifiers from.
    pub fn new(
        ports: P,
        shared: Arc<Shared>,
        index: usize,
        cores: usize,
    ) -> Result<Self, NoEntropy> {
        let share = shared.limits.concurrent_requests.div_ceil(cores.max(1)).max(1);
        let slots = Slots::new(share, shared.metrics.http_server_active.clone());
        let ids = Ids::new(&shared.instance, index)?;
        let routes = Own::new(&shared.routes, |routes| routes.apart());
        let hierarchy = &shared.roles.hierarchy;
        let withheld =
            Own::new(&shared.catalog, |catalog| Withheld::of(Arc::clone(catalog), hierarchy));
        Ok(Self {
            ports,
            pool: Rc::default(),
            leases: Leases::new(Arc::clone(&shared)),
            slots,
            index,
            ids,
            texts: Texts::default(),
            timers: Timers::default(),
            metrics: HotMetrics::of(&shared.metrics),
            connections: shared.connections.div_ceil(cores.max(1)).max(1),
            draining: Cell::new(false),
            user_role: USER.into(),
            no_text: "".into(),
            withheld: RefCell::new(withheld),
            routes: RefCell::new(routes),
            hosts: RefCell::default(),
            methods: RefCell::default(),
            shared,
        })
    }

    /// One step of admission that began at `since`: measured, under a span of its own. With what came
    /// of it, when it ended.
    pub async fn step<T>(
        &self,
        (step, since): (Step, Instant),
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> (Result<T, Refusal>, Instant) {
        let span = step.span();
        let done = if span.is_disabled() {
            work.await
        } else {
            let done = Box::pin(work.instrument(span.clone())).await;
            if let Err(refusal) = &done {
                spans::failed(&span, refusal.code);
            }
            done
        };
        let ended = Instant::now();
        self.metrics.step(step, ended.duration_since(since));
        (done, ended)
    }

    pub fn head_limits(&self) -> HeadLimits {
        let limits = &self.shared.limits;
        HeadLimits {
            head_bytes: limits.header_bytes,
            header_count: limits.header_count,
            target_bytes: TARGET_BYTES.min(limits.header_bytes),
        }
    }

    /// The routes, made anew when they were swapped.
    pub fn routes(&self) -> Rc<Routes> {
        self.routes.borrow_mut().current(|routes| routes.apart())
    }

    /// Which roles only grants give, made anew when the catalog was swapped.
    pub fn withheld(&self) -> Rc<Withheld> {
        let hierarchy = &self.shared.roles.hierarchy;
        let make = |catalog: &Arc<Catalog>| Withheld::of(Arc::clone(catalog), hierarchy);
        self.withheld.borrow_mut().current(make)
    }

    /// The host as a shared text.
    pub fn host_name(&self, host: &str) -> Arc<str> {
        shared_text(&self.hosts, host)
    }

    /// No text, shared: what is not known yet in a record.
    pub fn no_text(&self) -> Arc<str> {
        Arc::clone(&self.no_text)
    }

    /// The method as a shared text.
    pub fn method_name(&self, method: &Method) -> Arc<str> {
        shared_text(&self.methods, method.as_str())
    }
}

/// What one core makes of something that all share, and that may be swapped. Whether it was is one look
/// at a pointer.
struct Own<T, O> {
    shared: Cache<Arc<ArcSwap<T>>, Arc<T>>,
    made_of: Arc<T>,
    made: Rc<O>,
}

impl<T, O> Own<T, O> {
    fn new(shared: &Arc<ArcSwap<T>>, make: impl FnOnce(&Arc<T>) -> O) -> Self {
        let made_of = shared.load_full();
        let first = make(&made_of);
        Self { shared: Cache::new(Arc::clone(shared)), made_of, made: Rc::new(first) }
    }

    fn current(&mut self, make: impl FnOnce(&Arc<T>) -> O) -> Rc<O> {
        let current = self.shared.load();
        if !Arc::ptr_eq(&self.made_of, current) {
            self.made = Rc::new(make(current));
            self.made_of = Arc::clone(current);
        }
        Rc::clone(&self.made)
    }
}

/// A few are kept, so that a record costs no copy.
fn shared_text(known: &RefCell<FxHashSet<Arc<str>>>, text: &str) -> Arc<str> {
    let mut known = known.borrow_mut();
    if let Some(shared) = known.get(text) {
        return Arc::clone(shared);
    }
    let shared: Arc<str> = text.into();
    if known.len() < 64 {
        known.insert(Arc::clone(&shared));
    }
    shared
}

fn push_decimal(text: &mut SmallVec<[u8; 128]>, number: u64) {
    if number >= 10 {
        push_decimal(text, number / 10);
    }
    text.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
}

/// Identifiers of one core: decisions in sequence, trace ids scattered. None of them is a secret.
#[derive(Debug)]
pub struct Ids {
    prefix: Box<str>,
    next: Cell<u64>,
    state: Cell<u64>,
}

impl Ids {
    fn new(instance: &str, core: usize) -> Result<Self, NoEntropy> {
        let state = u64::from_be_bytes(entropy::bytes()?);
        Ok(Self {
            prefix: format!("{instance}-{core}-").into(),
            next: Cell::new(0),
            state: Cell::new(state),
        })
    }

    /// `<instance>-<core>-<number>`, and the number, which counts from 1 and never repeats in a
    /// process.
    pub fn decision(&self) -> (Arc<str>, u64) {
        let number = self.next.get() + 1;
        self.next.set(number);
        // A prefix is an instance's name, a number and two signs.
        let mut text = SmallVec::<[u8; 128]>::from_slice(self.prefix.as_bytes());
        push_decimal(&mut text, number);
        let id = std::str::from_utf8(&text).map_or_else(|_| self.spelled(number), Arc::from);
        (id, number)
    }

    fn spelled(&self, number: u64) -> Arc<str> {
        format!("{}{number}", self.prefix).into()
    }

    /// `SplitMix64`.
    fn scattered(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // Zero is no identifier.
        (mixed ^ (mixed >> 31)).max(1)
    }

    pub fn span(&self) -> [u8; 8] {
        self.scattered().to_be_bytes()
    }

    pub fn trace(&self) -> [u8; 16] {
        let high = u128::from(self.scattered()) << 64;
        (high | u128::from(self.scattered())).to_be_bytes()
    }
}
