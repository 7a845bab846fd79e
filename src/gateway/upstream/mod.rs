//! Connections to tools: one pool per core of low-level hyper client connections.
//!
//! A connection is lent to one exchange and comes back only when the response was read to its end
//! and the request was sent to its end. Whatever ends an exchange otherwise drops it.

mod dial;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use rustc_hash::FxHashMap;
use tokio::time::{Instant, timeout};

use crate::config::Upstream;

use crate::gateway::body::{ClientBody, Progress};

type Sender = SendRequest<ClientBody>;
type Address = (std::sync::Arc<str>, u16);

const IDLE_LIFE: Duration = Duration::from_secs(30);
const IDLE_PER_ADDRESS: usize = 64;

#[derive(Debug, Default)]
pub struct Pool {
    idle: RefCell<FxHashMap<Address, Vec<Idle>>>,
    turn: Cell<usize>,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Instant,
}

/// A connection in use.
#[derive(Debug)]
pub struct Lent {
    pub sender: Sender,
    /// Whether it was used before: it may have been closed by the tool meanwhile.
    pub reused: bool,
    address: Address,
    pool: Rc<Pool>,
    request: Option<Rc<Progress>>,
}

impl Pool {
    /// A connection to one of `upstreams`, in turn; the next one is tried when one cannot be
    /// connected to (nothing was sent yet).
    ///
    /// # Errors
    /// The last one's failure.
    pub async fn lend(
        self: &Rc<Self>,
        upstreams: &[Upstream],
        connect: Duration,
        fresh: bool,
    ) -> io::Result<Lent> {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let mut failure = io::Error::other("the tool has no upstream");
        for attempt in 0..upstreams.len() {
            let at = turn.wrapping_add(attempt) % upstreams.len();
            let Some(Upstream::Http { host, port }) = upstreams.get(at) else { continue };
            let address = (std::sync::Arc::clone(host), *port);
            if let Some(sender) = self.idle(&address).filter(|_| !fresh) {
                return Ok(self.lent(sender, true, address));
            }
            match timeout(connect, dial::dial(host, *port)).await {
                Ok(Ok(sender)) => return Ok(self.lent(sender, false, address)),
                Ok(Err(error)) => failure = error,
                Err(_elapsed) => failure = io::Error::from(io::ErrorKind::TimedOut),
            }
        }
        Err(failure)
    }

    fn lent(self: &Rc<Self>, sender: Sender, reused: bool, address: Address) -> Lent {
        Lent { sender, reused, address, pool: Rc::clone(self), request: None }
    }

    /// The connection that was used last and is ready again.
    fn idle(&self, address: &Address) -> Option<Sender> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(address)?;
        list.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < IDLE_LIFE);
        let at = list.iter().rposition(|idle| idle.sender.is_ready())?;
        Some(list.swap_remove(at).sender)
    }
}

impl Lent {
    /// Host and port.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        (&self.address.0, self.address.1)
    }

    /// Notes the request that goes over this connection.
    pub fn carries(&mut self, request: Rc<Progress>) {
        self.request = Some(request);
    }

    /// A piece of the response came. A client that still sends may be waiting for it.
    pub fn answer_moved(&self) {
        if let Some(request) = self.request.as_ref().filter(|request| !request.ended.get()) {
            request.moved_at.set(Instant::now());
        }
    }

    /// The response was read to its end. An unfinished request still spoils the connection.
    pub fn give_back(self) {
        let finished = self.request.as_ref().is_some_and(|request| request.ended.get());
        if !finished || self.sender.is_closed() {
            return;
        }
        let mut idle = self.pool.idle.borrow_mut();
        let list = idle.entry(self.address).or_default();
        if list.len() < IDLE_PER_ADDRESS {
            list.push(Idle { sender: self.sender, since: Instant::now() });
        }
    }
}
