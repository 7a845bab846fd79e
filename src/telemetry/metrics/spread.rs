//! A histogram that many cores observe: each counts in cells of its own, so that no two write to the
//! same place, and whoever scrapes adds them up.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Durations by upper bounds, in seconds. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Spread {
    bounds: &'static [f64],
    parts: Arc<Mutex<Vec<Arc<Cells>>>>,
}

/// What one core has observed.
#[derive(Debug)]
struct Cells {
    /// One for each bound, and one for what is above all of them.
    counts: Box<[AtomicU64]>,
    nanoseconds: AtomicU64,
}

/// What one core observes with. It is the only one who writes to its cells, and in one thread at a
/// time, so that adding needs no locked instruction.
#[derive(Debug)]
pub struct Part {
    bounds: &'static [f64],
    cells: Arc<Cells>,
    _of_one_thread: PhantomData<Cell<()>>,
}

impl Spread {
    /// `bounds` ascend.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, parts: Arc::default() }
    }

    /// A part for whoever observes often. It counts as long as the histogram is there.
    #[must_use]
    pub fn part(&self) -> Part {
        let counts = (0..=self.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        let cells = Arc::new(Cells { counts, nanoseconds: AtomicU64::new(0) });
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&cells));
        Part { bounds: self.bounds, cells, _of_one_thread: PhantomData }
    }

    /// For tests: a part for this alone.
    #[cfg(test)]
    pub fn observe(&self, took: Duration) {
        self.part().observe(took);
    }
}

impl Part {
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let place = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.cells.counts.get(place) {
            add(count, 1);
        }
        add(&self.cells.nanoseconds, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// To a cell that nobody else writes to.
pub(super) fn add(cell: &AtomicU64, more: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

impl EncodeMetric for Spread {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        let mut counts = vec![0_u64; self.bounds.len() + 1];
        let mut seconds = 0.0;
        for part in self.parts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for (sum, count) in counts.iter_mut().zip(&part.counts) {
                *sum += count.load(Ordering::Relaxed);
            }
            seconds += Duration::from_nanos(part.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        }
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts.iter().copied()).collect();
        encoder.encode_histogram::<NoLabelSet>(seconds, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Spread {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::Registry;

    use super::*;

    const BOUNDS: [f64; 3] = [0.001, 0.01, 0.1];

    fn encoded(metric: impl prometheus_client::registry::Metric) -> String {
        let mut registry = Registry::default();
        registry.register("took", "What it took", metric);
        let mut encoded = String::new();
        text::encode(&mut encoded, &registry).expect("encodes");
        encoded
    }

    #[test]
    fn the_parts_together_read_like_one_histogram() {
        let (spread, one) = (Spread::new(&BOUNDS), Histogram::new(BOUNDS));
        let parts = [spread.part(), spread.part()];
        for (at, micros) in
            [0, 250, 1000, 1001, 10_000, 50_000, 100_000, 250_000].iter().enumerate()
        {
            let took = Duration::from_micros(*micros);
            one.observe(took.as_secs_f64());
            match at % 3 {
                0 => spread.observe(took),
                other => parts[other - 1].observe(took),
            }
        }
        let number = |text: &str| {
            let sum = text.lines().find_map(|line| line.strip_prefix("took_sum ")).expect("a sum");
            sum.parse::<f64>().expect("a number")
        };
        let (ours, theirs) = (encoded(spread), encoded(one));
        assert!((number(&ours) - number(&theirs)).abs() < 1e-9);
        let but_sum = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with("took_sum")).map(str::to_owned).collect()
        };
        assert_eq!(but_sum(&ours), but_sum(&theirs));
    }

    #[test]
    fn one_that_nobody_observed_is_shown_with_zeros() {
        let text = encoded(Spread::new(&BOUNDS));
        assert!(text.contains("took_count 0\n") && text.contains("le=\"+Inf\"} 0\n"), "{text}");
    }
}
