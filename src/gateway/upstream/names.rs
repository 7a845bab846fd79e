//! What the names of backends resolve to. They come from the configuration alone.
//!
//! A name is asked for again when what was heard of it ends ([`Resolver`]), whether somebody connects
//! or not. While nobody can say, what a name was before stays, for a day at most.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::resolver::{Answer, Resolver};
use super::upstreams::Upstreams;
use crate::gateway::listener::keepalive;

/// For one question, with all that is tried for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// After a failure nobody is asked for so long, whoever wants to connect.
const FAILED: Duration = Duration::from_secs(1);

/// And unless somebody wants to connect, for so long.
const QUIET: Duration = Duration::from_secs(5);

/// What a name was is used for so long while nobody can say (RFC 8767, section 5: 1 to 3 days).
const STALE: Duration = Duration::from_secs(24 * 3600);

/// A host and what it resolves to.
#[derive(Debug)]
pub struct Host {
    name: Arc<str>,
    port: u16,
    resolver: Resolver,
    known: ArcSwapOption<Vec<SocketAddr>>,
    /// Counts the changes of its addresses.
    generation: AtomicU32,
    turn: AtomicUsize,
    /// Held by whoever asks, so that all others wait for that one answer.
    heard: Mutex<Heard>,
}

/// What was heard last.
#[derive(Debug, Default)]
struct Heard {
    /// When to ask again; `None`: nobody was asked yet.
    until: Option<Instant>,
    /// Why there was no answer.
    failure: Option<(io::ErrorKind, Arc<str>)>,
    /// Of the last answer.
    good_at: Option<Instant>,
}

/// Where a connection goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    generation: u32,
    /// `None`: a socket, which never moves.
    ip: Option<IpAddr>,
}

impl Reached {
    pub const SOCKET: Self = Self { generation: 0, ip: None };
}

/// Asks for every name again and again. Never ends.
pub async fn watch(tools: Vec<Arc<Upstreams>>) {
    let mut tasks = JoinSet::new();
    for backend in tools.iter().flat_map(|tool| &tool.backends) {
        let backend = Arc::clone(backend);
        tasks.spawn(async move {
            if let Some(host) = backend.host() {
                host.follow().await;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending::<()>().await;
}

impl Host {
    #[must_use]
    pub fn new(host: &Arc<str>, port: u16, resolver: Resolver) -> Self {
        let fixed: Option<IpAddr> = host.parse().ok();
        Self {
            name: Arc::clone(host),
            port,
            resolver,
            known: ArcSwapOption::new(fixed.map(|ip| Arc::new(vec![SocketAddr::new(ip, port)]))),
            generation: AtomicU32::new(0),
            turn: AtomicUsize::new(0),
            heard: Mutex::default(),
        }
    }

    fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Whether the name still resolves to where a connection goes to.
    #[must_use]
    pub fn is_still_at(&self, reached: &Reached) -> bool {
        // It seldom moves, so that its addresses are seldom looked at.
        reached.generation == self.generation()
            || self
                .known
                .load()
                .as_ref()
                .is_some_and(|known| known.iter().any(|address| Some(address.ip()) == reached.ip))
    }

    /// Connects to one of its addresses.
    ///
    /// # Errors
    /// It does not resolve, or none of its addresses takes the connection.
    pub async fn connect(&self) -> io::Result<(TcpStream, Reached)> {
        let generation = self.generation();
        let stream = TcpStream::connect(&*self.addresses().await?).await?;
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_keepalive(&keepalive())?;
        let ip = Some(stream.peer_addr()?.ip());
        Ok((stream, Reached { generation, ip }))
    }

    /// In the order in which they are to be tried, a different one each time.
    ///
    /// # Errors
    /// It was never resolved, and cannot be now.
    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if self.known.load().is_none() {
            self.resolve().await?;
        }
        let known = self.known.load();
        let mut addresses = known.as_deref().cloned().unwrap_or_default();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let same = addresses.iter().take_while(|it| it.is_ipv4()).count();
        let turning = if same == 0 { addresses.len() } else { same };
        if let Some(by) = turn.checked_rem(turning) {
            addresses.get_mut(..turning).unwrap_or_default().rotate_left(by);
        }
        Ok(addresses)
    }

    async fn follow(&self) {
        if self.name.parse::<IpAddr>().is_ok() {
            return;
        }
        loop {
            let resolved = self.resolve().await;
            let again = resolved.unwrap_or_else(|_kept_as_it_was| Instant::now() + QUIET);
            sleep_until(again).await;
        }
    }

    /// Asks, unless what was heard last still holds. Says until when it holds now.
    ///
    /// # Errors
    /// Nobody could say, now or just before.
    async fn resolve(&self) -> io::Result<Instant> {
        let mut heard = self.heard.lock().await;
        let now = Instant::now();
        if heard.until.is_none_or(|until| until <= now) {
            let asked = timeout(PATIENCE, self.resolver.ask(&self.name)).await;
            let answer = asked.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
            self.hear(&mut heard, answer, Instant::now());
        }
        match &heard.failure {
            Some((kind, why)) => Err(io::Error::new(*kind, &**why)),
            None => Ok(heard.until.unwrap_or(now)),
        }
    }

    fn hear(&self, heard: &mut Heard, answer: io::Result<Answer>, now: Instant) {
        match answer {
            Ok(answer) => {
                self.take(&answer.addresses);
                let until = Some(now + answer.holds);
                *heard = Heard { until, failure: None, good_at: Some(now) };
            }
            Err(error) => {
                heard.until = Some(now + FAILED);
                heard.failure = Some((error.kind(), error.to_string().into()));
                if heard.good_at.is_some_and(|at| now.duration_since(at) >= STALE) {
                    heard.good_at = None;
                    self.forget();
                }
            }
        }
    }

    /// As if it had never resolved.
    fn forget(&self) {
        self.known.store(None);
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// As if it resolved to something else now.
    #[cfg(test)]
    pub fn becomes(&self, ip: IpAddr) {
        self.take(&BTreeSet::from([ip]));
    }

    fn take(&self, found: &BTreeSet<IpAddr>) {
        let found: Vec<SocketAddr> =
            found.iter().map(|ip| SocketAddr::new(*ip, self.port)).collect();
        let before = self.known.swap(Some(Arc::new(found.clone())));
        if before.is_some_and(|before| *before != found) {
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: u16) -> Host {
        Host::new(&name.into(), port, Resolver::default())
    }

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    #[tokio::test]
    async fn what_a_name_was_stays_while_nobody_can_say() {
        let host = host("nowhere.invalid", 80);
        assert!(host.addresses().await.is_err(), "never resolved");
        host.take(&[at(1).ip()].into());
        assert!(host.resolve().await.is_err());
        assert_eq!((host.addresses().await.expect("kept"), host.generation()), (vec![at(1)], 0));
        host.take(&[at(2).ip()].into());
        assert_eq!((host.addresses().await.expect("new"), host.generation()), (vec![at(2)], 1));
    }

    #[test]
    fn what_a_name_was_is_forgotten_when_nobody_could_say_for_a_day() {
        let (host, mut heard, begun) = (host("name.test", 80), Heard::default(), Instant::now());
        let failed = || Err(io::ErrorKind::TimedOut.into());
        let addresses = [at(1).ip()].into();
        host.hear(&mut heard, Ok(Answer { addresses, holds: Duration::from_secs(1) }), begun);
        let generation = host.generation();
        host.hear(&mut heard, failed(), begun + STALE - Duration::from_secs(1));
        assert!(host.known.load().is_some());
        host.hear(&mut heard, failed(), begun + STALE);
        assert!(host.known.load().is_none());
        assert!(!host.is_still_at(&Reached { generation, ip: Some(at(1).ip()) }));
    }

    #[tokio::test]
    async fn a_name_is_asked_for_again_although_nobody_connects() {
        let host = std::sync::Arc::new(host("localhost", 80));
        host.take(&[at(1).ip()].into());
        let following = tokio::spawn({
            let host = host.clone();
            async move { host.follow().await }
        });
        while host.generation() == 0 {
            tokio::task::yield_now().await;
        }
        following.abort();
        let now = host.addresses().await.expect("resolved");
        assert!(now.iter().all(|it| it.ip().is_loopback()), "{now:?}");
    }

    #[tokio::test]
    async fn a_name_of_the_hosts_file_resolves_and_an_address_is_itself() {
        let local = host("localhost", 7).addresses().await.expect("resolved");
        assert!(local.iter().all(|it| it.ip().is_loopback() && it.port() == 7), "{local:?}");
        let itself = host("::1", 7).addresses().await.expect("an address");
        assert_eq!(itself, ["[::1]:7".parse().expect("an address")]);
    }

    #[test]
    fn a_connection_stays_good_while_the_name_still_has_its_address() {
        let host = host("127.0.0.1", 80);
        let reached = |last| Reached { generation: 0, ip: Some(at(last).ip()) };
        host.take(&[1, 2].map(|last| at(last).ip()).into());
        host.take(&[2, 3].map(|last| at(last).ip()).into());
        assert!(!host.is_still_at(&reached(1)));
        assert!(host.is_still_at(&reached(2)) && host.is_still_at(&reached(3)));
    }

    #[tokio::test]
    async fn several_addresses_take_turns() {
        let host = host("127.0.0.1", 80);
        host.take(&[1, 2, 3].map(|last| at(last).ip()).into());
        let mut first = Vec::new();
        for _ in 0..4 {
            let addresses = host.addresses().await.expect("known");
            assert_eq!(addresses.len(), 3);
            first.push(addresses[0]);
        }
        assert_eq!(first, [at(1), at(2), at(3), at(1)]);
    }
}
