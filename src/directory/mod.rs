//! The directory: who is in which group, for choosing whom to tell. What its sources last said well
//! is taken together and swapped in whole; nobody waits for any of them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::SharedClock;
use crate::config::{DirectoryConfig, directory_file};
use crate::domain::people::{Groups, People};
use crate::domain::time::Timestamp;
use crate::telemetry::events::directory::{DirectoryAged, DirectoryRead};
use crate::telemetry::metrics::Metrics;

mod remote;
#[cfg(test)]
mod tests;

use remote::Remote;

const AGES_EVERY: Duration = Duration::from_secs(1);
/// After an answer that was none, unless the endpoint is asked more often anyway.
const TRY_AGAIN: Duration = Duration::from_secs(10);

const FILE: &str = "file";
const HTTP: &str = "http";

pub struct Directory {
    people: Arc<ArcSwap<People>>,
    file: Option<PathBuf>,
    remote: Option<Remote>,
    known: Mutex<Known>,
    clock: SharedClock,
    metrics: Metrics,
}

/// What each source last said well.
struct Known {
    inline: Groups,
    file: Source,
    http: Source,
}

struct Source {
    groups: Groups,
    /// Since when it has said nothing that could be taken; of an endpoint that is well: when it last
    /// answered.
    since: Timestamp,
    is_failing: bool,
}

impl Directory {
    /// Reads the file; the endpoint is not waited for.
    ///
    /// # Errors
    /// Every problem of the file, and a `ca` that cannot be used.
    pub fn open(
        config: &DirectoryConfig,
        clock: SharedClock,
        metrics: Metrics,
    ) -> Result<Arc<Self>, Vec<String>> {
        let mut problems = Vec::new();
        let read = config.file.as_deref().map(directory_file).transpose();
        let file = read.map_err(|found| problems.extend(found.texts())).ok().flatten();
        let remote = config.http.as_ref().map(Remote::open).transpose();
        let remote = remote.map_err(|why| problems.push(format!("directory.http.ca: {why}")));
        let Some(remote) = remote.ok().filter(|_| problems.is_empty()) else {
            return Err(problems);
        };
        let now = clock.now();
        let source = |groups| Source { groups, since: now, is_failing: false };
        let known = Known {
            inline: config.groups.clone(),
            file: source(file.unwrap_or_default()),
            http: source(Groups::new()),
        };
        let people = Arc::new(ArcSwap::from_pointee(known.people()));
        let (file, known) = (config.file.clone(), Mutex::new(known));
        Ok(Arc::new(Self { people, file, remote, known, clock, metrics }))
    }

    /// Swapped in whole whenever a source says something new.
    #[must_use]
    pub fn people(&self) -> Arc<ArcSwap<People>> {
        self.people.clone()
    }

    /// Reads the file anew: every problem of it, and then what it said before stays. It may block.
    pub fn reload(&self) -> Vec<String> {
        let Some(path) = &self.file else { return Vec::new() };
        let problems = match directory_file(path) {
            Ok(groups) => {
                self.take(FILE, groups);
                return Vec::new();
            }
            Err(problems) => problems.texts(),
        };
        self.fail(FILE, problems.first().map_or("no groups", String::as_str));
        problems
    }

    /// Asks the endpoint again and again, and shows the ages. Never ends.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.refresh(), self.show_ages());
    }

    async fn refresh(self: &Arc<Self>) {
        let Some(remote) = &self.remote else { return };
        loop {
            let is_well = self.ask(remote).await;
            let pause = if is_well { remote.refresh } else { remote.refresh.min(TRY_AGAIN) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether the endpoint answered as it should.
    async fn ask(self: &Arc<Self>, remote: &Remote) -> bool {
        let groups = match remote.answer().await {
            Ok(groups) => groups,
            Err(why) => {
                self.fail(HTTP, &why.to_string());
                return false;
            }
        };
        // Beside the runtime: a directory may be large.
        let directory = self.clone();
        tokio::task::spawn_blocking(move || directory.take(HTTP, groups)).await.is_ok()
    }

    async fn show_ages(&self) {
        let mut tick = interval(AGES_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.show_age();
        }
    }

    fn show_age(&self) {
        let (now, known) = (self.clock.now(), self.known());
        if self.file.is_some() {
            let age = now.since(known.file.since);
            let age = if known.file.is_failing { age } else { Duration::ZERO };
            DirectoryAged { source: FILE, age }.emit(&self.metrics);
        }
        if self.remote.is_some() {
            let age = now.since(known.http.since);
            DirectoryAged { source: HTTP, age }.emit(&self.metrics);
        }
    }

    fn take(&self, name: &'static str, groups: Groups) {
        let now = self.clock.now();
        let mut known = self.known();
        let source = known.source(name);
        let was_failing = source.is_failing;
        let is_news = source.groups != groups;
        *source = Source { groups, since: now, is_failing: false };
        if is_news {
            self.people.store(Arc::new(known.people()));
        }
        drop(known);
        DirectoryRead { source: name, failure: None, was_failing }.emit(&self.metrics);
    }

    fn fail(&self, name: &'static str, why: &str) {
        let now = self.clock.now();
        let mut known = self.known();
        let source = known.source(name);
        let was_failing = std::mem::replace(&mut source.is_failing, true);
        if name == FILE && !was_failing {
            source.since = now;
        }
        drop(known);
        DirectoryRead { source: name, failure: Some(why), was_failing }.emit(&self.metrics);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn source(&mut self, name: &'static str) -> &mut Source {
        if name == FILE { &mut self.file } else { &mut self.http }
    }

    fn people(&self) -> People {
        People::merged([&self.inline, &self.file.groups, &self.http.groups])
    }
}
