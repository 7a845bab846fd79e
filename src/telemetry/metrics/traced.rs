//! Metrics with exemplars that many cores count in. What comes with a trace goes to the library's
//! metric, which keeps the exemplar; the rest, which is most, waits at the core that saw it, and
//! whoever scrapes takes it along.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::exemplar::{CounterWithExemplar, HistogramWithExemplars};
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::TraceLabel;
use super::spread::add;
use crate::telemetry::trace::TraceId;

/// So many durations wait at a core before it hands them on by itself.
const WAITING: usize = 128;

/// Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct TracedCounter {
    traced: CounterWithExemplar<TraceLabel>,
    parts: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
}

/// What one core counts with. Nobody else writes to its number.
#[derive(Debug)]
pub struct CounterPart {
    whole: TracedCounter,
    own: Arc<AtomicU64>,
    _of_one_thread: PhantomData<Cell<()>>,
}

impl TracedCounter {
    /// For whoever counts often.
    #[must_use]
    pub fn part(&self) -> CounterPart {
        let own = Arc::<AtomicU64>::default();
        lock(&self.parts).push(Arc::clone(&own));
        CounterPart { whole: self.clone(), own, _of_one_thread: PhantomData }
    }

    /// For whoever counts seldom. The last exemplar stays until another one comes.
    pub fn count(&self) {
        // Not `inc_by`: without an exemplar it would forget the one that is there.
        self.traced.inner().fetch_add(1, Ordering::Relaxed);
    }

    /// The sum of all parts.
    #[must_use]
    pub fn value(&self) -> u64 {
        let own: u64 = lock(&self.parts).iter().map(|part| part.load(Ordering::Relaxed)).sum();
        own + self.traced.get().0
    }
}

impl CounterPart {
    pub fn count(&self, trace: Option<TraceId>) {
        match trace {
            Some(trace_id) => {
                self.whole.traced.inc_by(1, Some(TraceLabel { trace_id }), None);
            }
            None => add(&self.own, 1),
        }
    }
}

impl EncodeMetric for TracedCounter {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        let value = self.value();
        let (_, exemplar) = self.traced.get();
        encoder.encode_counter(&value, exemplar.as_ref())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for TracedCounter {
    const TYPE: MetricType = MetricType::Counter;
}

/// Seconds that no histogram has counted yet.
type Waiting = Arc<Mutex<Vec<f64>>>;

/// Durations in seconds. Cloning shares it.
#[derive(Clone, Debug)]
pub struct TracedHistogram {
    traced: HistogramWithExemplars<TraceLabel>,
    parts: Arc<Mutex<Vec<Waiting>>>,
}

/// What one core observes with.
#[derive(Clone, Debug)]
pub struct HistogramPart {
    whole: TracedHistogram,
    waiting: Waiting,
}

impl TracedHistogram {
    /// `bounds` ascend.
    #[must_use]
    pub fn new(bounds: &[f64]) -> Self {
        let traced = HistogramWithExemplars::new(bounds.iter().copied());
        Self { traced, parts: Arc::default() }
    }

    /// For whoever observes often.
    #[must_use]
    pub fn part(&self) -> HistogramPart {
        let waiting = Waiting::default();
        lock(&self.parts).push(Arc::clone(&waiting));
        HistogramPart { whole: self.clone(), waiting }
    }

    /// For whoever observes seldom.
    pub fn observe(&self, took: Duration) {
        self.traced.observe(took.as_secs_f64(), None, None);
    }

    fn take(&self, waiting: &mut Vec<f64>) {
        waiting.drain(..).for_each(|seconds| self.traced.observe(seconds, None, None));
    }
}

impl HistogramPart {
    pub fn observe(&self, took: Duration, trace: Option<TraceId>) {
        let seconds = took.as_secs_f64();
        if let Some(trace_id) = trace {
            return self.whole.traced.observe(seconds, Some(TraceLabel { trace_id }), None);
        }
        let mut waiting = lock(&self.waiting);
        waiting.push(seconds);
        if waiting.len() >= WAITING {
            self.whole.take(&mut waiting);
        }
    }
}

impl EncodeMetric for TracedHistogram {
    fn encode(&self, encoder: MetricEncoder) -> fmt::Result {
        for waiting in lock(&self.parts).iter() {
            self.take(&mut lock(waiting));
        }
        self.traced.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for TracedHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
