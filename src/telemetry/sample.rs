//! What is counted by looking: pending requests and live grants, from the store, now and then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::clock::SharedClock;
use crate::domain::grant::Grant;
use crate::domain::request::Request;
use crate::store::{Answer, Cursor, ListQuery, Page, SharedStore, Store, StoreFault};

use super::events::sample::{SampleCut, SampleFailed};
use super::metrics::{Metrics, TemplateLabel, ToolLabel};

const EVERY: Duration = Duration::from_secs(10);
const PAGE: usize = 200;
/// Beyond 10,000 items the gauges say 10,000: a scrape must not read the whole store.
const PAGES: usize = 50;

/// This clock minus the store's in milliseconds, as the store's readers last measured it; `None`:
/// they have not yet.
pub type Skew = Box<dyn Fn() -> Option<i64> + Send>;

const SKEW_EVERY: Duration = Duration::from_secs(1);

/// Sets `tidegate_clock_skew_seconds` every second. Runs until it is aborted. Without a new
/// measurement the gauge keeps its last value.
pub async fn follow_skew(skew: Skew, metrics: Metrics) {
    let mut tick = interval(SKEW_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Some(millis) = skew() {
            metrics.clock_skew.set(seconds(millis));
        }
    }
}

/// To the millisecond; a clock that is more than 24 days off shows as 24 days off.
fn seconds(millis: i64) -> f64 {
    let most = i64::from(i32::MAX);
    f64::from(i32::try_from(millis.clamp(-most, most)).unwrap_or(i32::MAX)) / 1000.0
}

type Counts = BTreeMap<Arc<str>, i64>;

/// Sets `tidegate_pending_requests` and `tidegate_active_grants` every ten seconds. Runs until it
/// is aborted. When the store cannot be read the gauges keep their last values.
pub async fn run(store: SharedStore, clock: SharedClock, metrics: Metrics) {
    let mut sampler =
        Sampler { store, clock, metrics, pending: Counts::new(), active: Counts::new() };
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        sampler.look().await;
    }
}

struct Sampler {
    store: SharedStore,
    clock: SharedClock,
    metrics: Metrics,
    /// What the gauges show; a name that is gone shows 0.
    pending: Counts,
    active: Counts,
}

impl Sampler {
    async fn look(&mut self) {
        match self.pending().await {
            Ok(counts) => show(&mut self.pending, counts, |template, count| {
                self.metrics.pending_requests.get_or_create(&TemplateLabel { template }).set(count);
            }),
            Err(fault) => SampleFailed { fault: &fault }.emit(&self.metrics),
        }
        match self.active().await {
            Ok(counts) => show(&mut self.active, counts, |tool, count| {
                self.metrics.active_grants.get_or_create(&ToolLabel { tool }).set(count);
            }),
            Err(fault) => SampleFailed { fault: &fault }.emit(&self.metrics),
        }
    }

    async fn pending(&self) -> Result<Counts, StoreFault> {
        let name = |request: &Request| Arc::clone(&request.template.name);
        count(&*self.store, self.query("pending"), |store, query| store.list_requests(query), name)
            .await
    }

    async fn active(&self) -> Result<Counts, StoreFault> {
        let name = |grant: &Grant| Arc::clone(&grant.access.tool);
        count(&*self.store, self.query("active"), |store, query| store.list_grants(query), name)
            .await
    }

    fn query(&self, status: &str) -> ListQuery {
        let now = self.clock.now();
        ListQuery { status: Some(status.to_owned()), limit: PAGE, now, ..ListQuery::default() }
    }
}

async fn count<T>(
    store: &dyn Store,
    mut query: ListQuery,
    list: impl for<'a> Fn(&'a dyn Store, &'a ListQuery) -> Answer<'a, Page<T>>,
    name: impl Fn(&T) -> Arc<str>,
) -> Result<Counts, StoreFault> {
    let mut counts = Counts::new();
    for _ in 0..PAGES {
        let page = list(store, &query).await?;
        for item in &page.items {
            *counts.entry(name(item)).or_default() += 1;
        }
        query.cursor = page.next;
        let Some(Cursor { .. }) = query.cursor else { return Ok(counts) };
    }
    SampleCut { limit: PAGE * PAGES }.emit();
    Ok(counts)
}

fn show(shown: &mut Counts, counts: Counts, set: impl Fn(Arc<str>, i64)) {
    for name in shown.keys().filter(|name| !counts.contains_key(*name)) {
        set(Arc::clone(name), 0);
    }
    for (name, count) in &counts {
        set(Arc::clone(name), *count);
    }
    *shown = counts;
}

#[cfg(test)]
mod tests;
