//! What the names of backends resolve to. They come from the configuration alone.
//!
//! The system is asked (`getaddrinfo`: the hosts file, the DNS, whatever else it is told to ask),
//! again and again. It tells no TTL, so an answer holds for as long as [`HOLDS`]. While nobody can
//! say, what a name was before stays.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::upstreams::Upstreams;
use crate::gateway::listener::keepalive;

/// How long an answer holds, for want of a TTL: no longer than the shortest that zones commonly use.
const HOLDS: Duration = Duration::from_secs(5);

const PATIENCE: Duration = Duration::from_secs(5);

/// A host and what it resolves to.
#[derive(Debug)]
pub struct Host {
    name: Arc<str>,
    port: u16,
    known: ArcSwapOption<Vec<SocketAddr>>,
    /// Counts the changes of its addresses.
    generation: AtomicU32,
    turn: AtomicUsize,
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
    pub fn new(host: &Arc<str>, port: u16) -> Self {
        let fixed: Option<IpAddr> = host.parse().ok();
        Self {
            name: Arc::clone(host),
            port,
            known: ArcSwapOption::new(fixed.map(|ip| Arc::new(vec![SocketAddr::new(ip, port)]))),
            generation: AtomicU32::new(0),
            turn: AtomicUsize::new(0),
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
            let _kept_as_it_was = timeout(PATIENCE, self.resolve()).await;
            sleep(HOLDS).await;
        }
    }

    /// Asks now.
    async fn resolve(&self) -> io::Result<()> {
        let found = tokio::net::lookup_host((&*self.name, self.port)).await?;
        let found: BTreeSet<IpAddr> = found.map(|it| it.ip()).collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        self.take(&found);
        Ok(())
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

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    #[tokio::test]
    async fn what_a_name_was_stays_while_nobody_can_say() {
        let host = Host::new(&"nowhere.invalid".into(), 80);
        assert!(host.addresses().await.is_err(), "never resolved");
        host.take(&[at(1).ip()].into());
        assert!(host.resolve().await.is_err());
        assert_eq!((host.addresses().await.expect("kept"), host.generation()), (vec![at(1)], 0));
        host.take(&[at(2).ip()].into());
        assert_eq!((host.addresses().await.expect("new"), host.generation()), (vec![at(2)], 1));
    }

    #[tokio::test]
    async fn a_name_is_asked_for_again_although_nobody_connects() {
        let host = std::sync::Arc::new(Host::new(&"localhost".into(), 80));
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
        let local = Host::new(&"localhost".into(), 7).addresses().await.expect("resolved");
        assert!(local.iter().all(|it| it.ip().is_loopback() && it.port() == 7), "{local:?}");
        let itself = Host::new(&"::1".into(), 7).addresses().await.expect("an address");
        assert_eq!(itself, ["[::1]:7".parse().expect("an address")]);
    }

    #[test]
    fn a_connection_stays_good_while_the_name_still_has_its_address() {
        let host = Host::new(&"127.0.0.1".into(), 80);
        let reached = |last| Reached { generation: 0, ip: Some(at(last).ip()) };
        host.take(&[1, 2].map(|last| at(last).ip()).into());
        host.take(&[2, 3].map(|last| at(last).ip()).into());
        assert!(!host.is_still_at(&reached(1)));
        assert!(host.is_still_at(&reached(2)) && host.is_still_at(&reached(3)));
    }

    #[tokio::test]
    async fn several_addresses_take_turns() {
        let host = Host::new(&"127.0.0.1".into(), 80);
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
