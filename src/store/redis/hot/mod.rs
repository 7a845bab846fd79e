//! The read of every request, on the core that the request is on.
//!
//! One connection per core and node. Reads of one wake-up are written in one go, led by an ECHO of a
//! number that has to come back; replies are taken strictly in order, and one that does not fit ends
//! the connection and fails everything on it. Every read is sent after it was asked for; no reply
//! serves two. What a server mixes up within one batch, in the right shapes, is for the seals to
//! notice: they bind values to their keys.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::super::StoreFault;
use super::super::backend::{LiveSource, RawLive};
use super::super::keys::Key;
use super::Shared;
use super::reply::Refusal;
use super::routes::Table;
use crate::config::RedisAddress;
use crate::domain::ids::{CommitId, Partition};

mod ask;
mod codec;
mod link;
mod queue;
mod session;
mod slots;
mod task;
mod vitals;
mod wire;

#[cfg(test)]
mod tests;

use ask::{Answer, Ask};
use link::Link;
use queue::Failed;

/// How long a read that was sent to the wrong place waits for other routes.
const REROUTING: Duration = Duration::from_millis(20);

/// Of one core; it has to be used inside a `LocalSet`. The connections end with the last clone.
#[derive(Clone)]
pub struct HotSource {
    shared: Arc<Shared>,
    lines: Rc<RefCell<Lines>>,
}

/// The connections to the nodes of one table, by their index in it; made when first asked for.
#[derive(Default)]
struct Lines {
    version: u64,
    of: Vec<Option<Line>>,
}

struct Line {
    address: RedisAddress,
    link: Rc<Link>,
    task: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HotSource {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, lines: Rc::default() }
    }

    async fn ask(&self, partition: Partition, ask: Ask<'_>) -> Result<Answer, StoreFault> {
        self.shared.gate.pass()?;
        let link = self.link_to(partition)?;
        let now = link.now();
        let deadline = now + self.shared.config.timeout;
        match try_ask(&link, &ask, now, deadline).await {
            Ok(answer) => Ok(answer),
            Err(Failed::Refused(refusal)) if moved(refusal) => {
                // In a box, so that a read that was sent to the right place carries no room for it.
                Box::pin(self.ask_elsewhere(partition, &ask, deadline)).await
            }
            Err(failed) => Err(failed.into()),
        }
    }

    /// Once more, with the next table if it comes soon.
    async fn ask_elsewhere(
        &self,
        partition: Partition,
        ask: &Ask<'_>,
        deadline: Instant,
    ) -> Result<Answer, StoreFault> {
        self.shared.routes.went_stale();
        let version = self.lines.borrow().version;
        self.other_routes(version, deadline).await;
        let link = self.link_to(partition)?;
        try_ask(&link, ask, Instant::now(), deadline).await.map_err(StoreFault::from)
    }

    /// The connection to the node that holds `partition` now.
    fn link_to(&self, partition: Partition) -> Result<Rc<Link>, StoreFault> {
        let table = self.shared.routes.table();
        let mut lines = self.lines.borrow_mut();
        if lines.version != table.version {
            lines.follow(&table);
        }
        let Some(node) = table.node_of(partition) else {
            self.shared.routes.went_stale();
            return Err(StoreFault::Unreachable("no node holds the partition".into()));
        };
        if let Some(Some(line)) = lines.of.get(node) {
            return Ok(Rc::clone(&line.link));
        }
        let unknown = || StoreFault::Unreachable("the node is not known".into());
        let address = table.nodes.get(node).ok_or_else(unknown)?.clone();
        if lines.of.len() <= node {
            lines.of.resize_with(node + 1, || None);
        }
        let place = lines.of.get_mut(node).ok_or_else(unknown)?;
        let line = self.connect(address)?;
        Ok(Rc::clone(&place.insert(line).link))
    }

    fn connect(&self, address: RedisAddress) -> Result<Line, StoreFault> {
        let link = Link::new().map_err(|none| StoreFault::Unreachable(none.to_string()))?;
        let link = Rc::new(link);
        let running = task::run(Rc::clone(&link), Arc::clone(&self.shared), address.clone());
        let task = tokio::task::spawn_local(running).abort_handle();
        Ok(Line { address, link, task })
    }

    /// Until the table is another one, but not long.
    async fn other_routes(&self, version: u64, deadline: Instant) {
        let end = deadline.min(Instant::now() + REROUTING);
        while self.shared.routes.table().version == version && Instant::now() < end {
            sleep_until(end.min(Instant::now() + Duration::from_millis(5))).await;
        }
    }
}

async fn try_ask(
    link: &Rc<Link>,
    ask: &Ask<'_>,
    now: Instant,
    deadline: Instant,
) -> Result<Answer, Failed> {
    link.ready(now, deadline).await.map_err(Failed::Fault)?;
    let read = link.read(ask, now, deadline).map_err(Failed::Fault)?;
    read.await
}

impl Lines {
    /// Keeps the connections to nodes that are still in the table.
    fn follow(&mut self, table: &Table) {
        let mut known: Vec<Line> = self.of.drain(..).flatten().collect();
        for address in &table.nodes {
            let place = known.iter().position(|line| line.address == *address);
            self.of.push(place.map(|place| known.swap_remove(place)));
        }
        self.version = table.version;
    }
}

const fn moved(refusal: Refusal) -> bool {
    refusal.is_redirection() || matches!(refusal, Refusal::ClusterDown)
}

/// Cannot happen: the shape of a reply is that of its question.
fn another<T>() -> Result<T, StoreFault> {
    Err(StoreFault::Unreachable("the answer to another question".into()))
}

impl LiveSource for HotSource {
    async fn live(&self, partition: Partition, live: &Key) -> Result<RawLive, StoreFault> {
        match self.ask(partition, Ask::Live(partition, live)).await? {
            Answer::Live(raw) => Ok(raw),
            Answer::One(_) | Answer::CommitAt(_) => another(),
        }
    }

    async fn base(&self, partition: Partition) -> Result<RawLive, StoreFault> {
        match self.ask(partition, Ask::Base(partition)).await? {
            Answer::Live(raw) => Ok(raw),
            Answer::One(_) | Answer::CommitAt(_) => another(),
        }
    }

    async fn one(&self, partition: Partition, key: &Key) -> Result<Option<Bytes>, StoreFault> {
        match self.ask(partition, Ask::One(key)).await? {
            Answer::One(value) => Ok(value),
            Answer::Live(_) | Answer::CommitAt(_) => another(),
        }
    }

    async fn commit_at(
        &self,
        partition: Partition,
        seq: u64,
    ) -> Result<Option<CommitId>, StoreFault> {
        match self.ask(partition, Ask::CommitAt(partition, seq)).await? {
            Answer::CommitAt(commit) => Ok(commit),
            Answer::Live(_) | Answer::One(_) => another(),
        }
    }
}
