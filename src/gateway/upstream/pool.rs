//! What one core keeps of each tool: its connections, its loads, its budget.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::backend::Backend;
use super::budget::Budget;
use super::choose::{Tries, Turn};
use super::dial::{Protocol, dial};
use super::http1::Connection;
use super::idle::{Idle, TURNS};
use super::lent::{Lent, Sender};
use super::link::Link;
use super::names::Reached;
use super::shared::{MOST_STREAMS, Shared, Stream};
use super::upstreams::Upstreams;

const AVOIDED: Duration = Duration::from_secs(1);

/// Connections of HTTP/2 to one backend; beyond, requests wait for a stream.
const MOST_SHARED: usize = 4;
/// Bytes of one response that may wait here. The connection has room for all of its streams, so that
/// clients that read slowly hold nobody else back.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The tools of one core.
#[derive(Debug, Default)]
pub struct Pool {
    /// By the tool's number.
    tools: RefCell<Vec<Option<Rc<ToolPool>>>>,
}

/// One tool.
#[derive(Debug)]
pub struct ToolPool {
    pub upstreams: Arc<Upstreams>,
    pub budget: Budget,
    backends: Vec<Rc<BackendPool>>,
    turn: Turn,
}

/// One backend.
#[derive(Debug)]
pub struct BackendPool {
    pub tool: Arc<Upstreams>,
    pub backend: Arc<Backend>,
    /// Requests that wait for its answer, or read it.
    pub busy: Cell<usize>,
    /// When it last took no connection.
    unreached_at: Cell<Option<Instant>>,
    idle: Idle,
    shared: RefCell<Vec<Rc<Shared>>>,
    /// Whoever needs a shared connection while one is made waits for it.
    dialing: RefCell<Option<Rc<OnceCell<Dialed>>>>,
    /// HTTP/2 was offered, and not taken.
    declined_http2: Cell<bool>,
    /// Somebody looks after connections that nobody uses.
    swept: Cell<bool>,
}

/// What became of an attempt to get a shared connection.
#[derive(Clone, Debug)]
enum Dialed {
    Shared,
    /// The backend speaks HTTP/1.1: everybody needs a connection of their own.
    NotShared,
    Failed(io::ErrorKind, Arc<str>),
}

impl Pool {
    pub fn of(&self, upstreams: &Arc<Upstreams>) -> Rc<ToolPool> {
        let mut tools = self.tools.borrow_mut();
        if tools.len() <= upstreams.number {
            tools.resize_with(upstreams.number + 1, || None);
        }
        match tools.get_mut(upstreams.number) {
            Some(kept) => Rc::clone(kept.get_or_insert_with(|| ToolPool::new(upstreams))),
            None => ToolPool::new(upstreams),
        }
    }
}

impl ToolPool {
    fn new(upstreams: &Arc<Upstreams>) -> Rc<Self> {
        let pool = |backend: &Arc<Backend>| {
            Rc::new(BackendPool {
                tool: Arc::clone(upstreams),
                backend: Arc::clone(backend),
                busy: Cell::new(0),
                unreached_at: Cell::new(None),
                idle: Idle::default(),
                shared: RefCell::default(),
                dialing: RefCell::default(),
                declined_http2: Cell::new(false),
                swept: Cell::new(false),
            })
        };
        Rc::new(Self {
            backends: upstreams.backends.iter().map(pool).collect(),
            budget: Budget::new(upstreams.options.retry_budget),
            // Cores must not all begin with the same backend.
            turn: Turn::new(RandomState::new().hash_one(upstreams.number)),
            upstreams: Arc::clone(upstreams),
        })
    }

    /// A connection to a backend that was not asked yet. Another backend is tried when one cannot be
    /// connected to (nothing was sent yet), as far as the budget goes.
    ///
    /// # Errors
    /// The last one's failure.
    pub async fn lend(&self, tries: &mut Tries, fresh: bool) -> io::Result<Lent> {
        let connect = self.upstreams.timeouts.connect;
        let mut failure = None;
        loop {
            let is_left = tries.tried.len() < self.backends.len();
            if failure.is_some() && !(is_left && self.may_try_again()) {
                break;
            }
            let Some(backend) = self.choose(tries) else { break };
            match backend.lend((fresh, tries.for_tunnel), connect).await {
                Ok(lent) => return Ok(lent),
                // Not to speak HTTP/1.1 is no failure: nobody may have it ejected by asking.
                Err(error) if tries.for_tunnel && backend.backend.may_speak_http2() => {
                    failure = Some(error);
                }
                Err(error) => {
                    backend.unreached_at.set(Some(Instant::now()));
                    self.upstreams.failed(&backend.backend);
                    failure = Some(error);
                }
            }
        }
        Err(failure.unwrap_or_else(|| io::Error::other("every backend was asked")))
    }

    fn choose(&self, tries: &mut Tries) -> Option<&Rc<BackendPool>> {
        let from = (&self.upstreams.options.balance, self.upstreams.backends.as_slice());
        let load = |at: usize| self.backends.get(at).map_or(0, |it| it.busy.get());
        let avoided = |at: usize| self.backends.get(at).is_some_and(|it| it.was_unreached());
        let chosen = self.turn.choose(from, tries, (load, avoided))?;
        tries.tried.push(chosen);
        self.backends.get(chosen)
    }

    /// Takes one retry from the budget.
    pub fn may_try_again(&self) -> bool {
        let may = self.budget.spend();
        self.upstreams.metrics.retried(may);
        may
    }
}

impl BackendPool {
    /// Whether it took no connection just now: others come first, so that a backend that is away costs
    /// one request of many a second try.
    fn was_unreached(&self) -> bool {
        self.unreached_at.get().is_some_and(|at| at.elapsed() < AVOIDED)
    }

    async fn lend(
        self: &Rc<Self>,
        (fresh, for_tunnel): (bool, bool),
        connect: Duration,
    ) -> io::Result<Lent> {
        let unused = || self.idle.take(|it| self.is_good(it));
        if !fresh && let Some(connection) = unused() {
            return Ok(Lent::new(Sender::Http1(connection), true, self));
        }
        // Much larger than what finds a connection needs, and moved with it: an allocation of its own.
        let dialed = timeout(connect, Box::pin(self.connect(for_tunnel))).await;
        dialed.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
    }

    fn is_good(&self, connection: &Connection) -> bool {
        self.backend.is_still_at(&connection.reached)
    }

    /// Keeps a connection for the next exchange.
    pub(super) fn keep(self: &Rc<Self>, connection: Box<Connection>) {
        if self.is_good(&connection) && self.idle.keep(connection) {
            self.begin_to_sweep();
        }
    }

    /// A tunnel begins on HTTP/1.1 (RFC 6455), whatever else the backend speaks.
    async fn connect(self: &Rc<Self>, for_tunnel: bool) -> io::Result<Lent> {
        let may_share = match &self.backend.tls {
            Some(tls) => tls.offers_http2 && !self.declined_http2.get(),
            None => self.backend.is_h2c(),
        };
        if may_share && !for_tunnel {
            return self.stream().await;
        }
        match self.open(for_tunnel).await? {
            Opened::Http1(sender) => Ok(Lent::new(Sender::Http1(sender), false, self)),
            Opened::Http2(shared) => Ok(self.lent_stream(self.share(shared), false)),
        }
    }

    /// A stream of a shared connection. One connection is made at a time, for all that wait.
    async fn stream(self: &Rc<Self>) -> io::Result<Lent> {
        if let Some(stream) = self.free_stream() {
            return Ok(self.lent_stream(stream, true));
        }
        let dialing = Rc::clone(self.dialing.borrow_mut().get_or_insert_with(Rc::default));
        let mut own = None;
        let dialed = dialing.get_or_init(|| async {
            match self.open(false).await {
                Ok(Opened::Http2(shared)) => {
                    own = Some(self.lent_stream(self.share(shared), false));
                    Dialed::Shared
                }
                Ok(Opened::Http1(sender)) => {
                    self.declined_http2.set(true);
                    own = Some(Lent::new(Sender::Http1(sender), false, self));
                    Dialed::NotShared
                }
                Err(error) => Dialed::Failed(error.kind(), error.to_string().into()),
            }
        });
        let dialed = dialed.await.clone();
        self.dialing.borrow_mut().take_if(|it| Rc::ptr_eq(it, &dialing));
        match (own, dialed) {
            (Some(own), _) => Ok(own),
            (None, Dialed::Failed(kind, why)) => Err(io::Error::new(kind, &*why)),
            (None, Dialed::Shared) => match self.least_used() {
                Some(stream) => Ok(self.lent_stream(stream, true)),
                None => Err(io::ErrorKind::ConnectionReset.into()),
            },
            (None, Dialed::NotShared) => match self.open(false).await? {
                Opened::Http1(sender) => Ok(Lent::new(Sender::Http1(sender), false, self)),
                Opened::Http2(shared) => Ok(self.lent_stream(self.share(shared), false)),
            },
        }
    }

    /// A stream on a connection that has room, or on any when there are enough of them.
    fn free_stream(&self) -> Option<Stream> {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|it| it.is_open() && self.backend.is_still_at(&it.reached));
        let room = shared.iter().find(|it| it.has_room());
        if room.is_none() && shared.len() < MOST_SHARED {
            return None;
        }
        let least = || shared.iter().min_by_key(|it| it.streams());
        Some(room.or_else(least)?.begin())
    }

    fn least_used(&self) -> Option<Stream> {
        let shared = self.shared.borrow();
        Some(shared.iter().filter(|it| it.is_open()).min_by_key(|it| it.streams())?.begin())
    }

    fn share(self: &Rc<Self>, shared: Rc<Shared>) -> Stream {
        let stream = shared.begin();
        self.shared.borrow_mut().push(shared);
        self.begin_to_sweep();
        stream
    }

    fn lent_stream(self: &Rc<Self>, stream: Stream, reused: bool) -> Lent {
        Lent::new(Sender::on(stream), reused, self)
    }

    /// A new connection; `http1`: of that protocol alone.
    async fn open(&self, http1: bool) -> io::Result<Opened> {
        let dialed = dial(&self.backend, http1).await;
        self.tool.metrics.connected(dialed.is_ok());
        let (link, protocol, reached) = dialed?;
        self.speak(link, protocol, reached).await
    }

    async fn speak(&self, link: Link, protocol: Protocol, reached: Reached) -> io::Result<Opened> {
        let open = self.tool.metrics.open_connection();
        match protocol {
            Protocol::Http1 => {
                let patience = self.tool.timeouts.response;
                let connection = Connection::new((link, reached), Some(open), patience);
                Ok(Opened::Http1(Box::new(connection)))
            }
            Protocol::Http2 => {
                let stream = TokioIo::new(link);
                let local = Local::default();
                let handshake = http2::Builder::new(local.clone())
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(STREAM_WINDOW * MOST_STREAMS)
                    .handshake(stream)
                    .await;
                let (sender, connection) = handshake.map_err(io::Error::other)?;
                let allowed = Rc::new(Cell::new(connection.current_max_send_streams()));
                let allows = Rc::clone(&allowed);
                tokio::task::spawn_local(async move {
                    let mut connection = pin!(connection);
                    let driven = poll_fn(|cx| {
                        let polled = connection.as_mut().poll(cx);
                        allows.set(connection.current_max_send_streams());
                        polled
                    });
                    let _ended = driven.await;
                    drop(open);
                });
                let driver = local.first.borrow().clone();
                Ok(Opened::Http2(Shared::new(sender, allowed, driver, reached)))
            }
        }
    }

    /// Closes what nobody used for as long as the tool says, until nothing is left to look after.
    fn begin_to_sweep(self: &Rc<Self>) {
        if self.swept.replace(true) {
            return;
        }
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let life = pool.tool.timeouts.idle;
            let period = (life / TURNS).max(Duration::from_millis(1));
            let mut timer = pin!(sleep(period));
            poll_fn(|cx| {
                while pool.sweep(life, cx) {
                    ready!(timer.as_mut().poll(cx));
                    pool.idle.turns();
                    timer.as_mut().reset(Instant::now() + period);
                }
                Poll::Ready(())
            })
            .await;
            pool.idle.is_left_alone();
            pool.swept.set(false);
        });
    }

    /// Whether anything is left.
    fn sweep(&self, life: Duration, cx: &Context<'_>) -> bool {
        let is_idle = self.idle.sweep(cx.waker(), |it| self.is_good(it));
        let mut shared = self.shared.borrow_mut();
        let is_old = |it: &Rc<Shared>| it.idle_since().is_some_and(|at| at.elapsed() >= life);
        shared.retain(|it| it.is_open() && !is_old(it));
        is_idle || !shared.is_empty()
    }
}

enum Opened {
    Http1(Box<Connection>),
    Http2(Rc<Shared>),
}

/// Runs what hyper needs beside a connection on this core.
#[derive(Clone, Debug, Default)]
struct Local {
    /// The connection itself: it is begun in the handshake, before there is a request.
    first: Rc<RefCell<Option<AbortHandle>>>,
}

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, work: F) {
        let task = tokio::task::spawn_local(async {
            drop(work.await);
        });
        self.first.borrow_mut().get_or_insert_with(|| task.abort_handle());
    }
}
