//! A proxy in front of Redis that does to single commands and replies what networks, servers and
//! strangers do to them. Tests switch it while it runs.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::pump;
use super::resp::Value;

type Change = Arc<dyn Fn(Value) -> Value + Send + Sync>;

/// What becomes of a command or of its reply.
#[derive(Clone)]
pub enum Fault {
    /// The server never sees the command; this is answered instead.
    Answer(Value),
    /// The server carries the command out; this is answered instead.
    AnswerAfter(Value),
    /// These bytes instead of the reply, in whatever form.
    Garbage(Vec<u8>),
    /// Every reply comes so much later, one after the other.
    Delay(Duration),
    /// One byte of the reply at a time, so long apart.
    Trickle(Duration),
    /// Half of the reply, then the connection ends.
    Cut,
    /// The last of every so many replies is never delivered (1: none is).
    DropEvery(usize),
    /// Every reply twice.
    Duplicate,
    /// Replies change places in pairs.
    Reorder,
    /// The reply, changed.
    Edit(Change),
    /// Nothing goes on and nothing comes back until the rule is gone; then everything does, late.
    Hold,
}

impl Fault {
    pub fn error(text: &str) -> Self {
        Self::Answer(Value::error(text))
    }

    /// Every value in a reply, changed.
    pub fn blobs(change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::Edit(Arc::new(move |value| value.map_blobs(&change)))
    }
}

#[derive(Clone)]
pub struct Rule {
    /// In upper case; none: every command.
    pub commands: Vec<String>,
    /// Only on this connection.
    pub connection: Option<usize>,
    pub fault: Fault,
}

impl Rule {
    pub fn all(fault: Fault) -> Self {
        Self::of(&[], fault)
    }

    pub fn of(commands: &[&str], fault: Fault) -> Self {
        let commands = commands.iter().map(|&name| name.to_owned()).collect();
        Self { commands, connection: None, fault }
    }

    fn fits(&self, command: &str, connection: usize) -> bool {
        let named = self.commands.is_empty() || self.commands.iter().any(|name| name == command);
        named && self.connection.is_none_or(|only| only == connection)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    /// Nobody listens.
    Refuse,
    /// Connections are accepted and reset at once.
    Reset,
}

pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared =
            Arc::new(Shared { state: Mutex::new(State::new(target)), changed: Condvar::new() });
        let accepting = shared.clone();
        thread::spawn(move || accept(&accepting, listener, address));
        Self { address, shared }
    }

    /// From now on for every command and every reply not yet delivered; the first that fits.
    pub fn rules(&self, rules: Vec<Rule>) {
        self.shared.change(|state| state.rules = rules);
    }

    pub fn rule(&self, rule: Rule) {
        self.rules(vec![rule]);
    }

    /// Back to a proxy that only passes on. What was held goes on.
    pub fn heal(&self) {
        self.shared.change(|state| {
            state.rules.clear();
            state.mode = Mode::Open;
        });
        self.shared.wait(|state| state.bound);
    }

    /// Nobody listens, and every connection is closed.
    pub fn refuse(&self) {
        self.shared.change(|state| state.mode = Mode::Refuse);
        let _woken = TcpStream::connect(self.address);
        self.shared.wait(|state| !state.bound);
        self.hang_up();
    }

    /// Every connection is reset, present and future ones.
    pub fn reset(&self) {
        self.shared.change(|state| state.mode = Mode::Reset);
        self.hang_up();
    }

    /// Ends every connection with a reset.
    pub fn hang_up(&self) {
        let mut state = self.shared.lock();
        for (_, pair) in std::mem::take(&mut state.connections) {
            pair.iter().for_each(reset);
        }
    }

    /// Where new connections lead.
    pub fn retarget(&self, target: SocketAddr) {
        self.shared.change(|state| state.target = target);
    }

    /// Each connection that was accepted since `from`.
    pub fn connects_since(&self, from: Instant) -> Vec<Instant> {
        self.shared.lock().connects.iter().copied().filter(|&at| at >= from).collect()
    }

    /// How often `command` was sent; `MGET 3`: with three arguments.
    pub fn count(&self, command: &str) -> usize {
        self.shared.lock().commands.get(command).map_or(0, |seen| seen.times)
    }

    /// The connection on which `command` was sent last.
    pub fn last_with(&self, command: &str) -> Option<usize> {
        self.shared.lock().commands.get(command).map(|seen| seen.connection)
    }

    pub fn open_connections(&self) -> usize {
        self.shared.lock().connections.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.stopped = true;
            state.rules.clear();
        });
        self.hang_up();
        let _woken = TcpStream::connect(self.address);
    }
}

/// The most of `times` within any one second.
pub fn most_in_a_second(times: &[Instant]) -> usize {
    let within = |start: &Instant| {
        times.iter().filter(|&at| at >= start && *at < *start + Duration::from_secs(1)).count()
    };
    times.iter().map(within).max().unwrap_or(0)
}

/// What the proxy and its connections share.
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    target: SocketAddr,
    mode: Mode,
    rules: Vec<Rule>,
    /// Another number: something changed.
    version: u64,
    bound: bool,
    stopped: bool,
    connections: BTreeMap<usize, [TcpStream; 2]>,
    connects: Vec<Instant>,
    commands: BTreeMap<String, Sent>,
    dropping: usize,
}

#[derive(Default)]
struct Sent {
    times: usize,
    connection: usize,
}

impl State {
    fn new(target: SocketAddr) -> Self {
        Self {
            target,
            mode: Mode::Open,
            rules: Vec::new(),
            version: 0,
            bound: true,
            stopped: false,
            connections: BTreeMap::new(),
            connects: Vec::new(),
            commands: BTreeMap::new(),
            dropping: 0,
        }
    }

    fn fault(&self, command: &str, connection: usize) -> Option<&Fault> {
        let rule = self.rules.iter().find(|rule| rule.fits(command, connection))?;
        Some(&rule.fault)
    }

    fn holds(&self, command: &str, connection: usize) -> bool {
        !self.stopped && matches!(self.fault(command, connection), Some(Fault::Hold))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic inside")
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.version += 1;
        self.changed.notify_all();
    }

    fn wait(&self, done: impl Fn(&State) -> bool) {
        let limit = Duration::from_secs(10);
        let waited = self.changed.wait_timeout_while(self.lock(), limit, |state| !done(state));
        assert!(!waited.expect("no panic inside").1.timed_out(), "the proxy did not follow");
    }

    /// Whether nobody ended the connection meanwhile.
    pub fn is_open(&self, connection: usize) -> bool {
        self.lock().connections.contains_key(&connection)
    }

    /// Notes a command and gives what is to become of it, once it is not held any more.
    pub fn sent(&self, command: &str, arguments: usize, connection: usize) -> Option<Fault> {
        let mut state = self.lock();
        for name in [command.to_owned(), format!("{command} {arguments}")] {
            let sent = state.commands.entry(name).or_default();
            (sent.times, sent.connection) = (sent.times + 1, connection);
        }
        self.fault_of(state, command, connection)
    }

    /// What is to become of a reply, once it is not held any more.
    pub fn replied(&self, command: &str, connection: usize) -> Option<Fault> {
        self.fault_of(self.lock(), command, connection)
    }

    fn fault_of(
        &self,
        state: MutexGuard<'_, State>,
        command: &str,
        connection: usize,
    ) -> Option<Fault> {
        let held = self.changed.wait_while(state, |state| state.holds(command, connection));
        held.expect("no panic inside").fault(command, connection).cloned()
    }

    /// Whether this reply is one that gets lost.
    pub fn drops(&self, every: usize) -> bool {
        let mut state = self.lock();
        state.dropping += 1;
        state.dropping.is_multiple_of(every)
    }

    /// Waits so long, or until the rules change.
    pub fn pause(&self, time: Duration) {
        let state = self.lock();
        let version = state.version;
        let unchanged = |state: &mut State| state.version == version && !state.stopped;
        drop(self.changed.wait_timeout_while(state, time, unchanged).expect("no panic inside"));
    }

    pub fn target(&self) -> SocketAddr {
        self.lock().target
    }

    /// Gives whether the connection may be used.
    pub fn opened(&self, connection: usize, pair: [TcpStream; 2]) -> bool {
        let mut state = self.lock();
        let open = state.mode == Mode::Open && !state.stopped;
        if open {
            state.connections.insert(connection, pair);
        } else {
            pair.iter().for_each(reset);
        }
        open
    }

    pub fn closed(&self, connection: usize) {
        if let Some(pair) = self.lock().connections.remove(&connection) {
            for stream in &pair {
                let _shut = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

/// The other side sees a reset once the last handle is gone; who reads from it stops at once.
pub fn reset(stream: &TcpStream) {
    let _set = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    let _shut = stream.shutdown(Shutdown::Read);
}

fn accept(shared: &Arc<Shared>, mut listener: TcpListener, address: SocketAddr) {
    for connection in 0.. {
        let Ok((stream, _)) = listener.accept() else { return };
        let mut state = shared.lock();
        if state.stopped {
            return;
        }
        match state.mode {
            Mode::Open => {
                state.connects.push(Instant::now());
                let shared = shared.clone();
                thread::spawn(move || pump::run(&shared, connection, stream));
            }
            Mode::Reset => {
                state.connects.push(Instant::now());
                reset(&stream);
            }
            Mode::Refuse => {
                drop((state, stream, listener));
                shared.change(|state| state.bound = false);
                let closed = |state: &mut State| state.mode == Mode::Refuse && !state.stopped;
                let opened = shared.changed.wait_while(shared.lock(), closed);
                if opened.expect("no panic inside").stopped {
                    return;
                }
                listener = crate::harness::eventually("the port", Duration::from_secs(5), || {
                    TcpListener::bind(address).ok()
                });
                shared.change(|state| state.bound = true);
            }
        }
    }
}
