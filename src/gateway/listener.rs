//! Listening sockets, core threads, and the way out.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::telemetry::events::gateway::{AcceptFailed, ClientRefused, WritesAlone};
use crate::tls::ServerTls;

use super::clients::{Clients, Place};
use super::connection;
use super::core::{Core, Shared};
use super::lease;
use super::ports::Ports;

const BACKLOG: i32 = 1024;
/// How long accepting pauses after it failed (no more file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often a core that holds all the connections it may looks for one that has ended.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// The life of the data plane, told to every core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Serving,
    /// Every next response says `Connection: close`; new connections are still taken.
    Draining,
    /// The time to drain is over: idle connections are closed.
    Closing,
}

/// What is spoken on one address.
#[derive(Clone, Debug)]
pub struct Speaks {
    /// HTTP/2, too.
    pub http2: bool,
    pub tls: Option<Arc<ServerTls>>,
}

/// Bound sockets: one list of listeners per core, all of the same addresses.
#[derive(Debug)]
pub struct Sockets {
    cores: Vec<Vec<TcpListener>>,
    addresses: Vec<SocketAddr>,
    /// One for each address.
    speak: Vec<Speaks>,
    /// What a core writes in one turn goes to the kernel together, where it can.
    together: bool,
}

impl Sockets {
    /// Binds every address once per core (`SO_REUSEPORT`). Port 0 takes a free port, the same for
    /// all cores. An address that somebody listens on already is an error, also when that
    /// somebody would share it.
    ///
    /// # Errors
    /// An address that cannot be bound, named; nothing has been started then.
    pub fn bind(addresses: &[SocketAddr], cores: usize) -> io::Result<Self> {
        for address in addresses.iter().filter(|address| address.port() != 0) {
            bound(*address, false).map_err(naming(*address))?;
        }
        let speak = vec![Speaks { http2: true, tls: None }; addresses.len()];
        let mut sockets =
            Self { cores: Vec::new(), addresses: addresses.to_vec(), speak, together: true };
        for _ in 0..cores.max(1) {
            let mut listeners = Vec::new();
            for address in &mut sockets.addresses {
                let listener = listen(*address).map_err(naming(*address))?;
                *address = listener.local_addr()?;
                listeners.push(listener);
            }
            sockets.cores.push(listeners);
        }
        Ok(sockets)
    }

    /// With what is spoken on each of them; plain HTTP, both versions, on those that are not named.
    #[must_use]
    pub fn speaking(mut self, speak: impl IntoIterator<Item = Speaks>) -> Self {
        for (ours, theirs) in self.speak.iter_mut().zip(speak) {
            *ours = theirs;
        }
        self
    }

    /// Whether the writes of a turn go together, where the kernel has `io_uring` for us.
    #[must_use]
    pub const fn writing_together(mut self, together: bool) -> Self {
        self.together = together;
        self
    }

    /// The addresses that were bound, with their real ports.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores.len()
    }
}

fn naming(address: SocketAddr) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{address}: {error}"))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address, true)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A core ended other than by draining.
#[derive(Debug, thiserror::Error)]
pub enum CoreDied {
    #[error("a core of the data plane could not start, or go on: {0}")]
    Start(String),
    #[error("a core of the data plane panicked")]
    Panicked,
}

/// The running data plane.
#[derive(Debug)]
pub struct Gateway {
    addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
    ends: mpsc::UnboundedReceiver<Result<(), CoreDied>>,
}

/// Starts one thread per core; each makes its own ports with `make_core(index)` on its own runtime.
/// Set `draining` to true to drain.
///
/// # Errors
/// A thread could not be started.
pub fn spawn<P, F>(
    sockets: Sockets,
    shared: &Arc<Shared>,
    draining: &watch::Receiver<bool>,
    make_core: F,
) -> io::Result<Gateway>
where
    P: Ports,
    F: Fn(usize) -> P + Clone + Send + 'static,
{
    let (report, ends) = mpsc::unbounded_channel();
    let clients = Clients::new(shared.limits.connections_per_client);
    let count = sockets.cores();
    let mut threads = Vec::new();
    for (index, listeners) in sockets.cores.into_iter().enumerate() {
        let (shared, draining) = (Arc::clone(shared), draining.clone());
        let clients = Arc::clone(&clients);
        let listeners: Vec<_> = listeners.into_iter().zip(sockets.speak.clone()).collect();
        let (make_core, report) = (make_core.clone(), Report(Some(report.clone())));
        let together = sockets.together;
        let run = move || {
            let sources = (listeners, clients, together);
            let ended = run_core(sources, shared, draining, |shared| {
                Core::new(make_core(index), shared, index, count).map_err(io::Error::other)
            });
            report.send(ended.map_err(|error| CoreDied::Start(error.to_string())));
        };
        threads.push(std::thread::Builder::new().name(format!("gateway-{index}")).spawn(run)?);
    }
    Ok(Gateway { addresses: sockets.addresses, threads, ends })
}

/// One core on the thread that asks, where local tasks can be spawned: what each thread of [`spawn`] runs, for
/// whoever counts what a request costs. Ends when it has drained.
///
/// # Errors
/// The core could not start, or go on.
pub async fn one_core<P: Ports>(
    sockets: Sockets,
    shared: Arc<Shared>,
    draining: watch::Receiver<bool>,
    ports: P,
) -> io::Result<()> {
    let clients = Clients::new(shared.limits.connections_per_client);
    let listeners = sockets.cores.into_iter().flatten().zip(sockets.speak).collect();
    let core = Core::new(ports, shared, 0, 1).map_err(io::Error::other)?;
    run(Rc::new(core), (listeners, clients), draining).await
}

impl Gateway {
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Resolves when every core has drained.
    ///
    /// # Errors
    /// A core died: the process must not go on without it.
    pub async fn drained(&mut self) -> Result<(), CoreDied> {
        for _ in 0..self.threads.len() {
            self.ends.recv().await.unwrap_or(Err(CoreDied::Panicked))?;
        }
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_panic| CoreDied::Panicked)?;
        }
        Ok(())
    }
}

/// Tells the end of a core, also when a panic unwinds its thread.
struct Report(Option<mpsc::UnboundedSender<Result<(), CoreDied>>>);

impl Report {
    fn send(mut self, end: Result<(), CoreDied>) {
        if let Some(report) = self.0.take() {
            let _nobody_waits = report.send(end);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(report) = self.0.take() {
            let _nobody_waits = report.send(Err(CoreDied::Panicked));
        }
    }
}

fn run_core<P: Ports>(
    (listeners, clients, together): (Vec<(TcpListener, Speaks)>, Arc<Clients>, bool),
    shared: Arc<Shared>,
    draining: watch::Receiver<bool>,
    make: impl FnOnce(Arc<Shared>) -> io::Result<Core<P>>,
) -> io::Result<()> {
    // Not a set of local tasks within a runtime: its queue would lie between every task and its wake-up.
    let options = tokio::runtime::LocalOptions::default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(options)?;
    runtime.block_on(async move {
        let core = Rc::new(make(shared)?);
        if together {
            take_turns(core.index);
        }
        // A task of its own: what the runtime blocks on is polled whenever any task has run.
        let running = tokio::task::spawn_local(run(core, (listeners, clients), draining));
        running.await.map_err(io::Error::other)?
    })
}

/// From now on what this core writes waits for its other writes, where there is a way.
fn take_turns(core: usize) {
    match tidegate_turn::begin() {
        Ok(turns) => drop(tokio::task::spawn_local(turns.run())),
        Err(error) => WritesAlone { core, error: &error }.emit(),
    }
}

async fn run<P: Ports>(
    core: Rc<Core<P>>,
    (listeners, clients): (Vec<(TcpListener, Speaks)>, Arc<Clients>),
    mut draining: watch::Receiver<bool>,
) -> io::Result<()> {
    let (phase, _) = watch::channel(Phase::Serving);
    let mut tasks = JoinSet::new();
    lease::watch(&core, &mut tasks);
    let open = Rc::new(Cell::new(0));
    let mut accepting = Vec::new();
    for (listener, speaks) in listeners {
        let listener = (tokio::net::TcpListener::from_std(listener)?, Rc::new(speaks));
        let open = (Rc::clone(&open), clients.clone());
        let accept = accept(Rc::clone(&core), listener, phase.clone(), open);
        accepting.push(tasks.spawn_local(accept));
    }
    // A sender that is gone means the app is gone: drain as well.
    tokio::select! {
        _gone = draining.wait_for(|draining| *draining) => (),
        // Without one of them nobody would be let in, or nothing that is open would ever be cut.
        Some(_ended) = tasks.join_next() => {
            return Err(io::Error::other("one of its tasks ended by itself"));
        }
    }
    core.draining.set(true);
    phase.send_replace(Phase::Draining);
    let limits = core.shared.limits;
    let end = Instant::now() + limits.drain_timeout;
    until_none(&open, end).await;
    for accept in accepting {
        accept.abort();
    }
    phase.send_replace(Phase::Closing);
    until_none(&open, Instant::now() + limits.stream_grace).await;
    Ok(())
}

/// Waits until no connection is open, or until `end`.
async fn until_none(open: &Cell<usize>, end: Instant) {
    while open.get() > 0 && Instant::now() < end {
        sleep_until(end.min(Instant::now() + Duration::from_millis(10))).await;
    }
}

async fn accept<P: Ports>(
    core: Rc<Core<P>>,
    (listener, speaks): (tokio::net::TcpListener, Rc<Speaks>),
    phase: watch::Sender<Phase>,
    (open, clients): (Rc<Cell<usize>>, Arc<Clients>),
) {
    loop {
        while open.get() >= core.connections {
            sleep(FULL_PAUSE).await;
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(place) = clients.take(peer.ip()) else {
                    ClientRefused(peer.ip()).emit(&core.shared.metrics);
                    continue;
                };
                // A connection without TCP_NODELAY is slower, not wrong.
                let _slower = stream.set_nodelay(true);
                // One that vanished is noticed in a quiet stream, too.
                let _unnoticed = SockRef::from(&stream).set_tcp_keepalive(&keepalive());
                let counted = Open::new(&open, place);
                let came = (stream, peer.ip(), Rc::clone(&speaks));
                let serve = connection::serve(Rc::clone(&core), came, phase.subscribe());
                tokio::task::spawn_local(async move {
                    let _counted = counted;
                    serve.await;
                });
            }
            Err(error) => {
                AcceptFailed(&error).emit();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A peer that does not answer is given up after one to three minutes. No two connections in a row are
/// probed at the same time: the timers of thousands would fire together, and the probes that a full
/// queue of the system drops would end connections whose peers are there.
pub fn keepalive() -> TcpKeepalive {
    static TURN: AtomicU64 = AtomicU64::new(0);
    let (after, every) = probed(TURN.fetch_add(1, Ordering::Relaxed));
    TcpKeepalive::new().with_time(after).with_interval(every).with_retries(4)
}

/// After which silence a connection is probed, and how often then.
pub const fn probed(turn: u64) -> (Duration, Duration) {
    (Duration::from_secs(30 + turn % 61), Duration::from_secs(8 + turn % 7))
}

/// One open connection.
struct Open {
    open: Rc<Cell<usize>>,
    _place: Place,
}

impl Open {
    fn new(open: &Rc<Cell<usize>>, place: Place) -> Self {
        open.set(open.get() + 1);
        Self { open: Rc::clone(open), _place: place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open.set(self.open.get().saturating_sub(1));
    }
}
