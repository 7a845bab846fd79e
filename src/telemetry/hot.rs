//! The metrics of the request path, as one core sees them.
//!
//! A family of metrics is a locked map that all cores share, hashed with a slow hash. Each core
//! therefore keeps the members that it has met: the same metrics, found without a lock. What is kept
//! is bounded as the families are, by their closed label sets.

use std::cell::RefCell;
use std::hash::Hash;
use std::time::Duration;

use prometheus_client::metrics::family::{Family, MetricConstructor};
use rustc_hash::FxHashMap;

use super::events::gateway::Step;
use super::metrics::{
    CounterPart, HistogramPart, HttpLabels, Metrics, Part, RequestLabels, Spread, StepLabel,
    ToolLabel, TracedCounter, TracedHistogram,
};
use super::trace::TraceId;

/// One core's way to the metrics that every request touches. Scraping sees each change at once.
#[derive(Debug)]
pub struct HotMetrics {
    requests: Known<RequestLabels, TracedCounter, CounterPart, fn() -> TracedCounter>,
    request_duration: Known<ToolLabel, TracedHistogram, HistogramPart, fn() -> TracedHistogram>,
    server: Known<HttpLabels, Spread, Part, fn() -> Spread>,
    client: Known<HttpLabels, Spread, Part, fn() -> Spread>,
    steps: [Part; Step::ALL.len()],
}

impl HotMetrics {
    #[must_use]
    pub fn of(metrics: &Metrics) -> Self {
        let step = |step: Step| {
            metrics.step_duration.get_or_create(&StepLabel { step: step.label() }).part()
        };
        Self {
            requests: Known::of(&metrics.requests, TracedCounter::part),
            request_duration: Known::of(&metrics.request_duration, TracedHistogram::part),
            server: Known::of(&metrics.http_server_duration, Spread::part),
            client: Known::of(&metrics.http_client_duration, Spread::part),
            steps: Step::ALL.map(step),
        }
    }

    /// Counts a request and its duration; `trace` leads from both to its trace.
    pub fn request(&self, labels: RequestLabels, took: Duration, trace: Option<TraceId>) {
        let of_tool = ToolLabel { tool: labels.tool.clone() };
        self.requests.with(labels, |part| part.count(trace));
        self.request_duration.with(of_tool, |part| part.observe(took, trace));
    }

    pub fn server(&self, labels: HttpLabels, took: Duration) {
        self.server.with(labels, |part| part.observe(took));
    }

    pub fn client(&self, labels: HttpLabels, took: Duration) {
        self.client.with(labels, |part| part.observe(took));
    }

    pub fn step(&self, step: Step, took: Duration) {
        let [identity, grants, policy, upstream] = &self.steps;
        let part = match step {
            Step::Identity => identity,
            Step::Grants => grants,
            Step::Policy => policy,
            Step::Upstream => upstream,
        };
        part.observe(took);
    }
}

/// A family, and of those of its members that were asked for before what this core counts with.
#[derive(Debug)]
struct Known<L, M, O, C> {
    family: Family<L, M, C>,
    own: fn(&M) -> O,
    members: RefCell<Members<L, O>>,
}

#[derive(Debug)]
struct Members<L, O> {
    all: Vec<(L, O)>,
    places: FxHashMap<L, usize>,
    /// The one that was asked for last, which is most often the next one, too.
    last: usize,
}

impl<L: Clone + Hash + Eq, M, O, C: MetricConstructor<M> + Clone> Known<L, M, O, C> {
    fn of(family: &Family<L, M, C>, own: fn(&M) -> O) -> Self {
        let members = Members { all: Vec::new(), places: FxHashMap::default(), last: 0 };
        Self { family: family.clone(), own, members: RefCell::new(members) }
    }

    fn with(&self, labels: L, act: impl FnOnce(&O)) {
        let mut members = self.members.borrow_mut();
        if let Some((_, member)) = members.all.get(members.last).filter(|(of, _)| *of == labels) {
            return act(member);
        }
        let known = members.places.get(&labels).copied();
        let place = known.unwrap_or_else(|| {
            let member = (self.own)(&self.family.get_or_create(&labels));
            members.all.push((labels.clone(), member));
            let place = members.all.len() - 1;
            members.places.insert(labels, place);
            place
        });
        members.last = place;
        if let Some((_, member)) = members.all.get(place) {
            act(member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::scrape::MetricsHandle;

    const TRACE: TraceId = TraceId([0xab; 16]);

    fn labels() -> RequestLabels {
        RequestLabels { tool: "notes".into(), outcome: "allowed", reason: "allowed" }
    }

    #[test]
    fn two_cores_count_into_the_same_metric() {
        let (metrics, handle) = MetricsHandle::new();
        let cores = [HotMetrics::of(&metrics), HotMetrics::of(&metrics)];
        for core in cores.iter().chain(&cores) {
            core.request(labels(), Duration::from_millis(1), None);
            core.step(Step::Policy, Duration::from_micros(20));
        }
        let text = handle.encode().expect("encodes");
        for series in [
            "tidegate_requests_total{tool=\"notes\",outcome=\"allowed\",reason=\"allowed\"} 4\n",
            "tidegate_request_duration_seconds_count{tool=\"notes\"} 4\n",
            "tidegate_step_duration_seconds_count{step=\"policy\"} 4\n",
        ] {
            assert!(text.contains(series), "{series}\n{text}");
        }
    }

    #[test]
    fn an_exemplar_names_the_trace_and_outlives_requests_without_one() {
        let (metrics, handle) = MetricsHandle::new();
        let core = HotMetrics::of(&metrics);
        core.request(labels(), Duration::from_millis(1), Some(TRACE));
        core.request(labels(), Duration::from_millis(1), None);
        let text = handle.encode().expect("encodes");
        let mark = format!("# {{trace_id=\"{}\"}}", "ab".repeat(16));
        let counter = text.lines().find(|line| line.starts_with("tidegate_requests_total{"));
        assert!(
            counter.is_some_and(|line| line.contains("} 2 ") && line.contains(&mark)),
            "{text}"
        );
        let bucket = |line: &str| {
            line.starts_with("tidegate_request_duration_seconds_bucket{") && line.contains(&mark)
        };
        assert!(text.lines().any(bucket), "{text}");
    }
}
