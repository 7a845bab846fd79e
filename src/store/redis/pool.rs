//! Links to every node, a bounded number to each, one user at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::Shared;
use super::link::{Link, Trouble};
use super::publish::jittered;
use super::script::Script;
use crate::config::RedisAddress;
use crate::store::StoreFault;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(700);

/// The links of one purpose.
pub struct Pool {
    shared: Arc<Shared>,
    links: usize,
    nodes: Mutex<Nodes>,
}

#[derive(Default)]
struct Nodes {
    /// Of the table that they were taken from.
    version: u64,
    of: HashMap<RedisAddress, Arc<Node>>,
}

struct Node {
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Link>>,
    /// After a link that could not be made: not again before this, and how long that was.
    not_before: Mutex<Option<(Instant, Duration)>>,
}

/// A link and its place in the pool. Dropped, it closes; [`Lease::give_back`] keeps it.
pub struct Lease {
    pub link: Link,
    node: Arc<Node>,
    _place: OwnedSemaphorePermit,
}

/// What to send.
#[derive(Clone, Copy)]
pub enum Ask<'a> {
    /// Commands that mean the same when they are sent twice.
    Commands(&'a [Cmd]),
    Script(&'a Script, &'a Cmd),
}

impl Pool {
    #[must_use]
    pub fn new(shared: Arc<Shared>, links: usize) -> Self {
        Self { shared, links, nodes: Mutex::default() }
    }

    /// Waits for a place, then takes a link that was idle, or a new one.
    ///
    /// # Errors
    /// No place in time, or no link to be had.
    pub async fn lease(&self, address: &RedisAddress) -> Result<Lease, Trouble> {
        let node = self.node(address);
        let waiting = node.places.clone().acquire_owned();
        let place = timeout(self.shared.config.timeout, waiting).await;
        let Ok(Ok(place)) = place else { return Err(Trouble::Late) };
        let idle = node.idle().pop();
        let link = match idle {
            Some(mut link) => {
                link.look_again(&self.shared).await.inspect_err(|_| node.forget_idle())?;
                link
            }
            None => node.connect(&self.shared, address).await?,
        };
        Ok(Lease { link, node, _place: place })
    }

    /// Asks the node at `address`. The lease is for whoever goes on with the same link.
    ///
    /// # Errors
    /// No link, no answer, or (of a script) a refusal.
    pub async fn ask_at(
        &self,
        address: &RedisAddress,
        ask: Ask<'_>,
    ) -> Result<(Lease, Vec<Value>), Trouble> {
        let mut lease = self.lease(address).await?;
        let replies = lease.ask(&self.shared, ask).await?;
        Ok((lease, replies))
    }

    fn node(&self, address: &RedisAddress) -> Arc<Node> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let table = self.shared.routes.table();
        if nodes.version != table.version {
            nodes.version = table.version;
            nodes.of.retain(|address, _| table.nodes.contains(address));
        }
        let new = || {
            let places = Arc::new(Semaphore::new(self.links));
            Arc::new(Node { places, idle: Mutex::default(), not_before: Mutex::default() })
        };
        nodes.of.entry(address.clone()).or_insert_with(new).clone()
    }
}

impl Lease {
    pub async fn ask(&mut self, shared: &Shared, ask: Ask<'_>) -> Result<Vec<Value>, Trouble> {
        let within = shared.config.timeout;
        let asked = match ask {
            Ask::Commands(commands) => self.link.exchange(commands, within).await,
            Ask::Script(script, call) => {
                self.link.run(script, call, within).await.map(|reply| vec![reply])
            }
        };
        // Whatever broke this link broke those that wait as well; they are cheap to make.
        asked.inspect_err(|trouble| {
            if matches!(trouble, Trouble::Broken(_)) {
                self.node.forget_idle();
            }
        })
    }

    pub fn give_back(self) {
        let Self { link, node, _place } = self;
        if link.is_whole() {
            node.idle().push(link);
        }
    }
}

impl Node {
    /// However many ask: a server that cannot be reached is tried a few times a second.
    async fn connect(&self, shared: &Shared, address: &RedisAddress) -> Result<Link, Trouble> {
        let earlier = *self.pause();
        if earlier.is_some_and(|(until, _)| Instant::now() < until) {
            let why = "the last connection failed just now".to_owned();
            return Err(Trouble::Fault(StoreFault::Unreachable(why)));
        }
        let connected = Link::connect(shared, address).await;
        let pause = earlier.map_or(FIRST_PAUSE, |(_, pause)| pause * 2).min(LONGEST_PAUSE);
        let next = connected.is_err().then(|| (Instant::now() + jittered(pause), pause));
        *self.pause() = next;
        connected
    }

    fn pause(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Duration)>> {
        self.not_before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_idle(&self) {
        self.idle().clear();
    }
}
