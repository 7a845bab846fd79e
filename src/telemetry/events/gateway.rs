//! Facts of the data plane. Labels are closed sets: tools come from the configuration, methods are
//! those of the standard or `_OTHER`.

use std::net::IpAddr;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;
use tracing::Span;

use crate::problem::ProblemCode;
use crate::store::StoreFault;
use crate::telemetry::decision::LeaseCut;
use crate::telemetry::events::store_failed;
use crate::telemetry::hot::HotMetrics;
use crate::telemetry::metrics::{CauseLabel, HttpLabels, Metrics, Name, RequestLabels};
use crate::telemetry::seldom::Seldom;
use crate::telemetry::spans::{self, ClientSpan, ServerSpan, method_name};
use crate::telemetry::trace::TraceId;

static FULL_CLIENTS: Seldom = Seldom::new();

/// A request has its response head.
#[derive(Debug)]
pub struct RequestAnswered<'a> {
    /// `none` when no tool was found.
    pub tool: Name,
    pub outcome: Outcome,
    pub method: &'a Method,
    /// `http`, `https`.
    pub scheme: &'static str,
    pub status: u16,
    /// The pattern of the rule that matched.
    pub route: Option<Name>,
    pub elapsed: Duration,
    pub span: &'a ServerSpan,
    /// A trace that somebody may have recorded.
    pub trace: Option<TraceId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Allowed,
    Bypassed,
    Refused(ProblemCode),
    /// Allowed, but the tool gave no usable answer.
    Failed(ProblemCode),
}

impl Outcome {
    const fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Allowed => ("allowed", "allowed"),
            Self::Bypassed => ("allowed", "bypassed"),
            Self::Refused(code) => ("refused", code.code()),
            Self::Failed(code) => ("failed", code.code()),
        }
    }

    const fn problem(self) -> Option<ProblemCode> {
        match self {
            Self::Allowed | Self::Bypassed => None,
            Self::Refused(code) | Self::Failed(code) => Some(code),
        }
    }
}

impl RequestAnswered<'_> {
    pub fn emit(self, metrics: &HotMetrics) {
        let (outcome, reason) = self.outcome.labels();
        let problem = self.outcome.problem();
        self.span.tool(&self.tool);
        self.span.end(self.method, self.route.as_deref(), self.status, problem);
        let labels = RequestLabels { tool: self.tool, outcome, reason };
        metrics.request(labels, self.elapsed, self.trace);
        let labels = http_labels(self.method, self.status, self.route, problem);
        metrics.server(HttpLabels { url_scheme: self.scheme, ..labels }, self.elapsed);
    }
}

fn http_labels(
    method: &Method,
    status: u16,
    route: Option<Name>,
    problem: Option<ProblemCode>,
) -> HttpLabels {
    HttpLabels {
        http_request_method: method_name(method),
        http_response_status_code: status,
        http_route: route.unwrap_or_default(),
        url_scheme: "http",
        error_type: problem.map_or("", ProblemCode::code),
    }
}

/// One step of admission, or the tool's answer, took this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Identity,
    Grants,
    Policy,
    Upstream,
}

impl Step {
    pub const ALL: [Self; 4] = [Self::Identity, Self::Grants, Self::Policy, Self::Upstream];

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Grants => "grants",
            Self::Policy => "policy",
            Self::Upstream => "upstream",
        }
    }

    /// The span of a step of admission; the exchange with the tool has a [`ClientSpan`].
    #[must_use]
    pub fn span(self) -> Span {
        match self {
            Self::Identity => spans::identity(),
            Self::Grants => spans::grants(),
            Self::Policy => spans::policy(),
            Self::Upstream => Span::none(),
        }
    }
}

/// The tool answered with a head, or failed to.
#[derive(Debug)]
pub struct UpstreamAnswered<'a> {
    pub method: &'a Method,
    /// `None` without an answer.
    pub status: Option<u16>,
    pub route: Name,
    pub failure: Option<ProblemCode>,
    pub took: Duration,
    pub span: &'a ClientSpan,
}

impl UpstreamAnswered<'_> {
    pub fn emit(self, metrics: &HotMetrics) {
        self.span.end(self.status, self.failure);
        metrics.step(Step::Upstream, self.took);
        let status = self.status.unwrap_or_default();
        let labels = http_labels(self.method, status, Some(self.route), self.failure);
        metrics.client(labels, self.took);
    }
}

/// The tool could not be asked, or what it said is not HTTP.
#[derive(Debug)]
pub struct UpstreamFailed<'a> {
    pub tool: &'a str,
    pub why: &'a str,
}

impl UpstreamFailed<'_> {
    pub fn emit(&self) {
        tracing::warn!(tool = self.tool, why = self.why, "the tool gave no usable answer");
    }
}

/// A read of the hot path failed.
#[derive(Debug)]
pub struct StoreReadFailed<'a>(pub &'a StoreFault);

impl StoreReadFailed<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        let Some(untold) = store_failed(metrics, self.0, "request") else { return };
        tracing::warn!(fault = %self.0, untold, "grants could not be read");
    }
}

/// The policy engine could not decide.
#[derive(Debug)]
pub struct PolicyFailed<'a>(pub &'a str);

impl PolicyFailed<'_> {
    pub fn emit(&self) {
        tracing::warn!(why = self.0, "the policy could not be evaluated");
    }
}

/// The policy's answer was bypassed (development only).
#[derive(Debug)]
pub struct PolicyBypassed<'a> {
    pub decision: &'a str,
}

impl PolicyBypassed<'_> {
    pub fn emit(&self) {
        tracing::warn!(decision = self.decision, "the policy's answer is bypassed");
    }
}

/// Bytes that are not a request were answered bare.
#[derive(Debug)]
pub struct HeadRefused(pub &'static str);

impl HeadRefused {
    pub fn emit(&self, metrics: &Metrics) {
        let labels = RequestLabels {
            tool: "none".into(),
            outcome: "refused",
            reason: ProblemCode::BadRequest.code(),
        };
        metrics.requests.get_or_create(&labels).count();
        tracing::debug!(why = self.0, "a request head was refused");
    }
}

/// A panic ended one connection; the process goes on.
#[derive(Debug)]
pub struct ConnectionPanicked;

impl ConnectionPanicked {
    pub fn emit(&self, metrics: &Metrics) {
        let labels = RequestLabels { tool: "none".into(), outcome: "failed", reason: "panic" };
        metrics.requests.get_or_create(&labels).count();
        tracing::error!("a connection's task panicked");
    }
}

/// An open exchange was cut, because what had permitted it does so no more.
#[derive(Debug)]
pub struct StreamCut<'a> {
    pub cut: &'a LeaseCut,
    /// Since the commit that took the access away.
    pub effect: Option<Duration>,
}

impl StreamCut<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        let LeaseCut { cause, record, .. } = self.cut;
        metrics.leases_cut.get_or_create(&CauseLabel { cause }).inc();
        if let Some(effect) = self.effect {
            metrics.revocation_effect.observe(effect.as_secs_f64());
        }
        tracing::info!(cause, decision = &*record.id, "an open exchange was cut");
    }
}

/// No connection could be accepted for a moment.
#[derive(Debug)]
pub struct AcceptFailed<'a>(pub &'a std::io::Error);

impl AcceptFailed<'_> {
    pub fn emit(&self) {
        tracing::warn!(error = %self.0, "a connection could not be accepted");
    }
}

/// A core hands each write to the kernel by itself: there is no `io_uring` for it. Slower, not wrong.
#[derive(Debug)]
pub struct WritesAlone<'a> {
    pub core: usize,
    pub error: &'a std::io::Error,
}

impl WritesAlone<'_> {
    pub fn emit(&self) {
        tracing::info!(
            core = self.core,
            error = %self.error,
            "without io_uring: writes go to the kernel one by one"
        );
    }
}

/// A client's connection was ended without an answer.
#[derive(Debug)]
pub struct ConnectionRefused<'a> {
    /// `tls`, `tls-timeout`, `flood`; beyond the limit of a client: [`ClientRefused`].
    pub cause: &'static str,
    pub why: &'a str,
}

impl ConnectionRefused<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        metrics.connections_refused.get_or_create(&CauseLabel { cause: self.cause }).inc();
        tracing::debug!(cause = self.cause, why = self.why, "a connection was ended unanswered");
    }
}

/// A client has as many connections as it may: this one was closed at once.
#[derive(Debug)]
pub struct ClientRefused(pub IpAddr);

impl ClientRefused {
    pub fn emit(&self, metrics: &Metrics) {
        let cause = "per-client";
        metrics.connections_refused.get_or_create(&CauseLabel { cause }).inc();
        if let Some(untold) = FULL_CLIENTS.tell(("connection", cause), 3, Instant::now()) {
            tracing::warn!(client = %self.0, untold, "a client has as many connections as it may");
        }
    }
}
