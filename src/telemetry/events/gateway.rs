//! Facts of the data plane. Labels are closed sets: tools come from the configuration, methods are
//! those of the standard or `_OTHER`.

use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::problem::ProblemCode;
use crate::store::StoreFault;
use crate::telemetry::metrics::{
    HttpLabels, KindLabel, Metrics, Name, RequestLabels, StepLabel, ToolLabel,
};

/// A request has its response head.
#[derive(Debug)]
pub struct RequestAnswered<'a> {
    /// `none` when no tool was found.
    pub tool: Name,
    pub outcome: Outcome,
    pub method: &'a Method,
    pub status: u16,
    /// The pattern of the rule, or empty.
    pub route: Name,
    pub elapsed: Duration,
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

    const fn error_type(self) -> &'static str {
        match self {
            Self::Allowed | Self::Bypassed => "",
            Self::Refused(code) | Self::Failed(code) => code.code(),
        }
    }
}

impl RequestAnswered<'_> {
    pub fn emit(self, metrics: &Metrics) {
        let (outcome, reason) = self.outcome.labels();
        let seconds = self.elapsed.as_secs_f64();
        let tool = Arc::clone(&self.tool);
        metrics.requests.get_or_create(&RequestLabels { tool: self.tool, outcome, reason }).inc();
        metrics.request_duration.get_or_create(&ToolLabel { tool }).observe(seconds);
        let labels = HttpLabels {
            http_request_method: method_label(self.method).into(),
            http_response_status_code: self.status,
            http_route: self.route,
            url_scheme: "http",
            error_type: self.outcome.error_type(),
        };
        metrics.http_server_duration.get_or_create(&labels).observe(seconds);
    }
}

fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "_OTHER",
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
    pub fn took(self, metrics: &Metrics, took: Duration) {
        let step = match self {
            Self::Identity => "identity",
            Self::Grants => "grants",
            Self::Policy => "policy",
            Self::Upstream => "upstream",
        };
        metrics.step_duration.get_or_create(&StepLabel { step }).observe(took.as_secs_f64());
    }
}

/// The tool answered with a head, or failed to.
#[derive(Debug)]
pub struct UpstreamAnswered<'a> {
    pub method: &'a Method,
    /// 0 without an answer.
    pub status: u16,
    pub route: Name,
    pub failure: Option<ProblemCode>,
    pub took: Duration,
}

impl UpstreamAnswered<'_> {
    pub fn emit(self, metrics: &Metrics) {
        Step::Upstream.took(metrics, self.took);
        let labels = HttpLabels {
            http_request_method: method_label(self.method).into(),
            http_response_status_code: self.status,
            http_route: self.route,
            url_scheme: "http",
            error_type: self.failure.map_or("", ProblemCode::code),
        };
        metrics.http_client_duration.get_or_create(&labels).observe(self.took.as_secs_f64());
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
        metrics.store_errors.get_or_create(&KindLabel { kind: self.0.kind() }).inc();
        tracing::warn!(fault = %self.0, "grants could not be read");
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
        metrics.requests.get_or_create(&labels).inc();
        tracing::debug!(why = self.0, "a request head was refused");
    }
}

/// A panic ended one connection; the process goes on.
#[derive(Debug)]
pub struct ConnectionPanicked;

impl ConnectionPanicked {
    pub fn emit(&self, metrics: &Metrics) {
        let labels = RequestLabels { tool: "none".into(), outcome: "failed", reason: "panic" };
        metrics.requests.get_or_create(&labels).inc();
        tracing::error!("a connection's task panicked");
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
