//! Every metric, registered in one place under its documented name. Label values are closed sets: tool and
//! template names come from the configuration, everything else from enums.

mod labels;
mod spread;
mod traced;
mod upstreams;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use labels::*;
pub use spread::{Part, Spread};
pub use traced::{CounterPart, HistogramPart, TracedCounter, TracedHistogram};
pub use upstreams::{ToolOutcome, UpstreamMetrics};

pub type Name = Arc<str>;

pub type FloatGauge = Gauge<f64, AtomicU64>;
pub type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;
pub type Spreads<L> = Family<L, Spread, fn() -> Spread>;

/// Every metric of the process. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub requests: Family<RequestLabels, TracedCounter>,
    pub request_duration: Family<ToolLabel, TracedHistogram, fn() -> TracedHistogram>,
    pub step_duration: Spreads<StepLabel>,
    pub open_leases: Gauge<i64, AtomicI64>,
    pub leases_cut: Family<CauseLabel, Counter>,
    pub tunnels_closed: Family<EndLabel, Counter>,
    pub revocation_effect: Histogram,
    pub connections_refused: Family<CauseLabel, Counter>,
    pub store_errors: Family<KindLabel, Counter>,
    pub provider_requests: Family<SourceLabels, Counter>,
    pub approvals: Family<ApprovalLabels, Counter>,
    pub decision_wait: Histograms<TemplateLabel>,
    pub pending_requests: Family<TemplateLabel, Gauge>,
    pub active_grants: Family<ToolLabel, Gauge>,
    pub clock_skew: FloatGauge,
    pub jwks_refreshed: Family<IssuerLabel, FloatGauge>,
    pub jwks_fetches: Family<FetchLabels, Counter>,
    pub jwks_keys: Family<KeyLabels, Gauge>,
    pub outbox_age: Family<SinkLabel, FloatGauge>,
    pub directory_age: Family<DirectoryLabel, FloatGauge>,
    pub directory_failures: Family<DirectoryLabel, Counter>,
    pub webhook_calls: Family<DeliveryLabels, Counter>,
    pub dead_letters: Family<DeliveryLabels, Counter>,
    pub config_reload_ok: Gauge,
    pub policy_reload_ok: Gauge,
    pub policy_loaded: Gauge,
    pub policy_reloads: Family<ReloadLabel, Counter>,
    pub policy_errors: Family<KindLabel, Counter>,
    pub policy_shadow: Family<OutcomeLabel, Counter>,
    pub decisions_dropped: Counter,
    pub http_server_duration: Spreads<HttpLabels>,
    pub http_client_duration: Spreads<HttpLabels>,
    pub http_server_active: Gauge,
    pub upstreams: UpstreamMetrics,
}

static REQUEST_BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
static STEP_BUCKETS: [f64; 12] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.05, 0.25,
    1.0,
];
const WAIT_BUCKETS: [f64; 10] =
    [1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 604_800.0];

fn request_histogram() -> Histogram {
    Histogram::new(REQUEST_BUCKETS)
}

fn traced_histogram() -> TracedHistogram {
    TracedHistogram::new(&REQUEST_BUCKETS)
}

fn spread_requests() -> Spread {
    Spread::new(&REQUEST_BUCKETS)
}

fn spread_steps() -> Spread {
    Spread::new(&STEP_BUCKETS)
}

fn wait_histogram() -> Histogram {
    Histogram::new(WAIT_BUCKETS)
}

/// Makes a family show its help and type also before it has its first member.
#[derive(Debug)]
struct Shown<M>(M);

impl<M: EncodeMetric> EncodeMetric for Shown<M> {
    fn encode(&self, encoder: MetricEncoder) -> fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}

impl Metrics {
    /// Makes all metrics and registers them under their documented names.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        metrics.register_tidegate(registry);
        metrics.register_identity(registry);
        metrics.register_policy(registry);
        metrics.register_directory(registry);
        metrics.register_outbox(registry);
        metrics.register_http(registry);
        metrics.upstreams.register(registry);
        let version = vec![
            ("version", env!("CARGO_PKG_VERSION")),
            ("revision", option_env!("TIDEGATE_REVISION").unwrap_or("unknown")),
        ];
        registry.register("tidegate_build", "What is running", Info::new(version));
        metrics
    }

    /// Metrics that nobody scrapes (tests).
    #[must_use]
    pub fn unregistered() -> Self {
        Self {
            requests: Family::default(),
            request_duration: Family::new_with_constructor(traced_histogram),
            step_duration: Family::new_with_constructor(spread_steps),
            open_leases: Gauge::default(),
            leases_cut: Family::default(),
            tunnels_closed: Family::default(),
            revocation_effect: request_histogram(),
            connections_refused: Family::default(),
            store_errors: Family::default(),
            provider_requests: Family::default(),
            approvals: Family::default(),
            decision_wait: Family::new_with_constructor(wait_histogram),
            pending_requests: Family::default(),
            active_grants: Family::default(),
            clock_skew: Gauge::default(),
            jwks_refreshed: Family::default(),
            jwks_fetches: Family::default(),
            jwks_keys: Family::default(),
            outbox_age: Family::default(),
            directory_age: Family::default(),
            directory_failures: Family::default(),
            webhook_calls: Family::default(),
            dead_letters: Family::default(),
            config_reload_ok: Gauge::default(),
            policy_reload_ok: Gauge::default(),
            policy_loaded: Gauge::default(),
            policy_reloads: Family::default(),
            policy_errors: Family::default(),
            policy_shadow: Family::default(),
            decisions_dropped: Counter::default(),
            http_server_duration: Family::new_with_constructor(spread_requests),
            http_client_duration: Family::new_with_constructor(spread_requests),
            http_server_active: Gauge::default(),
            upstreams: UpstreamMetrics::default(),
        }
    }

    fn register_identity(&self, r: &mut Registry) {
        r.register(
            "tidegate_jwks_last_refresh_success_timestamp_seconds",
            "When the key set was last read",
            Shown(self.jwks_refreshed.clone()),
        );
        r.register(
            "tidegate_jwks_fetches",
            "Times an issuer was asked for its keys, by how it went",
            Shown(self.jwks_fetches.clone()),
        );
        r.register(
            "tidegate_jwks_keys",
            "Keys of the set in force, usable and dropped",
            Shown(self.jwks_keys.clone()),
        );
    }

    fn register_policy(&self, r: &mut Registry) {
        r.register(
            "tidegate_policy_errors",
            "Questions that the policy engine could not decide",
            Shown(self.policy_errors.clone()),
        );
        r.register(
            "tidegate_policy_shadow",
            "Decisions compared with those of another engine",
            Shown(self.policy_shadow.clone()),
        );
        r.register(
            "tidegate_provider_requests",
            "Questions to the sources of resource attributes",
            Shown(self.provider_requests.clone()),
        );
        r.register(
            "tidegate_policy_last_reload_successful",
            "1 when the newest policies are in force",
            self.policy_reload_ok.clone(),
        );
        r.register(
            "tidegate_policy_last_reload_success_timestamp_seconds",
            "When the policies in force were read",
            self.policy_loaded.clone(),
        );
        r.register(
            "tidegate_policy_reloads",
            "Reloads of the policies by outcome",
            Shown(self.policy_reloads.clone()),
        );
    }

    fn register_tidegate(&self, registry: &mut Registry) {
        let r = registry;
        r.register("tidegate_requests", "Proxied requests", Shown(self.requests.clone()));
        r.register(
            "tidegate_request_duration_seconds",
            "From the request's head to the response's head",
            Shown(self.request_duration.clone()),
        );
        r.register(
            "tidegate_step_duration_seconds",
            "Time each step of admission took",
            Shown(self.step_duration.clone()),
        );
        r.register("tidegate_open_leases", "Exchanges bound to a grant", self.open_leases.clone());
        r.register(
            "tidegate_leases_cut",
            "Exchanges cut because their grant ended",
            Shown(self.leases_cut.clone()),
        );
        r.register(
            "tidegate_tunnels_closed",
            "WebSocket tunnels that are over",
            Shown(self.tunnels_closed.clone()),
        );
        r.register(
            "tidegate_connections_refused",
            "Client connections ended without an answer",
            Shown(self.connections_refused.clone()),
        );
        r.register(
            "tidegate_revocation_effect_seconds",
            "From a revocation's commit to its effect",
            self.revocation_effect.clone(),
        );
        r.register(
            "tidegate_store_errors",
            "Store reads and commits that failed",
            Shown(self.store_errors.clone()),
        );
        r.register("tidegate_approvals", "Requests by outcome", Shown(self.approvals.clone()));
        r.register(
            "tidegate_decision_wait_seconds",
            "From a request to its decision",
            Shown(self.decision_wait.clone()),
        );
        r.register(
            "tidegate_pending_requests",
            "Requests that wait for a decision",
            Shown(self.pending_requests.clone()),
        );
        r.register(
            "tidegate_active_grants",
            "Grants that are live",
            Shown(self.active_grants.clone()),
        );
        r.register(
            "tidegate_clock_skew_seconds",
            "This clock minus the store's",
            self.clock_skew.clone(),
        );
        r.register(
            "tidegate_config_last_reload_successful",
            "1 when the newest configuration is in force",
            self.config_reload_ok.clone(),
        );
        r.register(
            "tidegate_decision_records_dropped",
            "Decision records lost to a full buffer",
            self.decisions_dropped.clone(),
        );
    }

    fn register_directory(&self, r: &mut Registry) {
        r.register(
            "tidegate_directory_age_seconds",
            "How old what a source of the directory said is",
            Shown(self.directory_age.clone()),
        );
        r.register(
            "tidegate_directory_failures",
            "Times a source of the directory could not be read",
            Shown(self.directory_failures.clone()),
        );
    }

    fn register_outbox(&self, r: &mut Registry) {
        r.register(
            "tidegate_outbox_oldest_event_age_seconds",
            "Age of the oldest event a sink has not taken",
            Shown(self.outbox_age.clone()),
        );
        r.register(
            "tidegate_webhook_calls",
            "Calls of webhooks by how they went",
            Shown(self.webhook_calls.clone()),
        );
        r.register(
            "tidegate_dead_letters",
            "What became of events that a webhook did not take",
            Shown(self.dead_letters.clone()),
        );
    }

    fn register_http(&self, registry: &mut Registry) {
        let r = registry;
        r.register(
            "http_server_request_duration_seconds",
            "Duration of server requests",
            Shown(self.http_server_duration.clone()),
        );
        r.register(
            "http_client_request_duration_seconds",
            "Duration of upstream requests",
            Shown(self.http_client_duration.clone()),
        );
        r.register(
            "http_server_active_requests",
            "Requests being served",
            self.http_server_active.clone(),
        );
    }
}
