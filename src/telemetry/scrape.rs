//! The metrics as text: `OpenMetrics` 1.0
//! (<https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>).

use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::metrics::Metrics;

pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All registered metrics; cloning shares them.
#[derive(Clone, Debug)]
pub struct MetricsHandle(Arc<Registry>);

impl MetricsHandle {
    /// The metrics, and the handle that shows them.
    #[must_use]
    pub fn new() -> (Metrics, Self) {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        (metrics, Self(Arc::new(registry)))
    }

    /// Ends with `# EOF`.
    ///
    /// # Errors
    /// Never for the metrics that there are: writing to a `String` does not fail.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::metrics::{
        ApprovalLabels, CauseLabel, HttpLabels, IssuerLabel, KindLabel, OutcomeLabel, ReloadLabel,
        RequestLabels, SinkLabel, StepLabel, TemplateLabel, ToolLabel, ToolOutcome,
    };

    /// One value in every metric.
    fn touch(metrics: &Metrics) {
        let tool = || ToolLabel { tool: "notes".into() };
        let template = || TemplateLabel { template: "reader".into() };
        let http = || HttpLabels {
            http_request_method: "GET",
            http_response_status_code: 403,
            http_route: "/**".into(),
            url_scheme: "http",
            error_type: "no-grant",
        };
        let request =
            RequestLabels { tool: "notes".into(), outcome: "refused", reason: "no-grant" };
        let approval = ApprovalLabels { template: "reader".into(), outcome: "approved" };
        metrics.requests.get_or_create(&request).count();
        metrics.request_duration.get_or_create(&tool()).observe(Duration::from_millis(1));
        metrics
            .step_duration
            .get_or_create(&StepLabel { step: "policy" })
            .observe(Duration::from_micros(20));
        metrics.leases_cut.get_or_create(&CauseLabel { cause: "revoked" }).inc();
        metrics.connections_refused.get_or_create(&CauseLabel { cause: "tls" }).inc();
        metrics.policy_reloads.get_or_create(&ReloadLabel { outcome: "refused" }).inc();
        metrics.revocation_effect.observe(0.01);
        metrics.policy_errors.get_or_create(&KindLabel { kind: "deadline" }).inc();
        metrics.policy_shadow.get_or_create(&OutcomeLabel { outcome: "differs" }).inc();
        metrics.store_errors.get_or_create(&KindLabel { kind: "deadline" }).inc();
        metrics.approvals.get_or_create(&approval).inc();
        metrics.decision_wait.get_or_create(&template()).observe(60.0);
        metrics.pending_requests.get_or_create(&template()).set(1);
        metrics.active_grants.get_or_create(&tool()).set(1);
        let issuer = IssuerLabel { issuer: "https://idp".into() };
        metrics.jwks_refreshed.get_or_create(&issuer).set(1.0);
        metrics.outbox_age.get_or_create(&SinkLabel { sink: "stdout".into() }).set(1.0);
        let upstreams = &metrics.upstreams;
        upstreams.connections.get_or_create(&tool()).set(1);
        upstreams.ejections.get_or_create(&tool()).inc();
        upstreams.unhealthy.get_or_create(&tool()).set(1);
        let outcome = |outcome| ToolOutcome { tool: "notes".into(), outcome };
        upstreams.connects.get_or_create(&outcome("failed")).inc();
        upstreams.retries.get_or_create(&outcome("granted")).inc();
        metrics.http_server_duration.get_or_create(&http()).observe(Duration::from_millis(1));
        metrics.http_client_duration.get_or_create(&http()).observe(Duration::from_millis(1));
    }

    const HTTP: &str = "http_request_method=\"GET\",http_response_status_code=\"403\",\
                        http_route=\"/**\",url_scheme=\"http\",error_type=\"no-grant\"";

    #[test]
    fn every_metric_is_exported_under_its_documented_name_and_labels() {
        let (metrics, handle) = MetricsHandle::new();
        touch(&metrics);
        let text = handle.encode().expect("encodes");
        let version = env!("CARGO_PKG_VERSION");
        for series in [
            "tidegate_requests_total{tool=\"notes\",outcome=\"refused\",reason=\"no-grant\"} 1",
            "tidegate_request_duration_seconds_bucket{le=\"0.0001\",tool=\"notes\"} 0",
            "tidegate_request_duration_seconds_count{tool=\"notes\"} 1",
            "tidegate_step_duration_seconds_bucket{le=\"0.00001\",step=\"policy\"} 0",
            "tidegate_step_duration_seconds_bucket{le=\"0.000025\",step=\"policy\"} 1",
            "tidegate_open_leases 0",
            "tidegate_leases_cut_total{cause=\"revoked\"} 1",
            "tidegate_connections_refused_total{cause=\"tls\"} 1",
            "tidegate_revocation_effect_seconds_count 1",
            "tidegate_store_errors_total{kind=\"deadline\"} 1",
            "tidegate_approvals_total{template=\"reader\",outcome=\"approved\"} 1",
            "tidegate_decision_wait_seconds_count{template=\"reader\"} 1",
            "tidegate_pending_requests{template=\"reader\"} 1",
            "tidegate_active_grants{tool=\"notes\"} 1",
            "tidegate_clock_skew_seconds 0",
            "tidegate_jwks_last_refresh_success_timestamp_seconds{issuer=\"https://idp\"} 1",
            "tidegate_outbox_oldest_event_age_seconds{sink=\"stdout\"} 1",
            "tidegate_config_last_reload_successful 0",
            "tidegate_policy_last_reload_successful 0",
            "tidegate_policy_last_reload_success_timestamp_seconds 0",
            "tidegate_policy_reloads_total{outcome=\"refused\"} 1",
            "tidegate_policy_errors_total{kind=\"deadline\"} 1",
            "tidegate_policy_shadow_total{outcome=\"differs\"} 1",
            "tidegate_decision_records_dropped_total 0",
            &format!("tidegate_build_info{{version=\"{version}\",revision=\""),
            &format!("http_server_request_duration_seconds_count{{{HTTP}}} 1"),
            &format!("http_client_request_duration_seconds_count{{{HTTP}}} 1"),
            "http_server_active_requests 0",
            "tidegate_upstream_connections{tool=\"notes\"} 1",
            "tidegate_upstream_ejections_total{tool=\"notes\"} 1",
            "tidegate_upstream_unhealthy{tool=\"notes\"} 1",
            "tidegate_upstream_connects_total{tool=\"notes\",outcome=\"failed\"} 1",
            "tidegate_upstream_retries_total{tool=\"notes\",outcome=\"granted\"} 1",
        ] {
            assert!(text.lines().any(|line| line.starts_with(series)), "{series}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn every_metric_is_named_before_anything_happened() {
        let (_metrics, handle) = MetricsHandle::new();
        let text = handle.encode().expect("encodes");
        for name in [
            "tidegate_requests counter",
            "tidegate_request_duration_seconds histogram",
            "tidegate_jwks_last_refresh_success_timestamp_seconds gauge",
            "http_client_request_duration_seconds histogram",
        ] {
            assert!(text.contains(&format!("# TYPE {name}\n")), "{name}\n{text}");
        }
    }

    #[test]
    fn a_label_value_cannot_break_out_of_its_line() {
        let (metrics, handle) = MetricsHandle::new();
        let label = SinkLabel { sink: "a\"} 1\nforged 2\\".into() };
        metrics.outbox_age.get_or_create(&label).set(1.0);
        let text = handle.encode().expect("encodes");
        assert!(!text.lines().any(|line| line.starts_with("forged")), "{text}");
    }
}
